"""Runs of `ghl-voice fetch` that are killed at random, until a last one is let through."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import frozen

from ghl_voice_async import CallRef
from ghl_voice_async.cli.outputs import output_at
from ghl_voice_async.testing import Latency, VoiceAIServerProcess

if TYPE_CHECKING:
    from pathlib import Path

FETCH = "import sys; from ghl_voice_async.cli.app import run; sys.exit(run(['fetch', *sys.argv[1:]]))"
START_UP = 60.0


def environment(server: VoiceAIServerProcess) -> dict[str, str]:
    # Not in development mode, in which a slow machine is complained of on standard error.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDEVMODE"}
    return {**kept, "GHL_ACCESS_TOKEN": server.token, "GHL_BASE_URL": server.url}


@frozen
class Killed:
    """What came of it."""

    kills: int
    """Runs that were killed before their end."""
    stored_before: tuple[int, ...]
    """Whole lines or rows after each of them."""
    stored: list[CallRef]
    """What is in the output after the last run, in its order."""
    fetched_again: int
    """Requests more than calls."""


def fetch_and_kill(folder: Path, suffix: str, *, calls: int, concurrency: int, kills: int, seed: int) -> Killed:
    """Fetch until killed so many times, each at a moment of its own after the output was begun, and then to the end."""
    dice = random.Random(seed)
    output = folder / f"calls{suffix}"
    wanted = folder / "wanted"
    with VoiceAIServerProcess(max_requests=None, faults={Latency(0.02): 1.0}) as server:
        refs = [CallRef(id_, name) for name in ("A", "B") for id_ in server.twin.call_ids(calls // 2, name)]
        wanted.write_text("".join(f"{ref.call_id},{ref.location_id}\n" for ref in refs))
        command = [sys.executable, "-c", FETCH, str(wanted), "--output", str(output), "--rate-limit", "none", "-q"]
        command += ["--concurrency", str(concurrency)]
        stored_before = []
        for _ in range(kills):
            with subprocess.Popen(command, env=environment(server)) as process:
                wait_for_more(output, process)
                time.sleep(dice.uniform(0, 0.2))
                process.send_signal(signal.SIGKILL)
            if process.returncode != -signal.SIGKILL:
                break  # it was through before
            stored_before.append(len([*output_at(output).stored()]))
        last = subprocess.run(command, env=environment(server), capture_output=True, check=False, text=True)
        assert (last.returncode, last.stderr) == (0, "")
        seen = server.stop()
    assert set(refs) == set(output_at(output).stored())
    stored = [*output_at(output).stored()]
    return Killed(len(stored_before), tuple(stored_before), stored, seen.requests - len(refs))


def wait_for_more(output: Path, process: subprocess.Popen[bytes]) -> None:
    """Return when the run has added something to the output."""

    def size() -> int:
        found = 0
        for file in output.parent.glob(f"{output.name}*"):
            with suppress(FileNotFoundError):  # SQLite has removed it meanwhile
                found += file.stat().st_size
        return found

    before, until = size(), time.monotonic() + START_UP
    while size() == before and process.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
