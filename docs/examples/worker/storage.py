"""Call logs in SQLite, for all worker processes of one machine."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from ghl_voice_async import CallLog, CallRef, encode_call_log

P = ParamSpec("P")
T = TypeVar("T")

TABLES = """
CREATE TABLE IF NOT EXISTS call_logs (
    location_id TEXT NOT NULL, call_id TEXT NOT NULL, created_at TEXT, body TEXT NOT NULL,
    PRIMARY KEY (location_id, call_id)
);
CREATE TABLE IF NOT EXISTS failures (
    location_id TEXT NOT NULL, call_id TEXT NOT NULL, error TEXT NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (location_id, call_id)
);
"""


class Storage:
    """Writes each call log to where the last one of that call was, so that it does no harm to write it twice."""

    def __init__(self, path: Path) -> None:
        # One thread, since a transaction is its connection's: those of two tasks at once would mix.
        self._thread = ThreadPoolExecutor(1, "storage")
        self._database = sqlite3.connect(path, timeout=60.0, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")  # so that who reads does not keep others from writing
        self._database.executescript(TABLES)

    async def missing(self, call_ids: Iterable[str], location_id: str) -> list[str]:
        """Return those of the calls that are not stored."""
        return await self._run(_missing, call_ids, location_id)

    async def save(self, ref: CallRef, call_log: CallLog) -> None:
        """Store a call log. If the call had failed before, it has not any more."""
        await self._run(_save, ref, call_log)

    async def save_failures(self, refs: Iterable[CallRef], error: Exception) -> None:
        """Note which calls could not be fetched and why, so that somebody can send them again.

        The message has the server's own words, which may quote the call. They are kept with the calls, and only here.
        """
        await self._run(_save_failures, refs, error)

    async def failed(self) -> list[CallRef]:
        """Return the calls that could not be fetched."""
        return await self._run(_failed)

    async def aclose(self) -> None:
        await self._run(sqlite3.Connection.close)
        self._thread.shutdown()

    async def _run(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        def run() -> T:
            return work(self._database, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)


def _missing(database: sqlite3.Connection, call_ids: Iterable[str], location_id: str) -> list[str]:
    wanted = [*call_ids]
    rows = database.execute(
        "SELECT call_id FROM call_logs WHERE location_id = ? AND call_id IN (SELECT value FROM json_each(?))",
        (_as_text(location_id), json.dumps(wanted)),
    )
    stored = {call_id for (call_id,) in rows}
    return [call_id for call_id in wanted if call_id not in stored]


def _save(database: sqlite3.Connection, ref: CallRef, call_log: CallLog) -> None:
    created_at = call_log.created_at and call_log.created_at.isoformat()
    body = json.dumps(encode_call_log(call_log), ensure_ascii=False)
    with database:
        database.execute(
            "INSERT INTO call_logs (location_id, call_id, created_at, body) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET created_at = excluded.created_at, body = excluded.body",
            (ref.location_id, ref.call_id, created_at, body),
        )
        database.execute("DELETE FROM failures WHERE location_id = ? AND call_id = ?", (ref.location_id, ref.call_id))


def _save_failures(database: sqlite3.Connection, refs: Iterable[CallRef], error: Exception) -> None:
    with database:
        database.executemany(
            "INSERT INTO failures (location_id, call_id, error, message) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET error = excluded.error, message = excluded.message",
            [
                (_as_text(ref.location_id), _as_text(ref.call_id), type(error).__name__, _as_text(str(error)))
                for ref in refs
            ],
        )


def _as_text(sent: str) -> str:
    """Escape the halves of surrogate pairs, which JSON can bring and SQLite does not take."""
    return sent.encode(errors="backslashreplace").decode()


def _failed(database: sqlite3.Connection) -> list[CallRef]:
    rows = database.execute("SELECT call_id, location_id FROM failures ORDER BY location_id, call_id")
    return [CallRef(*row) for row in rows]
