"""A lock on an output, which ends with its process however that ends."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ghl_voice_async.cli.private_file import create_private, open_beside
from ghl_voice_async.cli.refusal import not_ours, reason, refused_unless, warn

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["locked"]

_CONTENT: Final = b"ghl-voice fetch\n"
_ATTEMPTS: Final = 5
# Windows has one more for a byte that another process has locked.
_HELD: Final = {errno.EWOULDBLOCK, errno.EAGAIN} | ({errno.EACCES} if sys.platform == "win32" else set())


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Hold the lock of an output, or raise `click.UsageError` where another run has it.

    The lock is on a file beside the output, which is there for as long as the run. One that a killed run left behind
    is locked by nobody. Where the file system has no locks, warn and go on without one.
    """
    path = f"{os.path.realpath(output)}.lock"
    has_folder = os.path.isdir(os.path.dirname(path))  # noqa: PTH112, PTH120  # a text
    with refused_unless(Path(path) if has_folder else output, "written"):
        file, is_new = _locked_file(path, output)
    try:
        yield
    finally:
        with suppress(OSError):  # Windows does not remove a file that is open
            if _is_at(path, file) and (is_new or _content(file) == _CONTENT):
                os.unlink(path)  # noqa: PTH108  # a text
        os.close(file)


def _locked_file(path: str, output: Path) -> tuple[int, bool]:
    """Return the locked file, and True where this run has created it."""
    for _ in range(_ATTEMPTS):
        try:
            file, is_new = _opened_file(path)
        except FileNotFoundError:  # another run is just removing it, or there is no folder
            if not os.path.isdir(os.path.dirname(path)):  # noqa: PTH112, PTH120  # a text
                raise
            continue
        try:
            _refuse_foreign(path, file)
            _lock(file)
        except OSError as error:
            if error.errno in _HELD:
                os.close(file)
                break
            warn(f"{output} cannot be locked ({reason(error)}), so start no second run that writes to it.")
            return file, is_new
        except click.UsageError:
            os.close(file)
            raise
        # The run that had the lock may have removed the file since it was opened here, and a third one made it anew.
        if _is_at(path, file):
            return file, is_new
        os.close(file)
    raise click.UsageError(f"Another run is writing to {output}; wait for its end.")


def _opened_file(path: str) -> tuple[int, bool]:
    try:
        file = create_private(path)
    except FileExistsError:
        return open_beside(path), False
    with suppress(OSError):  # a disk without room for it: the file stays empty
        os.write(file, _CONTENT)
    return file, True


def _refuse_foreign(path: str, file: int) -> None:
    """Raise `click.UsageError` for a file that says something else. An empty one is a lock, and is not removed.

    After a power cut, a lock may hold NUL bytes, or the first of its bytes.
    """
    if not _CONTENT.startswith(_content(file).rstrip(b"\0")):
        raise not_ours(path, "is no lock of this command")


def _content(file: int) -> bytes:
    os.lseek(file, 0, os.SEEK_SET)
    return os.read(file, len(_CONTENT) + 1)


def _is_at(path: str, file: int) -> bool:
    """Return True if the file is still the one with this name."""
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False


def _lock(file: int) -> None:
    if sys.platform == "win32":
        os.lseek(file, 1 << 30, os.SEEK_SET)  # behind the content, which others read
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
