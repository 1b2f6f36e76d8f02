"""The files of an open database, watched: another program may remove, replace or truncate them."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from ghl_voice_async.cli.private_file import WatchedFile, open_beside
from ghl_voice_async.cli.refusal import changed_outside, not_ours

__all__ = ["WatchedDatabase", "refuse_foreign_beside"]

_HEADER: Final = b"SQLite format 3\x00"
_BESIDE: Final = ("-wal", "-shm")  # there as long as the database is open in WAL mode
_BEGINNINGS: Final = {
    "-wal": (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"),
    "-journal": (b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7",),
}


def refuse_foreign_beside(path: Path) -> None:
    """Raise `click.UsageError` for files that SQLite would take for its own and overwrite, and that are not."""
    real = os.path.realpath(path)
    for suffix, beginnings in _BEGINNINGS.items():
        with suppress(FileNotFoundError):
            file = open_beside(f"{real}{suffix}")
            content = os.read(file, 8).rstrip(b"\0")  # a power cut leaves NUL bytes, or only a part
            os.close(file)
            if not any(content.startswith(beginning) or beginning.startswith(content) for beginning in beginnings):
                raise not_ours(f"{real}{suffix}", "is no file of SQLite")
    with suppress(FileNotFoundError):  # one that is opened and closed loses its locks
        if not stat.S_ISREG(os.lstat(f"{real}-shm").st_mode):
            raise not_ours(f"{real}-shm", "is not a regular file")


class WatchedDatabase:
    """A database file and what SQLite keeps beside it while it writes there.

    `file` is a descriptor of the database. It has to be closed after the last connection: closing it drops the
    locks of all of them.
    """

    def __init__(self, path: Path, file: int) -> None:
        self._path = path
        self._file = file
        self._watched = WatchedFile(path, file)
        self._real = os.path.realpath(path)
        self._size = 0
        self._beside: dict[str, os.stat_result] = {}

    def watch_beside(self) -> None:
        """Watch the files beside the database, too, from now on."""
        for name in (f"{self._real}{suffix}" for suffix in _BESIDE):
            with suppress(FileNotFoundError):
                self._beside[name] = os.lstat(name)

    def check(self) -> None:
        """Raise `OutputError` where another program has removed, replaced or truncated a file of the database."""
        self.check_alone()
        for name, before in self._beside.items():
            try:
                if os.path.samestat(os.lstat(name), before):
                    continue
            except FileNotFoundError:
                pass
            raise changed_outside(Path(name), "was removed or replaced")

    def check_alone(self) -> None:
        """Raise `OutputError` where another program has removed, replaced or truncated the database itself."""
        self._watched.check()
        if not self.is_whole():
            raise changed_outside(self._path, "was truncated or overwritten")
        self._size = os.fstat(self._file).st_size

    def is_whole(self) -> bool:
        """Return True if the database, whatever its name is now, has not shrunk and begins as one."""
        os.lseek(self._file, 0, os.SEEK_SET)
        beginning = os.read(self._file, len(_HEADER))
        return os.fstat(self._file).st_size >= self._size and beginning in {b"", _HEADER}

    def has_foreign_beside(self) -> bool:
        """Return True if another program has put a file where SQLite had one."""
        return any(
            os.path.exists(name) and not os.path.samestat(os.lstat(name), before)  # noqa: PTH110  # a text
            for name, before in self._beside.items()
        )
