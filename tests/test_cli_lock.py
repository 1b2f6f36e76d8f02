from __future__ import annotations

import errno
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


def refusing(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refused(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("ghl_voice_async.cli.lock._lock", refused)


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EAGAIN])
def test_a_lock_that_is_held_is_another_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    refusing(monkeypatch, number)

    with pytest.raises(click.UsageError, match="Another run is writing to"):
        locked(tmp_path / "calls.jsonl").__enter__()


@pytest.mark.parametrize("name", ["ENOLCK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL", "EIO", "EACCES", "EPERM"])
def test_guarantee_63_a_file_system_without_locks_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    number = getattr(errno, name)
    refusing(monkeypatch, number)
    output = tmp_path / "calls.jsonl"

    with locked(output):
        pass

    assert capsys.readouterr().err == (
        f"ghl-voice: warning: {output} cannot be locked ({os.strerror(number)}), "
        "so start no second run that writes to it.\n"
    )
    assert [*tmp_path.iterdir()] == []


def test_guarantee_63_a_lock_is_its_owners_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with locked(tmp_path / "calls.jsonl"):
            assert (tmp_path / "calls.jsonl.lock").stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


@pytest.mark.parametrize("content", [b"12345\n", b"ghl-voice fetch\nand more", b"\0x"])
def test_a_file_that_another_program_made_is_no_lock(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "calls.jsonl.lock"
    path.write_bytes(content)

    with pytest.raises(click.UsageError, match=r"calls\.jsonl\.lock is no lock of this command; give another"):
        locked(tmp_path / "calls.jsonl").__enter__()

    assert path.read_bytes() == content


def test_an_empty_file_serves_as_a_lock_and_is_not_removed(tmp_path: Path) -> None:
    """An earlier version may have left it, or another program."""
    path = tmp_path / "calls.jsonl.lock"
    path.touch()

    with locked(tmp_path / "calls.jsonl"), pytest.raises(click.UsageError, match="Another run"):
        locked(tmp_path / "calls.jsonl").__enter__()

    assert path.read_bytes() == b""


@pytest.mark.parametrize("content", [bytes(16), b"ghl-v", b"ghl-v" + bytes(11)])
def test_a_lock_that_a_power_cut_has_torn_serves_as_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "calls.jsonl.lock").write_bytes(content)

    with locked(tmp_path / "calls.jsonl"), pytest.raises(click.UsageError, match="Another run"):
        locked(tmp_path / "calls.jsonl").__enter__()


def test_the_file_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The output may be writable in a folder that is not."""

    def refused(_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("ghl_voice_async.cli.lock.create_private", refused)

    with pytest.raises(click.UsageError, match=r"calls\.jsonl\.lock cannot be written: Permission denied\.$"):
        locked(tmp_path / "calls.jsonl").__enter__()


@pytest.mark.parametrize("kind", ["link", "link to nothing", "hard link"])
def test_a_lock_is_never_written_through_a_link(tmp_path: Path, kind: str) -> None:
    path, target = tmp_path / "calls.jsonl.lock", tmp_path / "target"
    target.touch()
    if kind == "hard link":
        path.hardlink_to(target)
    else:
        path.symlink_to(target if kind == "link" else tmp_path / "nothing")
    before = sorted(tmp_path.iterdir())

    with pytest.raises(click.UsageError, match="give another --output, or move that file away"):
        locked(tmp_path / "calls.jsonl").__enter__()

    assert sorted(tmp_path.iterdir()) == before
    assert target.read_bytes() == b""


def test_a_lock_that_somebody_replaced_is_left_to_them(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl.lock"

    with locked(tmp_path / "calls.jsonl"):
        path.unlink()
        path.touch()

    assert path.exists()


def test_a_lock_that_somebody_removed_is_no_error(tmp_path: Path) -> None:
    with locked(tmp_path / "calls.jsonl"):
        (tmp_path / "calls.jsonl.lock").unlink()


def test_a_lock_that_is_just_removed_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "calls.jsonl.lock"
    path.touch()

    def removed(_: object) -> int:
        monkeypatch.undo()
        path.unlink()
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr("ghl_voice_async.cli.lock.open_beside", removed)
    with locked(tmp_path / "calls.jsonl"):
        assert path.read_bytes() == b"ghl-voice fetch\n"


def test_a_full_disk_still_has_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int, __: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with locked(tmp_path / "calls.jsonl"), pytest.raises(click.UsageError, match="Another run"):
        locked(tmp_path / "calls.jsonl").__enter__()

    assert [*tmp_path.iterdir()] == []
