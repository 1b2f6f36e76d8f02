"""The programs in docs/examples run, and print what is said that they print."""

from __future__ import annotations

import asyncio
import os
import runpy
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from blocks import EXAMPLES, ROOT
from surroundings import ask

from ghl_voice_async import VoiceAIClient
from ghl_voice_async.cli.app import run
from ghl_voice_async.testing import VoiceAIServer, running_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

TUTORIAL_CALL = "6500001fe412c3d768bfeb10"
PROGRAMS = ["errors", "many_calls", "metrics", "rate_limits"]
PROGRAMS_OF_THEIR_OWN_PROCESS = ["extracted_data", "logged_retries", "with_duckdb", "with_pandas"]
TESTS = ["test_summaries", "test_with_aioresponses"]


@pytest.fixture
def environment(voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch) -> VoiceAIServer:
    """Be in the terminal that the tutorial asks for; failures are tried again without a wait."""
    ask(voice_ai_server, monkeypatch)
    return voice_ai_server


@pytest.mark.usefixtures("environment")
def test_the_tutorials_page_is_what_get_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["get", TUTORIAL_CALL, "--location", "ve9EPM428h8vShlRW1KT", "--pretty"]) == 0
    shown = "".join(f"{line.rstrip()}\n" for line in capsys.readouterr().out.splitlines())
    assert shown == (EXAMPLES / "page.txt").read_text()


@pytest.mark.usefixtures("environment")
def test_the_tutorials_first_call_runs(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "first_call.py"))
    assert capsys.readouterr().out == (EXAMPLES / "first_call.txt").read_text()


def test_the_tutorials_many_calls_run(environment: VoiceAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "many_at_once.py"))
    assert capsys.readouterr().out.startswith("200 call logs in ")
    assert (environment.seen.requests, environment.seen.refused) == (200, 0)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.usefixtures("environment")
