from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import click
import pytest

from ghl_voice_async import CallLog, CallRef, decode_call_log
from ghl_voice_async.cli import sqlite_file
from ghl_voice_async.cli.sqlite_file import SqliteFile

if TYPE_CHECKING:
    from pathlib import Path

A1, A2, B1 = CallRef("a1", "A"), CallRef("a2", "A"), CallRef("b1", "B")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.db"


def add(path: Path, *refs: CallRef, **fields: Any) -> None:
    file = SqliteFile(path)
    file.open()
    file.write((ref, CallLog(id=ref.call_id, **fields)) for ref in refs)
    file.close()


def stored(path: Path) -> list[CallRef]:
    return sorted(SqliteFile(path).stored())


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def test_there_is_a_column_for_each_scalar_field(path: Path, documented: dict[str, Any]) -> None:
    nested = {"executed_call_actions", "translation", "extracted_data", "extra"}
    scalars = [name for name in attrs.fields_dict(CallLog) if name not in nested]
    scalars[0] = "call_id"
    assert [*sqlite_file._COLUMNS] == ["location_id", *scalars, "body"]
    call_log = decode_call_log(documented)
    file = SqliteFile(path)
    file.open()
    file.write([(CallRef(call_log.id, "A"), call_log)])
    file.close()
    (row,) = query(path, "SELECT * FROM call_logs")
    assert row[0] == "A"
    assert list(row[1:6]) == [
        call_log.id,
        call_log.contact_id,
        call_log.agent_id,
        call_log.is_agent_deleted,
        call_log.from_number,
    ]
    assert json.loads(row[-1]) == documented


def test_times_and_numbers_are_sqls(path: Path) -> None:
    add(path, A1, created_at=datetime(2026, 4, 28, 13, 43, 46, tzinfo=UTC), duration=2**63, trial_call=True)
    sql = "SELECT strftime('%Y-%m %H', created_at), duration, trial_call, summary FROM call_logs"
    assert query(path, sql) == [("2026-04 13", 2.0**63, 1, None)]


def test_what_was_written_is_found_again(path: Path) -> None:
    assert stored(path) == []
    add(path, A1, A2)
    add(path, B1, A1)
    assert stored(path) == [A1, A2, B1]


def test_an_answer_with_another_id_is_found_under_the_one_asked_for(path: Path) -> None:
    file = SqliteFile(path)
    file.open()
    file.write([(A1, CallLog(id="another"))])
    file.close()
    assert stored(path) == [A1]
    assert query(path, "SELECT body FROM call_logs") == [('{"id": "another"}',)]


def test_a_finished_database_is_one_file_that_a_reader_need_not_write_to(path: Path) -> None:
    add(path, A1)
    assert [file.name for file in path.parent.iterdir()] == ["calls.db"]
    assert query(path, "PRAGMA journal_mode") == [("delete",)]


def test_somebody_who_reads_holds_up_neither_writing_nor_closing(path: Path) -> None:
    add(path, A1)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        file = SqliteFile(path)
        file.open()
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM call_logs").fetchone() == (1,)
        file.write([(A2, CallLog(id="a2"))])
        file.close()
        assert reader.execute("SELECT count(*) FROM call_logs").fetchone() == (1,)
    assert stored(path) == [A1, A2]


@pytest.mark.parametrize("content", [b"call_id,location_id\n" * 100, b"SQLite format 3\x00" + b"\xff" * 2000])
def test_a_file_of_another_kind_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(click.UsageError, match=r"calls\.db cannot be used as a database: "):
        stored(path)
    assert path.read_bytes() == content


def test_another_table_of_that_name_is_refused(path: Path) -> None:
    query(path, "CREATE TABLE call_logs (id TEXT)")
    with pytest.raises(click.UsageError, match="has another table call_logs"):
        stored(path)


def test_a_database_of_other_tables_gets_one_more(path: Path) -> None:
    query(path, "CREATE TABLE other (id TEXT)")
    assert stored(path) == []
    add(path, A1)
    assert stored(path) == [A1]


def test_a_database_that_nothing_was_written_to_is_not_left_behind(path: Path) -> None:
    add(path)
    assert list(path.parent.iterdir()) == []


def test_an_empty_file_that_was_there_before_is_used_and_stays(path: Path) -> None:
    path.touch()
    assert stored(path) == []
    add(path)
    assert path.exists()


def test_what_was_never_opened_can_be_closed(path: Path) -> None:
    SqliteFile(path).close()
    assert not path.exists()


def test_what_the_database_complains_of_is_an_os_error(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 2000)

    with pytest.raises(OSError, match="file is not a database") as caught:
        SqliteFile(path).open()

    assert caught.value.strerror == "file is not a database"
