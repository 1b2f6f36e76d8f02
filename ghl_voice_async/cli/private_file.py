"""Files that only their owner may read from the moment they exist, and that are regular files."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import click

from ghl_voice_async.cli.refusal import changed_outside, not_ours, warn

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "WatchedFile",
    "create_private",
    "open_beside",
    "open_output",
    "open_to_read",
    "refuse_unless_regular",
    "remove_created",
]

_PRIVATE: Final = stat.S_IRUSR | stat.S_IWUSR
_OTHERS_READ: Final = stat.S_IRGRP | stat.S_IROTH
# Windows has some of these alone, and POSIX the others. Opening a FIFO never waits for its other end.
_ALWAYS: Final[int] = getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_APPEND: Final[int] = os.O_RDWR | os.O_APPEND | _ALWAYS
_NO_FOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)


def create_private(path: str | os.PathLike[str]) -> int:
    """Create a file for its owner alone, whatever the umask. Raise `FileExistsError` where there is one."""
    file = os.open(path, _APPEND | os.O_CREAT | os.O_EXCL, _PRIVATE)
    if stat.S_IMODE(os.fstat(file).st_mode) != _PRIVATE and hasattr(os, "fchmod"):
        with suppress(OSError):  # a file system without modes
            os.fchmod(file, _PRIVATE)
    return file


def open_output(path: Path) -> tuple[int, bool]:
    """Open an output to append to it, and return its descriptor and True where this has created it.

    A symbolic link is followed, also one whose target does not exist yet: the user chose that name. An output that
    others may read keeps its mode, with a warning.
    """
    refuse_unless_regular(path)
    try:
        file, is_new = os.open(path, _APPEND), False
    except FileNotFoundError:
        file, is_new = create_private(os.path.realpath(path)), True
    _warn_if_others_read(path, file)
    return file, is_new


def open_to_read(path: Path) -> int:
    """Open an output to read it. Raise `FileNotFoundError` where there is none."""
    refuse_unless_regular(path)
    return os.open(path, os.O_RDONLY | _ALWAYS)


def open_beside(path: str | os.PathLike[str]) -> int:
    """Open a file that this command keeps beside an output. Raise `FileNotFoundError` where there is none.

    Raise `click.UsageError` for a link of either kind, and for what is no regular file: those are not from this
    command, and writing to them would write to something else.
    """
    before = os.lstat(path)
    if stat.S_ISLNK(before.st_mode):
        raise not_ours(path, "is a symbolic link")
    if not stat.S_ISREG(before.st_mode):
        raise not_ours(path, "is not a regular file")
    file = os.open(path, _APPEND | _NO_FOLLOW)
    opened = os.fstat(file)
    if os.path.samestat(before, opened) and opened.st_nlink <= 1:
        return file
    os.close(file)
    if opened.st_nlink > 1:
        raise not_ours(path, "has another name, as a hard link")
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))  # it was replaced just now


def refuse_unless_regular(path: Path) -> None:
    """Raise `click.UsageError` for a FIFO, a device, a socket or a folder. No file at all is fine."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.stat().st_mode):
            raise click.UsageError(f"{path} is not a regular file; give another --output.")


def remove_created(path: Path, file: int) -> None:
    """Remove an open output that this run has created, and not a link to it or a file that has its name by now.

    Windows removes no file that is open: an empty one stays there.
    """
    real = os.path.realpath(path)
    with suppress(OSError):
        if os.path.samestat(os.lstat(real), os.fstat(file)):
            os.unlink(real)  # noqa: PTH108  # a text


def _warn_if_others_read(path: Path, file: int) -> None:
    if sys.platform != "win32" and os.fstat(file).st_mode & _OTHERS_READ:
        warn(f"other users can read {path}, which holds transcripts and phone numbers; `chmod 600` ends that.")


class WatchedFile:
    """An open file whose name is watched: another program may remove, rename or replace it."""

    def __init__(self, path: Path, file: int) -> None:
        self._path = path
        self._full_path = os.path.abspath(path)  # so that a moved folder is noticed  # noqa: PTH100  # links stay
        self._opened = os.fstat(file)
        is_link = stat.S_ISLNK(os.lstat(self._full_path).st_mode)
        self._stat = os.stat if is_link else os.lstat

    def check(self) -> os.stat_result:
        """Return what the system knows of the file. Raise `OutputError` where its name is no longer this file's."""
        try:
            now = self._stat(self._full_path)
        except OSError:
            raise changed_outside(self._path, "was removed, renamed or moved") from None
        if not os.path.samestat(now, self._opened):
            raise changed_outside(self._path, "was replaced by another file")
        if self._opened.st_mode & ~now.st_mode & _PRIVATE:
            raise changed_outside(self._path, "was made unreadable or unwritable for its owner")
        return now
