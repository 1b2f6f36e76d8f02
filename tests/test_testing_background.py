from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ghl_voice_async import CallLog, VoiceAIClient
from ghl_voice_async.testing import Status, VoiceAIServer, VoiceAIServerProcess, running_in_thread

if TYPE_CHECKING:
    from pathlib import Path


async def fetch(server: VoiceAIServer | VoiceAIServerProcess, call_id: str, location_id: str) -> CallLog:
    async with VoiceAIClient(server.token, base_url=server.url) as client:
        return await client.get_call_log(call_id, location_id)


def test_a_server_in_a_thread_serves_a_program_with_a_loop_of_its_own() -> None:
    before = threading.active_count()
    with running_in_thread(VoiceAIServer(seed=5)) as server:
        call_id = server.call_ids(1)[0]
        server.fail(Status(503))
        assert asyncio.run(fetch(server, call_id, server.location_id)).id == call_id
        assert server.seen.requests == 2
    assert threading.active_count() == before


def test_a_server_that_cannot_listen_says_so_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with running_in_thread(VoiceAIServer()) as server:
        taken = int(server.url.rpartition(":")[2])
        with pytest.raises(OSError, match="address"), running_in_thread(VoiceAIServer(port=taken)):
            pytest.fail("it cannot run")
    assert threading.active_count() == before


def test_a_server_in_a_process_knows_what_its_twin_knows() -> None:
    with VoiceAIServerProcess(seed=5, token="pit-other", faults={Status(503): 0.5}) as server:
        call_id = server.twin.call_ids(1)[0]
        call = asyncio.run(fetch(server, call_id, server.twin.location_id))
        assert call.id == call_id
        assert call.summary == server.twin.call_log(call_id).get("summary")
        seen = server.stop()
    assert seen.statuses == {200: 1}
    assert seen.requests == 1 + seen.faults.total()


def test_a_process_ends_with_its_block() -> None:
    with VoiceAIServerProcess() as server:
        process = server._process
    assert process is not None
    assert process.returncode == 0
    with pytest.raises(RuntimeError, match="not running"):
        server.stop()


@pytest.mark.parametrize("settings", [{"seed": 1, "max_requests": 0}, {"port": -1}, {"no_such": 1}], ids=repr)
def test_bad_settings_are_refused(settings: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError)), VoiceAIServerProcess(**settings):
        pytest.fail("it cannot run")
    capfd.readouterr()


def test_a_process_that_cannot_listen_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    with running_in_thread(VoiceAIServer()) as server:
        taken = int(server.url.rpartition(":")[2])
        with pytest.raises(RuntimeError, match="ended at once, with exit code 1"), VoiceAIServerProcess(port=taken):
            pytest.fail("it cannot run")
    assert "address" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"), [("frozen", True), ("frozen", "windows_exe"), ("executable", ""), ("executable", None)]
)
def test_a_program_that_is_no_python_has_its_server_in_a_thread(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    before = threading.active_count()
    monkeypatch.setattr(sys, name, value, raising=False)

    with VoiceAIServerProcess(seed=5) as server:
        call_id = server.twin.call_ids(1)[0]
        call = asyncio.run(fetch(server, call_id, server.twin.location_id))
        seen = server.stop()

    assert call.id == call_id
    assert seen.statuses == {200: 1}
    assert [*seen.latest] == []
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="not running"):
        server.stop()


def test_its_server_ends_with_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    monkeypatch.setattr(sys, "frozen", True, raising=False)

    with VoiceAIServerProcess() as server:
        assert server.url.startswith("http://127.0.0.1:")

    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (None, "cannot be started with .*: No such file or directory"),
        ("exit 2", "ended at once, with exit code 2"),
        ("echo hello; cat", "said no URL"),
        ("exec sleep 1000", "ended at once, with exit code -9"),
    ],
)
def test_an_executable_that_cannot_run_the_server_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str | None, problem: str
) -> None:
    executable = tmp_path / "python"
    if script is not None:
        executable.write_text(f"#!/bin/sh\n{script}\n")
        executable.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(executable))
    if script is not None and script.startswith("exec"):
        monkeypatch.setattr("ghl_voice_async.testing.background._START_UP", 0.1)

    with pytest.raises(RuntimeError, match=problem), VoiceAIServerProcess():
        pytest.fail("it cannot run")


def test_settings_that_an_ended_process_does_not_read_are_no_other_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    executable = tmp_path / "python"
    executable.write_text("#!/bin/sh\nexit 2\n")
    executable.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(executable))
    large = {"token": "x" * 2_000_000}  # more than a pipe holds

    with pytest.raises(RuntimeError, match="ended at once, with exit code 2"), VoiceAIServerProcess(**large):
        pytest.fail("it cannot run")


def test_a_process_that_was_killed_says_so() -> None:
    with VoiceAIServerProcess() as server:
        assert server._process is not None
        server._process.kill()
        with pytest.raises(RuntimeError, match="ended too early, with exit code -9"):
            server.stop()
