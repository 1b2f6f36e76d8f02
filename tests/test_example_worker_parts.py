from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from taskiq.cli.worker.args import WorkerArgs
from worker import demo
from worker.redis_server import MISSING
from worker.results import error_from_json, error_to_json
from worker.settings import Settings
from worker.storage import Storage

from ghl_voice_async import (
    AttemptTimeoutError,
    CallRef,
    DailyLimitError,
    DecodeError,
    GHLVoiceError,
    InvalidInputError,
    NotFoundError,
    RateLimitError,
    ServerError,
    TransportError,
    decode_call_log,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(
    ("processes", "requests", "daily"),
    [(1, 100, 200_000), (2, 50, 100_000), (3, 33, 66_666), (7, 14, 28_571), (100, 1, 2_000)],
)
def test_each_process_has_its_part_of_the_limit_rounded_down(processes: int, requests: int, daily: int) -> None:
    rate_limit = Settings(processes=processes).rate_limit
    assert (rate_limit.max_requests, rate_limit.interval, rate_limit.daily) == (requests, 10.0, daily)


@pytest.mark.parametrize("processes", [0, -1, 101])
def test_a_number_of_processes_that_leaves_nothing_to_each_is_refused(processes: int) -> None:
    with pytest.raises(ValueError, match=f"GHL_PROCESSES must be from 1 to 100, not {processes}"):
        _ = Settings(processes=processes).rate_limit


@pytest.mark.parametrize("seconds", [0.001, 0.0, -1.0, float("nan")])
def test_a_redelivery_after_less_than_a_second_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match=f"REDELIVER_AFTER must be at least 1 second, not {seconds}"):
        Settings(redeliver_after=seconds)


def test_the_settings_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"REDIS_URL": "redis://elsewhere", "GHL_PROCESSES": "4", "REDELIVER_AFTER": "2.5"}.items():
        monkeypatch.setenv(name, value)
    assert Settings.from_environment() == Settings(redis_url="redis://elsewhere", processes=4, redeliver_after=2.5)


def test_without_a_number_of_processes_there_are_as_many_as_taskiq_starts() -> None:
    by_default = WorkerArgs.from_cli(["worker.broker:broker"])
    assert Settings().processes == by_default.workers


def test_the_page_has_every_setting() -> None:
    page = (DOCS / "worker.md").read_text()
    settings = re.findall(r'get\("(\w+)"', (DOCS / "examples" / "worker" / "settings.py").read_text())
    assert len(settings) == 6
    assert [name for name in settings if f"| `{name}` |" not in page] == []


CALL: dict[str, Any] = {"call_id": "c1", "location_id": "L", "attempts": 2}
HEADERS = {"x-ratelimit-max": "7"}


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("Not Found", status=404, headers=HEADERS, **CALL),
        RateLimitError("Too Many Requests", status=429, headers=HEADERS, retry_after=7.0, **CALL),
        DailyLimitError("Too Many Requests", status=429),
        ServerError("status without a name", status=530),
        TransportError("refused", retryable=False, was_kept=True, **CALL),
        AttemptTimeoutError("30 s", **CALL),
        DecodeError(["$.id: expected string, got number", "$.duration: expected number, got string"], **CALL),
        InvalidInputError("no such id"),
        GHLVoiceError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_json_with_all_that_it_has(error: GHLVoiceError) -> None:
    error.add_note("Not tried again.")
    survivor = error_from_json(error_to_json(error))
    assert type(survivor) is type(error)
    assert (vars(survivor), survivor.args, str(survivor)) == (vars(error), error.args, str(error))


def test_the_headers_of_an_error_are_found_in_any_case_after_json() -> None:
    survivor = error_from_json(error_to_json(NotFoundError(status=404, headers=HEADERS)))
    assert isinstance(survivor, NotFoundError)
    assert survivor.headers["X-RateLimit-Max"] == "7"


def test_no_word_of_a_server_is_in_the_json_of_an_error() -> None:
    words = {"X-Quote": "Ada", "Set-Cookie": "session=Ada", "X-RateLimit-Max": "Ada", "Location": "/Ada"}
    error = NotFoundError("my name is Ada", status=404, body='{"transcript": "Ada"}', headers=words, **CALL)
    error.__cause__ = ValueError("Ada")

    text = error_to_json(error)

    assert "Ada" not in text
    assert str(error_from_json(text)).startswith("HTTP 404: Not Found [call 'c1' of location 'L', 2 attempts]")
    assert error.message == "my name is Ada"


def test_json_that_names_another_class_makes_no_error_of_it() -> None:
    with pytest.raises(ValueError, match="not an error of ghl_voice_async: 'Any'"):
        error_from_json('{"class": "Any", "args": [], "attributes": {}}')


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    storage = Storage(tmp_path / "calls.db")
    yield storage
    await storage.aclose()


HALF_A_PAIR = "c\ud83d"
WITH_NUL = "c1\0rest"


async def test_of_a_list_with_ids_that_are_no_text_what_is_missing_is_that_of_the_list(storage: Storage) -> None:
    await storage.save(CallRef("c1", "L"), decode_call_log(b'{"id": "c1"}'))
    assert await storage.missing(["c1", HALF_A_PAIR, WITH_NUL, "c2"], "L") == [HALF_A_PAIR, WITH_NUL, "c2"]
    assert await storage.missing(["c1"], "L\udc00") == ["c1"]


async def test_failures_of_ids_that_are_no_text_are_kept_escaped(storage: Storage) -> None:
    refs = [CallRef(HALF_A_PAIR, "L"), CallRef("c2", "L\udc00")]
    await storage.save_failures(refs, InvalidInputError(f"no such id: {HALF_A_PAIR}"))
    assert await storage.failed() == [CallRef("c\\ud83d", "L"), CallRef("c2", "L\\udc00")]


def test_without_redis_the_demo_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit) as ended:
        demo.main()
    assert ended.value.code == MISSING
    assert "apt-get install redis-server" in MISSING
