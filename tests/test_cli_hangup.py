"""What happens to a command whose terminal is closed."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from command_line import PROGRAM
from killed import environment, wait_for_more

from ghl_voice_async.cli.jsonl_file import JsonlFile
from ghl_voice_async.testing import VoiceAIServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CALLS = 60


@pytest.fixture(scope="module")
def server() -> Iterator[VoiceAIServerProcess]:
    with VoiceAIServerProcess(max_requests=None) as running:
        yield running


@pytest.fixture
def output(server: VoiceAIServerProcess, tmp_path: Path) -> Path:
    (tmp_path / "ids").write_text("\n".join(server.twin.call_ids(CALLS, "LOC")))
    return tmp_path / "calls.jsonl"


def fetching(
    server: VoiceAIServerProcess, output: Path, *, hangup: signal.Handlers = signal.SIG_DFL, **settings: Any
) -> subprocess.Popen[bytes]:
    """Start a fetch that takes seconds, and return once it has stored something.

    These tests may run under `nohup` themselves, so what the process does with a SIGHUP at its start is always set.
    """
    settings["preexec_fn"] = lambda: signal.signal(signal.SIGHUP, hangup)
    arguments = ["fetch", str(output.with_name("ids")), "--location", "LOC", "--output", str(output)]
    command = [sys.executable, "-c", PROGRAM, *arguments, "--rate-limit", "20/1"]
    process = subprocess.Popen(command, env=environment(server), start_new_session=True, **settings)
    wait_for_more(output, process)
    return process


def stored(output: Path) -> int:
    return len([*JsonlFile(output).stored()])


def test_a_hangup_ends_a_fetch_in_good_order(server: VoiceAIServerProcess, output: Path) -> None:
    with fetching(server, output, stderr=subprocess.PIPE) as process:
        process.send_signal(signal.SIGHUP)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 130
    assert said.splitlines()[-1] == b"ghl-voice: interrupted"
    assert 0 < stored(output) < CALLS
    assert not output.with_name("calls.jsonl.lock").exists()


def test_a_hangup_that_is_ignored_from_the_start_ends_nothing(server: VoiceAIServerProcess, output: Path) -> None:
    """As under `nohup`."""
    with fetching(server, output, hangup=signal.SIG_IGN, stderr=subprocess.DEVNULL) as process:
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 0

    assert stored(output) == CALLS


def test_a_terminal_that_is_gone_keeps_a_fetch_from_nothing(server: VoiceAIServerProcess, output: Path) -> None:
    """The terminal takes no more text, and its progress bar is on it."""
    keyboard, screen = pty.openpty()

    with fetching(server, output, stderr=screen) as process:
        os.close(screen)
        os.close(keyboard)
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 130

    assert 0 < stored(output) < CALLS
    assert not output.with_name("calls.jsonl.lock").exists()
