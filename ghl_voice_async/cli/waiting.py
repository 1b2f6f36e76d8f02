"""Waits for other programs that use the same database, and a word about it."""

from __future__ import annotations

import errno
import sqlite3
import time
from typing import TYPE_CHECKING, Final, TypeVar

from ghl_voice_async.cli.refusal import warn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["LockWait"]

T = TypeVar("T")

LONGEST_WAIT: Final = 60.0  # seconds
_BEFORE_A_WORD: Final = 1.0
_BETWEEN_ATTEMPTS: Final = 0.05
_PASSING: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}


class LockWait:
    """Repeats what another program's lock on a database prevents, for a minute.

    SQLite's own timeout does not cover the switch to its write-ahead log, and says nothing meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._has_said_so = False

    def run(self, action: Callable[[], T]) -> T:
        """Return what `action` returns, or raise `OSError` where the database is locked for too long."""
        started = time.monotonic()
        while True:
            try:
                return action()
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _PASSING:
                    raise
            waited = time.monotonic() - started
            if waited >= LONGEST_WAIT:
                raise OSError(errno.EBUSY, f"another program has had it locked for {LONGEST_WAIT:.0f} s")
            if waited >= _BEFORE_A_WORD and not self._has_said_so:
                self._has_said_so = True
                warn(f"another program has locked {self._path}; waiting up to {LONGEST_WAIT:.0f} s for its end.")
            time.sleep(_BETWEEN_ATTEMPTS)
