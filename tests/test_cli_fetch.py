from __future__ import annotations

import errno
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from command_line import PROGRAM, error_line
from killed import environment, fetch_and_kill

from ghl_voice_async import CallRef, RateLimit, VoiceAIClient, decode_call_log, encode_call_log
from ghl_voice_async.cli.app import run
from ghl_voice_async.cli.fetch import _until_shut
from ghl_voice_async.cli.gate import Gate
from ghl_voice_async.cli.jsonl_file import JsonlFile
from ghl_voice_async.cli.lock import locked
from ghl_voice_async.testing import Latency, Silence, Status, VoiceAIServer, VoiceAIServerProcess

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder of its own, with all that is needed in the environment; nothing waits before a retry."""
    monkeypatch.setenv("GHL_ACCESS_TOKEN", voice_ai_server.token)
    monkeypatch.setenv("GHL_BASE_URL", voice_ai_server.url)
    monkeypatch.setenv("GHL_LOCATION_ID", voice_ai_server.location_id)
    monkeypatch.setattr("ghl_voice_async.retry.random.random", lambda: 0.0)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def wanted(server: VoiceAIServer, count: int = 20) -> list[str]:
    """Write the file `ids` for the server's first calls, and return these."""
    ids = server.call_ids(count)
    Path("ids").write_text("".join(f"{id_}\n" for id_ in ids))
    return ids


def fetch(*options: str, output: str = "calls.jsonl") -> int:
    return run(["fetch", "ids", "--output", output, *options])


