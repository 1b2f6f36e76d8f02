"""What `ghl-voice fetch` does when its files are not as it would like them."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import PROGRAM, error_line, quiet

from ghl_voice_async import CallRef
from ghl_voice_async.cli.app import run
from ghl_voice_async.cli.jsonl_file import JsonlFile
from ghl_voice_async.cli.outputs import Failures, output_at
from ghl_voice_async.cli.sqlite_file import SqliteFile
from ghl_voice_async.testing import Status, VoiceAIServer, VoiceAIServerProcess

Capture = pytest.CaptureFixture[str]
KINDS: dict[str, Any] = {"calls.jsonl": JsonlFile, "calls.db": SqliteFile}
LIMITED = """
import resource, sys
from ghl_voice_async.cli.app import run
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, before[1]))
code = run(sys.argv[1:])
resource.setrlimit(resource.RLIMIT_FSIZE, before)
sys.exit(code)
"""
each_kind = pytest.mark.parametrize("output", [*KINDS])


@pytest.fixture
def server(tmp_path: Path, voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch) -> VoiceAIServer:
    """Be in a folder of its own, with the ids of 60 calls in a file and all else in the environment."""
    monkeypatch.setenv("GHL_ACCESS_TOKEN", voice_ai_server.token)
    monkeypatch.setenv("GHL_BASE_URL", voice_ai_server.url)
    monkeypatch.setenv("GHL_LOCATION_ID", voice_ai_server.location_id)
    monkeypatch.chdir(tmp_path)
    Path("ids").write_text("\n".join(voice_ai_server.call_ids(60)))
    return voice_ai_server


def fetch(output: str, *options: str) -> int:
    return run(["fetch", "ids", "--output", output, "--quiet", *options])


def stored(output: str) -> list[CallRef]:
    return [*output_at(Path(output)).stored()]


def delete(path: Path) -> None:
    path.unlink()


def rename(path: Path) -> None:
    path.rename(f"old{path.suffix}")


def truncate(path: Path) -> None:
    os.truncate(path, 0)


def replace(path: Path) -> None:
    rename(path)
    path.write_bytes(Path(f"old{path.suffix}").read_bytes())


def replace_by_link(path: Path) -> None:
    rename(path)
    path.symlink_to(f"old{path.suffix}")


def make_unreadable(path: Path) -> None:
    path.chmod(0)


@pytest.mark.parametrize("when", ["after the first write", "after the last one"])
@pytest.mark.parametrize("change", [delete, rename, truncate, replace, replace_by_link, make_unreadable])
@each_kind
@pytest.mark.usefixtures("server")
def test_guarantee_63_an_output_that_changes_ends_the_run_with_one_error(
    output: str, change: Any, when: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    kind, written, changes, path = KINDS[output], 0, [change], Path(output).absolute()
    write = kind.write

    def changing(self: Any, call_logs: Any) -> Any:
        nonlocal written
        given = [*call_logs]
        refused = write(self, given)
        written += len(given)
        if changes and (when == "after the first write" or written == 60):
            changes.pop()(path)
        return refused

    monkeypatch.setattr(kind, "write", changing)
    code = fetch(output, "--concurrency", "4")

    assert code == 1
    assert output in error_line(capsys)


@each_kind
def test_guarantee_63_the_run_after_one_whose_output_was_deleted_has_every_call(
    server: VoiceAIServer, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = KINDS[output].write

    def deleting(self: Any, call_logs: Any) -> Any:
        refused = write(self, call_logs)
        Path(output).unlink()
        return refused

    with monkeypatch.context() as patch:
        patch.setattr(KINDS[output], "write", deleting)
        assert fetch(output, "--concurrency", "4") == 1
    assert not Path(output).exists()

    assert fetch(output) == 0
    assert {ref.call_id for ref in stored(output)} == {*server.call_ids(60)}


@pytest.mark.parametrize("room", [0, 5_000, 100_000, 300_000])
@each_kind
def test_guarantee_63_a_full_disk_is_one_error_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, room: int
) -> None:
    monkeypatch.chdir(tmp_path)
    with VoiceAIServerProcess(max_requests=None) as server:
        ids = server.twin.call_ids(60, "LOC")
        Path("ids").write_text("\n".join(ids))
        command = [sys.executable, "-c", PROGRAM, "fetch", "ids", "--location", "LOC", "--output", output, "--quiet"]
        environment = {**quiet(), "GHL_ACCESS_TOKEN": server.token, "GHL_BASE_URL": server.url}

        command[2] = LIMITED.format(room=room)
        full = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
        left = stored(output)
        command[2] = PROGRAM
        after = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)

    assert full.returncode in {1, 2}
    assert full.stderr.startswith(f"ghl-voice: {output} cannot be written: ")
    assert full.stderr.count("\n") == 1
    assert len(left) == len({*left}) < 60
    assert (after.returncode, after.stderr) == (0, "")
    assert sorted(ref.call_id for ref in stored(output)) == sorted(ids)
    assert sorted(path.name for path in Path().iterdir()) == sorted([output, "ids"])


def test_guarantee_63_a_full_disk_names_the_list_of_failures(
    server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    server.fail(Status(404, '{"message": "gone"}'), call_id=server.call_ids(1)[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    write = Failures.write

    def full(self: Failures, results: Any) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
        try:
            write(self, results)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    monkeypatch.setattr(Failures, "write", full)
    assert fetch("calls.jsonl") == 1

    assert error_line(capsys).startswith("ghl-voice: calls.jsonl.failed.jsonl cannot be written: File too large. ")
    assert not Path("calls.jsonl.failed.jsonl").exists() or not Path("calls.jsonl.failed.jsonl").read_bytes()


@pytest.mark.parametrize("kind", ["fifo", "device", "circle", "link into no folder"])
@each_kind
def test_an_output_that_cannot_be_one_is_refused_before_anything_is_sent(
    server: VoiceAIServer, output: str, kind: str, capsys: Capture
) -> None:
    match kind:
        case "fifo":
            os.mkfifo(output)
        case "device":
            Path(output).symlink_to("/dev/null")
        case "circle":
            Path(output).symlink_to(output)
        case _:
            Path(output).symlink_to("missing/calls.db")

    assert fetch(output) == 2

    assert error_line(capsys).startswith(f"ghl-voice: {output} ")
    assert server.seen.requests == 0


@pytest.mark.parametrize("suffix", [".lock", ".failed.jsonl"])
@each_kind
def test_a_file_of_somebody_else_beside_the_output_is_left_alone(
    server: VoiceAIServer, output: str, suffix: str, capsys: Capture
) -> None:
    path = Path(f"{output}{suffix}")
    path.write_text("precious")

    assert fetch(output) == 2

    assert f"{path.name} is no " in error_line(capsys)
    assert path.read_text() == "precious"
    assert server.seen.requests == 0
    assert sorted(found.name for found in Path().iterdir()) == sorted(["ids", path.name])


@each_kind
@pytest.mark.usefixtures("server")
def test_a_link_to_a_file_that_is_not_there_yet_is_an_output(output: str) -> None:
    target = Path("elsewhere")
    Path(output).symlink_to(target)

    assert fetch(output) == fetch(output) == 0

    assert Path(output).is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600
    assert len(stored(output)) == 60


@pytest.mark.parametrize("levels", [900, 1000, 1023])
@each_kind
def test_guarantee_37_a_deeply_nested_response_is_stored_as_it_came(
    server: VoiceAIServer, output: str, levels: int
) -> None:
    nest = "[" * levels + "]" * levels
    server.fail(Status(200, f'{{"id": "deep", "x": {nest}}}'), call_id="deep")
    Path("ids").write_text("\n".join(["deep", *server.call_ids(3)]))

    assert fetch(output) == fetch(output) == 0

    assert nest.encode() in Path(output).read_bytes()
    assert CallRef("deep", server.location_id) in stored(output)
    assert server.seen.requests == 4


@each_kind
def test_guarantee_63_what_is_sent_and_not_stored_is_never_more_than_concurrency(
    server: VoiceAIServer, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, counted, most = KINDS[output], 0, 0
    write = kind.write

    def counting(self: Any, call_logs: Any) -> Any:
        nonlocal counted, most
        given = [*call_logs]
        refused = write(self, given)
        most = max(most, server.seen.requests - counted)  # before the results of this batch count
        counted += len(given)
        return refused

    monkeypatch.setattr(kind, "write", counting)
    assert fetch(output, "--concurrency", "6", "--rate-limit", "none") == 0

    assert 1 < most <= 6


def test_guarantee_63_a_key_of_the_response_does_not_hide_a_call(server: VoiceAIServer) -> None:
    server.add_call_log({"id": "mine", "requestedCallId": "another", "locationId": ["elsewhere"]})
    Path("ids").write_text("mine")

    assert fetch("calls.jsonl") == fetch("calls.jsonl") == 0

    assert json.loads(Path("calls.jsonl").read_text()) == {
        "locationId": server.location_id,
        "id": "mine",
        "_requestedCallId": "another",
        "_locationId": ["elsewhere"],
    }
