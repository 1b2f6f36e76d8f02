from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from ghl_voice_async.cli.lock import locked

HOLD = """
import sys
from pathlib import Path
from ghl_voice_async.cli.lock import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_refused_while_the_first_one_lasts(tmp_path: Path) -> None:
    output = tmp_path / "calls.jsonl"
    with locked(output):
        with pytest.raises(click.UsageError, match=r"Another run is writing to .*calls\.jsonl; wait for its end\."):
            locked(output).__enter__()
        with locked(tmp_path / "other.jsonl"):
            pass
    with locked(output):
        pass
    assert list(tmp_path.iterdir()) == []


def test_another_name_of_the_same_output_has_the_same_lock(tmp_path: Path) -> None:
    output, other = tmp_path / "calls.jsonl", tmp_path / "other.jsonl"
    other.symlink_to(output)
    with locked(output), pytest.raises(click.UsageError, match="Another run"):
        locked(other).__enter__()


def test_the_lock_of_a_killed_run_is_nobodys(tmp_path: Path) -> None:
    output = tmp_path / "calls.jsonl"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(output)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(click.UsageError):
            locked(output).__enter__()
        os.kill(process.pid, signal.SIGKILL)
    with locked(output):
        pass


def test_a_lock_file_that_was_made_anew_meanwhile_is_not_taken_for_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever had the lock removes the file: two others could hold locks on a file each, the old and a new one."""
    output = tmp_path / "calls.jsonl"

    def locked_by_us_and_made_anew(*_: object) -> None:
        Path(f"{output}.lock").unlink()
        Path(f"{output}.lock").touch()

    monkeypatch.setattr("ghl_voice_async.cli.lock._lock", locked_by_us_and_made_anew)
    with pytest.raises(click.UsageError, match="Another run"):
        locked(output).__enter__()


def test_a_folder_that_is_not_there_is_said_to_be_the_reason(tmp_path: Path) -> None:
    output = tmp_path / "missing" / "calls.jsonl"
    with pytest.raises(click.UsageError) as caught:
        locked(output).__enter__()
    assert caught.value.format_message() == f"{output} cannot be written: No such file or directory."