def lines(path: str = "calls.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


@pytest.mark.usefixtures("folder")
def test_each_line_is_a_call_log_as_the_api_has_it_and_its_location(voice_ai_server: VoiceAIServer) -> None:
    ids = wanted(voice_ai_server)
    assert fetch() == 0
    found = {line["id"]: line for line in lines()}
    assert [*found] != []
    for id_ in ids:
        line = found.pop(id_)
        assert line.pop("locationId") == voice_ai_server.location_id
        assert line == encode_call_log(decode_call_log(voice_ai_server.call_log(id_)))
    assert found == {}
    assert sorted(path.name for path in Path().iterdir()) == ["calls.jsonl", "ids"]


@pytest.mark.parametrize("suffix", [".db", ".sqlite", ".DB"])
@pytest.mark.usefixtures("folder")
def test_a_database_has_a_row_for_each_call(voice_ai_server: VoiceAIServer, suffix: str) -> None:
    ids = wanted(voice_ai_server)
    output = f"calls{suffix}"
    assert fetch(output=output) == 0
    with closing(sqlite3.connect(output)) as database:
        rows = database.execute("SELECT location_id, call_id, body FROM call_logs ORDER BY call_id").fetchall()
    assert [row[:2] for row in rows] == [(voice_ai_server.location_id, id_) for id_ in sorted(ids)]
    assert all(json.loads(body)["id"] == id_ for _, id_, body in rows)


@pytest.mark.parametrize("output", ["calls.jsonl", "calls.db"])
@pytest.mark.usefixtures("folder")
def test_what_is_there_is_not_fetched_again(voice_ai_server: VoiceAIServer, capsys: Capture, output: str) -> None:
    wanted(voice_ai_server, 10)
    assert fetch(output=output) == 0
    wanted(voice_ai_server, 25)
    capsys.readouterr()
    assert fetch(output=output) == 0
    assert f"15 of 25 calls to fetch, the others are in {output}." in capsys.readouterr().err
    assert fetch(output=output) == 0
    assert capsys.readouterr().err == f"0 of 25 calls to fetch, the others are in {output}.\n"
    assert voice_ai_server.seen.requests == 25
    assert set(voice_ai_server.seen.calls.values()) == {1}


@pytest.mark.usefixtures("folder")
def test_what_failed_is_listed_with_its_reason_and_tried_again_by_the_next_run(
    voice_ai_server: VoiceAIServer, capsys: Capture
) -> None:
    ids = wanted(voice_ai_server)
    with Path("ids").open("a") as file:
        file.write("no/id\n")
    voice_ai_server.fail(Status(404, '{"message": "Call log not found"}'), call_id=ids[3])
    voice_ai_server.fail(Status(503), times=5, call_id=ids[5])
    assert fetch() == 1
    assert len(lines()) == 18
    location = voice_ai_server.location_id
    failed = {line["callId"]: line for line in lines("calls.jsonl.failed.jsonl")}
    assert failed[ids[3]] == {
        "callId": ids[3],
        "locationId": location,
        "error": "NotFoundError",
        "status": 404,
        "message": f"HTTP 404: Call log not found [call '{ids[3]}' of location '{location}', 1 attempt] "
        "Check the id, and that the call is of this location.",
        "attempts": 1,
    }
    assert (failed[ids[5]]["error"], failed[ids[5]]["status"], failed[ids[5]]["attempts"]) == ("ServerError", 503, 5)
    assert (failed["no/id"]["error"], failed["no/id"]["status"], failed["no/id"]["attempts"]) == (
        "InvalidInputError",
        None,
        0,
    )
    said = capsys.readouterr().err
    assert "1 NotFoundError" in said
    assert "all of them are in calls.jsonl.failed.jsonl" in said

    assert fetch() == 1
    assert len(lines()) == 20
    assert [line["callId"] for line in lines("calls.jsonl.failed.jsonl")] == ["no/id"]

    wanted(voice_ai_server)
    assert fetch() == 0
    assert not Path("calls.jsonl.failed.jsonl").exists()


@pytest.mark.usefixtures("folder")
def test_a_torn_last_line_is_mended(voice_ai_server: VoiceAIServer) -> None:
    wanted(voice_ai_server)
    fetch()
    whole = Path("calls.jsonl").read_bytes()
    Path("calls.jsonl").write_bytes(whole[:-10])
    assert fetch() == 0
    assert len(lines()) == 20
    assert voice_ai_server.seen.requests == 21


@pytest.mark.usefixtures("folder")
def test_ids_may_come_on_standard_input(voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = voice_ai_server.call_ids(2, "ELSEWHERE")

    for options in ([], ["-"]):
        content = io.BytesIO("\n".join(f"{id_},ELSEWHERE" for id_ in ids).encode())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))
        assert run(["fetch", *options, "--output", "calls.jsonl"]) == 0
    assert {(line["id"], line["locationId"]) for line in lines()} == {(id_, "ELSEWHERE") for id_ in ids}


@pytest.mark.usefixtures("folder")
def test_somebody_at_a_terminal_is_told_what_is_waited_for(
    voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO(voice_ai_server.call_ids(1)[0].encode())))
    assert run(["fetch", "--output", "calls.jsonl"]) == 0
    assert "Reading call ids from the terminal; Ctrl+D ends them." in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_standard_input_that_cannot_be_read_is_bad_usage(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    class Directory(io.BytesIO):
        def read1(self, _size: int | None = -1) -> bytes:
            raise IsADirectoryError(errno.EISDIR, "Is a directory")

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Directory()))

    assert run(["fetch", "--output", "calls.jsonl"]) == 2

    assert "standard input cannot be read: Is a directory." in error_line(capsys)