def test_a_program_prints_what_is_said(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / f"{program}.py"))
    assert capsys.readouterr().out == (EXAMPLES / f"{program}.txt").read_text()


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Have `ghl-voice fetch` put the calls of two locations into both kinds of output."""
    folder = tmp_path_factory.mktemp("fetched")
    with running_in_thread(VoiceAIServer(max_requests=None)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GHL_BASE_URL", server.url)
        patch.setenv("GHL_ACCESS_TOKEN", server.token)
        patch.chdir(folder)
        ids = [f"{id_},{name}" for name in ("dentist", "garage") for id_ in server.call_ids(50, name)]
        Path("ids.txt").write_text("\n".join(ids))
        for output in ("calls.jsonl", "calls.db"):
            assert run(["fetch", "ids.txt", "--output", output, "--quiet", "--rate-limit", "none"]) == 0
    return folder


@pytest.mark.parametrize("program", PROGRAMS_OF_THEIR_OWN_PROCESS)
def test_a_program_in_a_process_of_its_own_prints_what_is_said(fetched: Path, program: str) -> None:
    # What the libraries that it uses warn of is not ours.
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONWARNINGS", "PYTHONDEVMODE"}}
    command = [sys.executable, str(EXAMPLES / f"{program}.py")]
    answer = subprocess.run(command, capture_output=True, check=False, text=True, cwd=fetched, env=environment)
    printed = "".join(f"{line.rstrip()}\n" for line in answer.stdout.splitlines())
    assert printed == (EXAMPLES / f"{program}.txt").read_text(), answer.stderr


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("calls_by_month.sql", [("2025-09", 3, 0.4), ("2025-10", 13, 4.0), ("2025-11", 3, 1.1)]),
        ("actions.sql", [("SMS", 42), ("IN_CALL_DATA_EXTRACTION", 40), ("CUSTOM_ACTION", 36)]),
    ],
)
def test_the_queries_answer(fetched: Path, query: str, rows: list[tuple[object, ...]]) -> None:
    with closing(sqlite3.connect(fetched / "calls.db")) as database:
        assert database.execute((EXAMPLES / query).read_text()).fetchall() == rows


def test_the_tests_of_the_testing_page_pass(tmp_path: Path) -> None:
    for name in TESTS:
        (tmp_path / f"{name}.py").write_text((EXAMPLES / f"{name}.py").read_text())
    command = [sys.executable, "-m", "pytest", "-q", "-o", "asyncio_default_fixture_loop_scope=function", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, check=False, text=True, cwd=tmp_path)
    assert "6 passed" in answer.stdout, answer.stdout


async def test_the_token_provider_refreshes_once_for_all_and_survives_a_cancellation() -> None:
    refreshed = 0

    async def refresh() -> str:
        nonlocal refreshed
        refreshed += 1
        await asyncio.sleep(0)
        return f"token-{refreshed}"

    provider = runpy.run_path(str(EXAMPLES / "token_provider.py"))["RefreshedToken"]("token-0", refresh)
    first, *others = [asyncio.create_task(provider.token_refused("LOC", "token-0")) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(*others)
    await provider.token_refused("LOC", "token-0")
    assert (await provider.get_token("LOC"), refreshed) == ("token-1", 1)


async def test_the_refresh_exchanges_the_refresh_token_and_keeps_the_next_one(
    voice_ai_server: VoiceAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"GHL_CLIENT_ID": "some-app", "GHL_CLIENT_SECRET": "its-secret"}.items():
        monkeypatch.setenv(name, value)
    example = runpy.run_path(str(EXAMPLES / "oauth_refresh.py"))
    example["store_refresh_token"]("the first one")
    assert os.lstat("refresh-token").st_mode & 0o777 == 0o600  # only who it belongs to may read it
    forms: list[dict[str, Any]] = []

    async def token(request: web.Request) -> web.Response:
        forms.append({**await request.post(), "version": request.headers["Version"]})
        return web.json_response({"accessToken": voice_ai_server.token, "refreshToken": "the next one"})

    app = web.Application()
    app.router.add_post("/oauth/token", token)
    provider = runpy.run_path(str(EXAMPLES / "token_provider.py"))["RefreshedToken"]

    async with TestServer(app) as oauth:
        monkeypatch.setenv("GHL_BASE_URL", str(oauth.make_url("")).rstrip("/"))
        async with VoiceAIClient(provider("of-yesterday", example["refresh"]), base_url=voice_ai_server.url) as client:
            call_ids = voice_ai_server.call_ids(5)
            calls = (client.get_call_log(call_id, voice_ai_server.location_id) for call_id in call_ids)
            assert [call.id for call in await asyncio.gather(*calls)] == call_ids
    sent = {
        "grantType": "refresh_token",
        "refreshToken": "the first one",
        "clientId": "some-app",
        "clientSecret": "its-secret",
        "userType": "Location",
        "version": "v3",
    }
    assert (forms, example["load_refresh_token"]()) == ([sent], "the next one")


@pytest.mark.parametrize("fails", [(tempfile, "_mkstemp_inner"), (os, "fsync"), (Path, "replace")])
def test_a_refresh_token_is_replaced_as_a_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: tuple[object, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    example = runpy.run_path(str(EXAMPLES / "oauth_refresh.py"))
    stored = Path("refresh-token")
    stored.write_text("the first one, which is longer")
    stored.chmod(0o644)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*fails, full)
        with pytest.raises(OSError, match="No space"):
            example["store_refresh_token"]("the next one")
    kept = [path.read_text() for path in tmp_path.iterdir()]
    example["store_refresh_token"]("the next one")

    assert kept == ["the first one, which is longer"]
    assert [path.name for path in tmp_path.iterdir()] == ["refresh-token"]
    assert stored.read_text() == "the next one"
    assert os.lstat(stored).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        (b'{"id": "some-call", "translation": {"transcript": "bot: Hola."}}', 204, ""),
        (b'{"duration": "61"}', 422, '["$.id: required, but missing", "$.duration: expected number, got string"]'),
    ],
)
async def test_the_webhook_takes_call_logs_and_says_why_it_takes_no_others(
    body: bytes, status: int, answer: str
) -> None:
    app = runpy.run_path(str(EXAMPLES / "webhook.py"))["app"]
    async with TestClient(TestServer(app)) as sender, sender.post("/call-ended", data=body) as response:
        assert response.status == status
        assert answer in await response.text()


def of(stems: list[str], *suffixes: str) -> list[str]:
    return [f"{stem}{suffix}" for stem in stems for suffix in suffixes]


RUN_BY: dict[Callable[..., object], list[str]] = {
    test_the_tutorials_page_is_what_get_prints: ["page.txt"],
    test_the_tutorials_first_call_runs: ["first_call.py", "first_call.txt"],
    test_the_tutorials_many_calls_run: ["many_at_once.py"],
    test_a_program_prints_what_is_said: of(PROGRAMS, ".py", ".txt"),
    test_a_program_in_a_process_of_its_own_prints_what_is_said: of(PROGRAMS_OF_THEIR_OWN_PROCESS, ".py", ".txt"),
    test_the_queries_answer: ["actions.sql", "calls_by_month.sql"],
    test_the_tests_of_the_testing_page_pass: of(TESTS, ".py"),
    test_the_token_provider_refreshes_once_for_all_and_survives_a_cancellation: ["token_provider.py"],
    test_the_refresh_exchanges_the_refresh_token_and_keeps_the_next_one: ["oauth_refresh.py"],
    test_the_webhook_takes_call_logs_and_says_why_it_takes_no_others: ["webhook.py"],
}


def test_every_example_has_its_test() -> None:
    """Look for each in the table above, or, where it is an application, for a test file of its own."""
    run_here = [name for names in RUN_BY.values() for name in names]
    run_elsewhere = [
        path.name
        for path in EXAMPLES.iterdir()
        if path.name != "__pycache__" and [*(ROOT / "tests").glob(f"test_example_{path.stem}*.py")]
    ]
    present = [path.name for path in EXAMPLES.iterdir() if path.name != "__pycache__"]
    assert sorted(present) == sorted(run_here + run_elsewhere)
