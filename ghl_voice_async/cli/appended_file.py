"""A file of lines that one run at a time appends to, and that is whole after any accident."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from ghl_voice_async.cli.private_file import WatchedFile, open_output, open_to_read, remove_created
from ghl_voice_async.cli.refusal import changed_outside, unwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["AppendedFile", "foreign_line"]

_PIECE: Final = 65536
# Some file systems cannot be told to write through. That is no failure of what was written.
_CANNOT_SYNC: Final = {errno.EINVAL, errno.ENOTSUP, errno.EROFS}


def foreign_line(path: Path, number: int) -> click.UsageError:
    """Make the refusal of a file with a line that a run does not write."""
    return click.UsageError(f"line {number} of {path} was not written by fetch; give another --output.")


class AppendedFile:
    """A file whose lines each end in a line feed. A last line without one is torn, and is cut off.

    NUL bytes behind the last line are torn, too: a power cut leaves them where the size was written and the data
    was not. `beginning` is how each line begins, so that no file of another kind is cut.
    """

    def __init__(self, path: Path, beginning: bytes) -> None:
        self.is_new: bool = False
        """Whether `open` has created the file."""
        self._path = path
        self._beginning = beginning
        self._file: int | None = None
        self._size = 0
        self._before: os.stat_result | None = None
        self._was_read = False

    def whole_lines(self) -> Iterator[bytes]:
        """Give the whole lines. Raise `click.UsageError` for a last line that no run began."""
        self._was_read, number = True, 1
        try:
            descriptor = open_to_read(self._path)
        except FileNotFoundError:
            return
        with os.fdopen(descriptor, "rb") as file:
            self._before = os.fstat(descriptor)
            left = end = _end_of_last_line(file)
            file.seek(0)
            while left > 0 and (line := file.readline()):
                yield line
                left, number = left - len(line), number + 1
            if not _is_torn(file, end, self._beginning):
                raise foreign_line(self._path, number)

    def open(self, opened: Callable[[Path], tuple[int, bool]] = open_output) -> None:
        """Open the file to append to it, create it where it is missing, and cut off a torn last line.

        Raise `OutputError` where it is not the file whose lines were given.
        """
        file, self.is_new = opened(self._path)
        try:
            self._begin(file)
        except BaseException:
            os.close(file)
            raise
        self._file = file

    def append(self, lines: bytes) -> None:
        """Append whole lines. Return when they are in the file, which is still the one with this name.

        Raise `OutputError` where another program has changed the file, and where the system refuses to write. In
        that case the lines that were written whole stay.
        """
        assert self._file is not None  # noqa: S101  # opened before
        self.check()
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            self._cut_half_line(lines[: len(lines) - len(rest)])
            raise unwritable(self._path, error) from None
        self._size += len(lines)
        self.check()

    def check(self) -> None:
        """Raise `OutputError` where another program has removed, replaced, truncated or extended the file."""
        if self._watched.check().st_size != self._size:
            raise changed_outside(self._path, "was changed by another program")

    def close(self) -> None:
        """Close the file, and remove it where this run created it and nothing is in it.

        Raise `OutputError` where not all that was appended is there to stay.
        """
        file, self._file = self._file, None
        if file is None:
            return
        try:
            self.check()
            os.fsync(file)  # a disk may be found full only now
            if self.is_new and not self._size:
                remove_created(self._path, file)
        except OSError as error:
            if error.errno not in _CANNOT_SYNC:
                raise unwritable(self._path, error) from None
        finally:
            os.close(file)

    def discard(self) -> None:
        """Close the file and remove it, whatever is in it. Another file that has its name by now stays."""
        assert self._file is not None  # noqa: S101  # opened before
        remove_created(self._path, self._file)
        os.close(self._file)
        self._file = None

    def _begin(self, file: int) -> None:
        self._watched = WatchedFile(self._path, file)
        now = self._watched.check()
        if self._was_read and not self._is_as_it_was_read(now):
            raise changed_outside(self._path, "was changed by another program")
        with os.fdopen(file, "rb", closefd=False) as content:
            self._size = _end_of_last_line(content)
        if self._size < now.st_size:
            os.ftruncate(file, self._size)

    def _is_as_it_was_read(self, now: os.stat_result) -> bool:
        if self._before is None:
            return self.is_new
        return os.path.samestat(self._before, now) and self._before.st_size == now.st_size

    def _cut_half_line(self, written: bytes) -> None:
        assert self._file is not None  # noqa: S101  # called while it is open
        with suppress(OSError):  # the next run cuts it otherwise
            if os.fstat(self._file).st_size == self._size + len(written):
                self._size += written.rfind(b"\n") + 1
                os.ftruncate(self._file, self._size)


def _end_of_last_line(file: BinaryIO) -> int:
    """Return the size of all whole lines together."""
    end = file.seek(0, 2)
    while end:
        start = max(end - _PIECE, 0)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _is_torn(file: BinaryIO, start: int, beginning: bytes) -> bool:
    """Return True if a run began what stands behind `start`, or if those are NUL bytes, or nothing."""
    file.seek(start)
    begun = file.read(_PIECE).rstrip(b"\0")
    if not beginning.startswith(begun[: len(beginning)]):
        return False
    if len(begun) >= len(beginning):
        return True
    while piece := file.read(_PIECE):
        if piece.strip(b"\0"):
            return False
    return True
