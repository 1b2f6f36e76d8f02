"""Runs of `ghl-voice fetch` that are killed at random, until a last one is let through."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import frozen
from command_line import PROGRAM, quiet

from ghl_voice_async import CallRef
from ghl_voice_async.cli.outputs import output_at
from ghl_voice_async.testing import Latency, VoiceAIServerProcess

if TYPE_CHECKING:
    from pathlib import Path

START_UP = 60.0


def environment(server: VoiceAIServerProcess) -> dict[str, str]:
    return {**quiet(), "GHL_ACCESS_TOKEN": server.token, "GHL_BASE_URL": server.url}


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
        settings = ["--output", str(output), "--rate-limit", "none", "--concurrency", str(concurrency), "--quiet"]
        command = [sys.executable, "-c", PROGRAM, "fetch", str(wanted), *settings]
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
    stored = [*output_at(output).stored()]
    assert set(stored) == set(refs)
    return Killed(len(stored_before), tuple(stored_before), stored, seen.requests - len(refs))


def wait_for_more(output: Path, process: subprocess.Popen[bytes]) -> None:
    """Return when the run has added something to the output."""

    def size() -> int:
        found = 0
        for file in {*output.parent.glob(f"{output.name}*")} - {output.with_name(f"{output.name}.lock")}:
            with suppress(FileNotFoundError):  # SQLite has removed it meanwhile
                found += file.stat().st_size
        return found

    before, until = size(), time.monotonic() + START_UP
    while size() == before and process.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
