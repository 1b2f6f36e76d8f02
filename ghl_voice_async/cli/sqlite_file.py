"""Call logs in the table `call_logs` of an SQLite database, for anyone's SQL."""

from __future__ import annotations

import errno
import json
import sqlite3
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final

import click

from ghl_voice_async import CallRef, encode_call_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ghl_voice_async import CallLog

__all__ = ["SqliteFile"]

_COLUMNS: Final = {
    "location_id": "TEXT NOT NULL",
    "call_id": "TEXT NOT NULL",
    "contact_id": "TEXT",
    "agent_id": "TEXT",
    "is_agent_deleted": "INTEGER",
    "from_number": "TEXT",
    "created_at": "TEXT",
    "duration": "REAL",
    "trial_call": "INTEGER",
    "summary": "TEXT",
    "transcript": "TEXT",
    "message_id": "TEXT",
    "body": "TEXT NOT NULL",
}
_CREATE: Final = (
    f"CREATE TABLE IF NOT EXISTS call_logs ({', '.join(f'{name} {kind}' for name, kind in _COLUMNS.items())}, "
    "PRIMARY KEY (location_id, call_id))"
)
_INSERT: Final = f"INSERT OR REPLACE INTO call_logs VALUES ({', '.join(f':{name}' for name in _COLUMNS)})"  # noqa: S608  # names of ours
_LONGEST_WAIT: Final = 60.0  # seconds, for others who write to the same database


class SqliteFile:
    """An output whose rows are committed in batches. `call_id` is the call asked for; `body` is the answer as JSON."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_new = not path.exists()
        self._connection: sqlite3.Connection | None = None

    def stored(self) -> Iterator[CallRef]:
        """Give the calls that are in the table. Raises `click.UsageError` for a file that is something else."""
        if self._is_new or self._path.stat().st_size == 0:
            return
        try:
            with closing(sqlite3.connect(self._path, timeout=_LONGEST_WAIT)) as connection:
                columns = [row[1] for row in connection.execute("PRAGMA table_info(call_logs)")]
                if columns and columns != [*_COLUMNS]:
                    raise click.UsageError(f"{self._path} has another table call_logs; give another --output.")
                if columns:
                    for row in connection.execute("SELECT call_id, location_id FROM call_logs"):
                        yield CallRef(*row)
        except sqlite3.Error as error:
            raise click.UsageError(f"{self._path} cannot be used as a database: {error}.") from None

    def open(self) -> None:
        """Open the database for writing, and make the table where it is missing."""
        with _as_os_errors():
            connection = sqlite3.connect(self._path, timeout=_LONGEST_WAIT, check_same_thread=False)
            self._connection = connection
            # So that somebody who reads meanwhile, for however long, does not keep us from writing.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_CREATE)

    def write(self, call_logs: Iterable[tuple[CallRef, CallLog]]) -> None:
        """Write call logs, and commit them together."""
        assert self._connection is not None  # noqa: S101  # opened before
        with _as_os_errors(), self._connection:
            self._connection.executemany(_INSERT, (_row(*item) for item in call_logs))

    def close(self) -> None:
        """Leave one file behind that needs no other, or none where this run made it and nothing is in it."""
        if self._connection is None:
            return
        with _as_os_errors(), closing(self._connection) as connection:
            is_empty = connection.execute("SELECT 1 FROM call_logs LIMIT 1").fetchone() is None
            with suppress(sqlite3.OperationalError):  # somebody is reading; then the next run does it
                connection.execute("PRAGMA journal_mode = DELETE")
        if is_empty and self._is_new:
            self._path.unlink()


def _row(ref: CallRef, call_log: CallLog) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(call_log, name, None) for name in _COLUMNS}
    return row | {
        "location_id": ref.location_id,
        "call_id": ref.call_id,
        "created_at": None if call_log.created_at is None else call_log.created_at.isoformat(),
        "duration": None if call_log.duration is None else float(call_log.duration),
        "body": json.dumps(encode_call_log(call_log), ensure_ascii=False),
    }


@contextmanager
def _as_os_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(errno.EIO, str(error)) from None