@pytest.mark.usefixtures("folder")
def test_a_location_that_waits_holds_up_no_other(
    voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first location is refused for a minute, and has more calls than the bulk reads ahead."""
    monkeypatch.setattr("ghl_voice_async.cli.feed._LOOK_AHEAD", 20)
    fetched: list[str] = []
    store = JsonlFile.write

    def noted(self: JsonlFile, call_logs: Any) -> None:
        items = list(call_logs)
        store(self, items)
        fetched.extend(ref.location_id for ref, _ in items)
        if fetched.count("B") + fetched.count("C") == 200:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(JsonlFile, "write", noted)
    for call_id in voice_ai_server.call_ids(100, "A"):
        voice_ai_server.fail(Status(429, headers={"Retry-After": "60"}), call_id=call_id)
    calls = [(id_, name) for name in "ABC" for id_ in voice_ai_server.call_ids(100, name)]
    Path("ids").write_text("".join(f"{id_},{name}\n" for id_, name in calls))

    fetch("--quiet", "--concurrency", "4")

    assert (fetched.count("B"), fetched.count("C")) == (100, 100)
    assert "A" not in fetched


@pytest.mark.usefixtures("folder")
def test_without_any_standard_input_a_file_is_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run(["fetch", "--output", "calls.jsonl"]) == 2
    assert "There is no standard input; name a FILE." in error_line(capsys)


@pytest.mark.usefixtures("folder")
def test_locations_one_after_another_are_fetched_at_the_same_time_however_many_calls_each_has(
    voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second location begins further on than the library reads ahead by default."""
    order: list[str] = []
    store = JsonlFile.write

    def noted(self: JsonlFile, call_logs: Any) -> None:
        items = list(call_logs)
        order.extend(ref.location_id for ref, _ in items)
        store(self, items)
        if "B" in order:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(JsonlFile, "write", noted)
    calls = [(id_, "A") for id_ in voice_ai_server.call_ids(12_000, "A")] + [(voice_ai_server.call_ids(1, "B")[0], "B")]
    Path("ids").write_text("".join(f"{id_},{name}\n" for id_, name in calls))
    assert fetch("--quiet") == 1
    assert order.count("A") <= 100


@pytest.mark.usefixtures("folder")
def test_a_dry_run_says_how_long_it_will_take_and_does_nothing(
    voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    ids = wanted(voice_ai_server, 250)
    Path("ids").write_text("\n".join([*ids, *ids[:7]]))
    monkeypatch.delenv("GHL_ACCESS_TOKEN")
    assert fetch("--dry-run") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out == (
        "250 calls to fetch; 7 are given more than once, and fetched once.\n"
        "At 100 requests in 10 s for each location, that takes at least 20 s.\n"
    )
    assert [path.name for path in Path().iterdir()] == ["ids"]
    assert voice_ai_server.seen.requests == 0


@pytest.mark.usefixtures("folder")
def test_a_call_given_twice_is_fetched_once(voice_ai_server: VoiceAIServer, capsys: Capture) -> None:
    ids = voice_ai_server.call_ids(2)
    Path("ids").write_text("\n".join([*ids, *ids]))
    assert fetch() == 0
    assert len(lines()) == 2
    assert "2 are given more than once" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_quiet_says_nothing(voice_ai_server: VoiceAIServer, capsys: Capture) -> None:
    ids = wanted(voice_ai_server)
    voice_ai_server.fail(Status(404), call_id=ids[0])
    assert fetch("--quiet") == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("folder")
def test_calls_that_were_never_sent_have_no_slowest_answer(capsys: Capture) -> None:
    Path("ids").write_text("no/id\n")
    assert fetch() == 1
    said = capsys.readouterr().err
    assert "1 InvalidInputError" in said
    assert "Slowest" not in said


def test_no_more_calls_are_taken_once_the_gate_is_shut() -> None:
    gate = Gate(None)
    calls = _until_shut(gate, [CallRef("a", "A"), CallRef("b", "A"), CallRef("c", "A")])
    assert next(calls) == ("a", "A")
    gate.shut()
    assert list(calls) == []


@pytest.mark.usefixtures("folder")
def test_the_rate_limit_is_the_one_asked_for(voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[RateLimit] = []

    class Noted(Exception):  # noqa: N818  # ends the run
        pass

    def note(rate_limit: RateLimit) -> None:
        given.append(rate_limit)
        raise Noted

    wanted(voice_ai_server)
    monkeypatch.setattr("ghl_voice_async.cli.fetch.WindowRateLimiter", note)
    for options in ([], ["--rate-limit", "25/2.5"]):
        with pytest.raises(Noted):
            fetch(*options)
    monkeypatch.setenv("GHL_RATE_LIMIT", "7/1")
    with pytest.raises(Noted):
        fetch()
    assert [(limit.max_requests, limit.interval) for limit in given] == [(100, 10.0), (25, 2.5), (7, 1.0)]
    assert fetch("--rate-limit", "none") == 0


@pytest.mark.usefixtures("folder")
def test_there_are_as_many_connections_as_requests_at_once(
    voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, Any]] = []

    class Noted(VoiceAIClient):
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            made.append(settings)
            super().__init__(*arguments, **settings)

    monkeypatch.setattr("ghl_voice_async.cli.fetch.VoiceAIClient", Noted)
    wanted(voice_ai_server)
    assert fetch("--concurrency", "300") == 0
    assert made[0]["max_connections"] == 300


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--rate-limit", "100"], "'100' is neither N/SECONDS, such as 100/10, nor none."),
        (["--rate-limit", "a/b"], "'a/b' is neither N/SECONDS"),
        (["--rate-limit", "0/10"], "max_requests must be at least 1, not 0"),
        (["--rate-limit", "5/nan"], "interval must be a finite number of seconds above 0"),
        (["--concurrency", "0"], "0 is not in the range"),
        (["--output", "calls.csv"], "--output calls.csv must end in .jsonl, .sqlite, .db."),
        (["--output", "folder.jsonl"], "is a directory"),
        (["--output", "missing/calls.jsonl"], "missing/calls.jsonl cannot be written: No such file or directory."),
        (["--output", "missing/calls.db"], "missing/calls.db cannot be written: No such file or directory."),
        (["--output", "other.jsonl"], "line 1 of other.jsonl was not written by fetch; give another --output."),
        (["--output", "other.db"], "other.db cannot be used as a database: file is not a database."),
        (["--location", "a/b"], "location_id must be 1 to 256"),
        (["--base-url", "http://example.com"], "use https://"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_bad_usage_is_one_line_and_nothing_is_written(
    voice_ai_server: VoiceAIServer, capsys: Capture, options: list[str], problem: str
) -> None:
    wanted(voice_ai_server)
    Path("folder.jsonl").mkdir()
    for name in ("other.jsonl", "other.db"):
        Path(name).write_text("call_id,location_id\n")
    before = sorted(Path().iterdir())
    assert fetch("--quiet", *options) == 2
    assert problem in error_line(capsys)
    assert sorted(Path().iterdir()) == before
    assert Path("other.jsonl").read_text() == Path("other.db").read_text() == "call_id,location_id\n"
    assert voice_ai_server.seen.requests == 0


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("missing", None, "'missing' does not exist"),
        (".", None, "'.' is a directory"),
        ("empty", b"\n# nothing\n", "There is no call id in the input."),
        ("malformed", b"one\ntwo,A,B\n", "Line 2 of the input has more than a call id and a location id."),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_bad_input_is_one_line_and_nothing_is_written(
    voice_ai_server: VoiceAIServer, capsys: Capture, name: str, content: bytes | None, problem: str
) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    assert run(["fetch", name, "--output", "calls.jsonl"]) == 2
    assert problem in error_line(capsys)
    assert not Path("calls.jsonl").exists()
    assert voice_ai_server.seen.requests == 0


@pytest.mark.usefixtures("folder")
def test_an_input_that_cannot_be_read_is_bad_usage(
    voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    wanted(voice_ai_server)
    opened = Path.open

    def refused(path: Path, *arguments: Any, **settings: Any) -> Any:
        if path.name == "ids":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *arguments, **settings)

    monkeypatch.setattr(Path, "open", refused)
    assert fetch("--quiet") == 2
    assert "ids cannot be read: Permission denied." in error_line(capsys)


@pytest.mark.usefixtures("folder")
def test_an_output_that_cannot_be_read_is_bad_usage(
    voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    wanted(voice_ai_server)
    Path("calls.jsonl").touch()
    opened = os.open

    def refused(path: Any, *arguments: Any, **settings: Any) -> int:
        if str(path) == "calls.jsonl":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *arguments, **settings)

    monkeypatch.setattr(os, "open", refused)
    assert fetch("--quiet") == 2
    assert "calls.jsonl cannot be read: Permission denied." in error_line(capsys)


@pytest.mark.usefixtures("folder")
def test_an_output_that_cannot_be_opened_is_bad_usage_and_the_old_failures_stay(
    voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    wanted(voice_ai_server)
    Path("calls.jsonl.failed.jsonl").write_text("{}\n")

    def refused(_: JsonlFile) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(JsonlFile, "open", refused)
    assert fetch("--quiet") == 2
    assert "calls.jsonl cannot be written: Permission denied." in error_line(capsys)
    assert Path("calls.jsonl.failed.jsonl").read_text() == "{}\n"


@pytest.mark.usefixtures("folder")
def test_a_missing_location_is_said_with_the_line(
    voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    wanted(voice_ai_server)
    monkeypatch.delenv("GHL_LOCATION_ID")
    assert fetch() == 2
    assert "Line 1 of the input has no location id; add it, or give --location." in error_line(capsys)


@pytest.mark.usefixtures("folder")
def test_a_missing_token_is_said(
    voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    wanted(voice_ai_server)
    monkeypatch.delenv("GHL_ACCESS_TOKEN")
    assert fetch() == 2
    assert "set GHL_ACCESS_TOKEN" in error_line(capsys)


@pytest.mark.parametrize("output", ["calls.jsonl", "calls.db"])
@pytest.mark.usefixtures("folder")
def test_a_token_that_is_refused_is_one_line_and_exit_code_3_and_nothing_is_left(
    voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch, capsys: Capture, output: str
) -> None:
    """Promise 40."""
    wanted(voice_ai_server, 200)
    monkeypatch.setenv("GHL_ACCESS_TOKEN", "pit-other")
    assert fetch("--quiet", "--concurrency", "4", output=output) == 3
    assert "HTTP 401" in error_line(capsys)
    assert [path.name for path in Path().iterdir()] == ["ids"]
    assert voice_ai_server.seen.requests <= 4


@pytest.mark.usefixtures("folder")
def test_guarantee_40_a_call_that_is_always_refused_is_listed_and_the_rest_stored(
    voice_ai_server: VoiceAIServer,
) -> None:
    ids = wanted(voice_ai_server, 90)
    voice_ai_server.fail(Status(401), times=10, call_id=ids[30])

    code = fetch("--quiet", "--concurrency", "8")

    assert code == 1
    assert [line["callId"] for line in lines("calls.jsonl.failed.jsonl")] == [ids[30]]
    assert len(lines("calls.jsonl")) == 89


@pytest.mark.usefixtures("folder")
def test_guarantee_40_a_token_refused_later_leaves_what_was_stored(
    voice_ai_server: VoiceAIServer, capsys: Capture
) -> None:
    ids = wanted(voice_ai_server, 200)
    for id_ in ids[60:]:
        voice_ai_server.fail(Status(403), times=10, call_id=id_)

    code = fetch("--quiet", "--rate-limit", "none", "--concurrency", "4")

    assert code == 3
    assert "HTTP 403" in error_line(capsys)
    assert len(lines("calls.jsonl")) == 60
    assert len(lines("calls.jsonl.failed.jsonl")) == 140


@pytest.mark.usefixtures("folder")
def test_two_runs_do_not_write_to_one_output(voice_ai_server: VoiceAIServer, capsys: Capture) -> None:
    wanted(voice_ai_server)
    with locked(Path("calls.jsonl")):
        assert fetch() == 2
    assert "Another run is writing to calls.jsonl; wait for its end." in error_line(capsys)
    assert voice_ai_server.seen.requests == 0


def signalled(server: VoiceAIServerProcess, *signals: signal.Signals, options: tuple[str, ...] = ()) -> tuple[int, str]:
    """Start a run in a process, send it the signals once it has stored something, and return how it ended."""
    command = [sys.executable, "-c", PROGRAM, "fetch", "ids", "--location", "LOC", "--output", "calls.jsonl", *options]
    with subprocess.Popen(command, env=environment(server), stderr=subprocess.PIPE, text=True) as process:
        until_there_is_something("calls.jsonl")
        for number in signals:
            process.send_signal(number)
            until_it_is_handled(process)
        _, said = process.communicate(timeout=60)
    return process.returncode, said


def until_there_is_something(path: str) -> None:
    for _ in range(30_000):
        if Path(path).exists() and Path(path).stat().st_size:
            return
        os.sched_yield()
        signal.sigtimedwait([], 0.001)


def until_it_is_handled(process: subprocess.Popen[str]) -> None:
    for _ in range(300):
        if process.poll() is not None:
            return
        signal.sigtimedwait([], 0.001)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_in_good_order_and_the_next_one_goes_on(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    with VoiceAIServerProcess(max_requests=50, interval=1.0) as server:
        ids = server.twin.call_ids(200, "LOC")
        Path("ids").write_text("\n".join(ids))
        code, said = signalled(server, number, options=("--rate-limit", "50/1", "-q"))
        assert (code, said) == (130, "ghl-voice: interrupted\n")
        first = [ref.call_id for ref in JsonlFile(Path("calls.jsonl")).stored()]
        assert 0 < len(first) < 200
        code = run(["fetch", "ids", "--location", "LOC", "--output", "calls.jsonl", "--dry-run"])
        assert code == 0
        assert f"{200 - len(first)} of 200 calls to fetch" in capsys.readouterr().out
        seen = server.stop()
    assert seen.requests == len(first)  # what was under way was waited for
    assert len(set(first)) == len(first)


def test_a_second_signal_does_not_wait_for_what_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    faults = {Silence(): 0.5}
    with VoiceAIServerProcess(max_requests=None, faults=faults) as server:
        Path("ids").write_text("\n".join(server.twin.call_ids(50, "LOC")))
        code, said = signalled(server, signal.SIGINT, signal.SIGINT)
        server.stop()
    assert code == 130
    assert said.splitlines()[-1] == "ghl-voice: interrupted"
    assert "Traceback" not in said


@pytest.mark.parametrize("suffix", [".jsonl", ".db"])
def test_guarantee_63_a_kill_costs_at_most_what_was_in_flight(tmp_path: Path, suffix: str) -> None:
    """Thirty kills are in `tests/benchmarks/kills.py`."""
    concurrency = 8
    killed = fetch_and_kill(tmp_path, suffix, calls=200, concurrency=concurrency, kills=2, seed=1)
    assert killed.kills >= 1
    assert [*killed.stored_before] == sorted(killed.stored_before)
    assert len(killed.stored) == len(set(killed.stored)) == 200
    assert killed.fetched_again <= killed.kills * concurrency


def test_what_is_under_way_has_a_few_seconds_after_a_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with VoiceAIServerProcess(max_requests=None, faults={Latency(0.5): 0.5}) as server:
        Path("ids").write_text("\n".join(server.twin.call_ids(500, "LOC")))
        code, said = signalled(server, signal.SIGINT, options=("--rate-limit", "none", "--concurrency", "8"))
        stored = [*JsonlFile(Path("calls.jsonl")).stored()]
        seen = server.stop()
    assert code == 130
    assert len(stored) == seen.requests
    assert "│ of 500" in said
