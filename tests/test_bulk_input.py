"""What a bulk takes as a call: lines of files, rows of databases, pairs of any class."""

from __future__ import annotations

import io
import sqlite3
from collections import UserDict, deque
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ghl_voice_async import CallRef, InvalidInputError, VoiceAIClient
from ghl_voice_async.bulk_input import read_reference

if TYPE_CHECKING:
    from ghl_voice_async.testing import VoiceAIServer


class Record:
    """A row as asyncpg has it: read by position, with `keys`, and of no registered class."""

    def __init__(self, *values: object) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: int) -> object:
        return self._values[index]

    def keys(self) -> list[str]:
        return [str(index) for index in range(len(self))]


class Unreadable(Record):
    """A row whose cursor is closed."""

    def __getitem__(self, index: int) -> object:
        raise RuntimeError("the cursor is closed")


def row(*values: str) -> sqlite3.Row:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    found: sqlite3.Row = connection.execute(f"SELECT {', '.join('?' * len(values))}", values).fetchone()
    connection.close()
    return found


@pytest.mark.parametrize(
    "item",
    [
        "x",
        "x\n",
        "x\r\n",
        ("x",),
        ["x"],
        row("x"),
        Record("x"),
        ("x", "A"),
        ["x", "A"],
        deque(["x", "A"]),
        CallRef("x", "A"),
        row("x", "A"),
        Record("x", "A"),
        np.array(["x", "A"]),
    ],
)
def test_a_line_or_a_row_names_a_call(item: object) -> None:
    assert read_reference(item, "A") == (("x", "A"), None)


@pytest.mark.parametrize(
    "item",
    [
        b"xy",
        bytearray(b"xy"),
        {"x": 1, "A": 2},
        UserDict({"x": 1, "A": 2}),
        {"x", "A"},
        frozenset({"x", "A"}),
        iter(("x", "A")),
        (),
        ("x", "A", "y"),
        ("x", 1),
        Record("x", None),
        Record("x", "A", "y"),
        Unreadable("x", "A"),
        np.array("x"),
        7,
        None,
    ],
)
def test_anything_else_names_no_call(item: object) -> None:
    _, error = read_reference(item, "A")

    assert isinstance(error, InvalidInputError)


@pytest.mark.parametrize("item", ["xy", ("x",), row("x")])
def test_an_id_without_a_location_names_no_call(item: object) -> None:
    _, error = read_reference(item, None)

    assert isinstance(error, InvalidInputError)


@pytest.mark.parametrize("item", ["x\n\n", "x\r", "\n", "x\u2028"])
def test_a_line_loses_its_end_and_nothing_else(item: str) -> None:
    reference, _ = read_reference(item, "A")

    assert reference.call_id == item.removesuffix("\n")


async def test_a_file_and_cursors_are_read_as_they_are(server: VoiceAIServer) -> None:
    ids = server.call_ids(3)
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE calls (call_id, location_id)")
    connection.executemany("INSERT INTO calls VALUES (?, ?)", [(call_id, server.location_id) for call_id in ids])
    rows = connection.cursor()
    rows.row_factory = sqlite3.Row
    inputs: list[tuple[Any, str | None]] = [
        (io.StringIO("\n".join(ids) + "\n"), server.location_id),
        (connection.execute("SELECT call_id FROM calls"), server.location_id),
        (rows.execute("SELECT call_id, location_id FROM calls"), None),
    ]

    async with VoiceAIClient(server.token, base_url=server.url) as client:
        fetched = [
            [result.call_id async for result in client.fetch_call_logs(calls, location_id) if result.ok]
            for calls, location_id in inputs
        ]

    connection.close()
    assert [sorted(found) for found in fetched] == [sorted(ids)] * 3
