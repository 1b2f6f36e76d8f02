"""Call logs in the table `call_logs` of an SQLite database, for anyone's SQL."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final

import click

from ghl_voice_async import CallRef, encode_call_log
from ghl_voice_async.cli.json_text import UnstorableError, json_text
from ghl_voice_async.cli.private_file import open_output, refuse_unless_regular, remove_created
from ghl_voice_async.cli.refusal import OutputError, changed_outside, unwritable
from ghl_voice_async.cli.sqlite_watch import WatchedDatabase, refuse_foreign_beside
from ghl_voice_async.cli.waiting import LockWait

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
_INSERT: Final = f"INSERT OR REPLACE INTO call_logs VALUES ({', '.join(f':{name}' for name in _COLUMNS)})"  # noqa: S608  # names from above
_TIMEOUT: Final = 0.2  # seconds, before the wait for others is `LockWait`'s
# What sqlite3 raises for a value that SQLite cannot hold, before anything is changed.
_UNFIT: Final = (sqlite3.DataError, sqlite3.ProgrammingError, OverflowError, UnicodeError)


class SqliteFile:
    """An output whose rows are committed in batches.

    `call_id` is the call asked for; `body` is the response as JSON.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock_wait = LockWait(path)
        self._connection: sqlite3.Connection | None = None
        self._is_new = False
        self._was_read = False
        self._before: os.stat_result | None = None

    def stored(self) -> Iterator[CallRef]:
        """Give the calls that are in the table. Raises `click.UsageError` for a file that is something else."""
        self._was_read = True
        refuse_unless_regular(self._path)
        refuse_foreign_beside(self._path)  # reading removes them, too
        try:
            self._before = self._path.stat()
        except FileNotFoundError:
            return
        if self._before.st_size == 0:
            return
        run = self._lock_wait.run
        try:
            with closing(self._connected()) as connection:
                columns = [row[1] for row in run(lambda: connection.execute("PRAGMA table_info(call_logs)"))]
                if columns and columns != [*_COLUMNS]:
                    raise click.UsageError(f"{self._path} has another table call_logs; give another --output.")
                if columns:
                    for row in run(lambda: connection.execute("SELECT call_id, location_id FROM call_logs")):
                        yield CallRef(*row)
        except sqlite3.Error as error:
            raise click.UsageError(f"{self._path} cannot be used as a database: {error}.") from None

    def open(self) -> None:
        """Open the database for writing, create it where it is missing, and make its table where that is missing."""
        refuse_foreign_beside(self._path)
        self._file, self._is_new = open_output(self._path)
        try:
            self._refuse_another_than_was_read()
            self._database = WatchedDatabase(self._path, self._file)
            self._connection = self._prepared()
        except sqlite3.Error as error:
            self._give_up()
            raise OSError(None, str(error)) from None
        except BaseException:
            self._give_up()
            raise

    def write(self, call_logs: Iterable[tuple[CallRef, CallLog]]) -> dict[CallRef, UnstorableError]:
        """Write call logs, commit them together, and return those that SQLite cannot hold."""
        refused: dict[CallRef, UnstorableError] = {}
        rows = []
        for ref, call_log in call_logs:
            try:
                rows.append((ref, _row(ref, call_log)))
            except Exception as error:  # noqa: BLE001  # a fault of one call log stays with that call log
                refused[ref] = UnstorableError(ref, error)
        self._database.check()
        with self._errors_told():
            refused |= self._lock_wait.run(lambda: self._insert(rows))
        self._database.check()
        return refused

    def close(self) -> None:
        """Leave one file behind that needs no other, or none where this run made it and nothing is in it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            with self._errors_told(), closing(connection):
                is_empty = self._finish(connection)
            self._database.check_alone()
            if is_empty and self._is_new:
                remove_created(self._path, self._file)
        finally:
            os.close(self._file)

    def _connected(self) -> sqlite3.Connection:
        # So that SQLite creates no file, which others could read.
        uri = f"{self._path.absolute().as_uri()}?mode=rw"
        return sqlite3.connect(uri, uri=True, timeout=_TIMEOUT, check_same_thread=False)

    def _prepared(self) -> sqlite3.Connection:
        connection = self._connected()
        try:
            # So that somebody who reads meanwhile, for however long, does not keep this run from writing.
            self._lock_wait.run(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchall())
            self._lock_wait.run(lambda: connection.execute(_CREATE))
            self._database.watch_beside()
            self._database.check()
        except BaseException:
            connection.close()
            raise
        return connection

    def _insert(self, rows: Iterable[tuple[CallRef, dict[str, object]]]) -> dict[CallRef, UnstorableError]:
        assert self._connection is not None  # noqa: S101  # opened before
        refused = {}
        with self._connection:
            for ref, row in rows:
                try:
                    self._connection.execute(_INSERT, row)
                except _UNFIT as error:
                    refused[ref] = UnstorableError(ref, error)
        return refused

    def _finish(self, connection: sqlite3.Connection) -> bool:
        """Bring everything into the one file, and return True if there is no call log in it."""
        try:
            self._database.check()
        except OutputError:
            # A database that was moved gets what it lacks, wherever it is now.
            if self._database.is_whole() and not self._database.has_foreign_beside():
                with suppress(sqlite3.Error):
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            raise
        rows = self._lock_wait.run(lambda: connection.execute("SELECT 1 FROM call_logs LIMIT 1").fetchall())
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            # Somebody is reading. The last one to close it, or the next run, brings it into one file.
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        return not rows

    def _give_up(self) -> None:
        """Close a file that could not be used, and remove it where this run created it."""
        if self._is_new:
            remove_created(self._path, self._file)
        os.close(self._file)

    def _refuse_another_than_was_read(self) -> None:
        before = self._before
        is_same = self._is_new if before is None else os.path.samestat(before, os.fstat(self._file))
        if self._was_read and not is_same:
            raise changed_outside(self._path, "was replaced by another file")

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise unwritable(self._path, OSError(None, str(error))) from None
        except OSError as error:
            raise unwritable(self._path, error) from None


def _row(ref: CallRef, call_log: CallLog) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(call_log, name, None) for name in _COLUMNS}
    return row | {
        "location_id": ref.location_id,
        "call_id": ref.call_id,
        "created_at": None if call_log.created_at is None else call_log.created_at.isoformat(),
        "duration": None if call_log.duration is None else float(call_log.duration),
        "body": json_text(encode_call_log(call_log)),
    }
