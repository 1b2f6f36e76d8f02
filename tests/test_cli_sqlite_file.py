from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import click
import pytest

from ghl_voice_async import CallLog, CallRef, decode_call_log
from ghl_voice_async.cli import sqlite_file
from ghl_voice_async.cli.refusal import OutputError
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


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghl_voice_async.cli.waiting.LONGEST_WAIT", 0.0)


def opened(path: Path, *refs: CallRef) -> SqliteFile:
    file = SqliteFile(path)
    file.open()
    file.write((ref, CallLog(id=ref.call_id)) for ref in refs)
    return file


def modes(path: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_guarantee_63_all_files_of_a_database_are_its_owners(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        file = opened(path, A1)
        found = modes(path)
        file.close()
    finally:
        os.umask(before)

    assert found == {"calls.db": 0o600, "calls.db-wal": 0o600, "calls.db-shm": 0o600}
    assert modes(path) == {"calls.db": 0o600}


def rename(path: Path) -> None:
    path.rename(path.with_name("old.db"))


def replace_by_a_copy(path: Path) -> None:
    rename(path)
    path.write_bytes(path.with_name("old.db").read_bytes())


def truncate(path: Path) -> None:
    os.truncate(path, 0)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"something else altogether")


def remove_log(path: Path) -> None:
    path.with_name("calls.db-wal").unlink()


def replace_log(path: Path) -> None:
    remove_log(path)
    path.with_name("calls.db-wal").touch()


def remove_shared_memory(path: Path) -> None:
    path.with_name("calls.db-shm").unlink()


CHANGES = [rename, replace_by_a_copy, truncate, overwrite, remove_log, replace_log, remove_shared_memory]


@pytest.mark.parametrize("change", CHANGES)
def test_guarantee_63_nothing_is_written_to_a_database_that_was_changed(
    path: Path, change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = opened(path, A1)
    change(path)
    monkeypatch.setattr(SqliteFile, "_insert", lambda *_: pytest.fail("it was written to"))

    for action in (lambda: file.write([(A2, CallLog(id="a2"))]), file.close):
        with pytest.raises(OutputError, match=r"while this run wrote to it\. Check it"):
            action()


@pytest.mark.parametrize("change", CHANGES)
def test_guarantee_63_a_change_during_a_commit_is_noticed_before_its_end(path: Path, change: Any) -> None:
    file = opened(path, A1)

    class Changing(str):
        def __conform__(self, _: object) -> str:  # SQLite asks for it in the middle of the write
            change(path)
            return str(self)

        __slots__ = ()

    with pytest.raises(OutputError, match="while this run wrote to it"):
        file.write([(A2, CallLog(id="a2", summary=Changing("x")))])
    with pytest.raises(OutputError):
        file.close()


def test_guarantee_63_a_database_that_was_renamed_has_all_that_was_stored(path: Path) -> None:
    file = opened(path, A1, B1)
    rename(path)

    with pytest.raises(OutputError, match="was removed, renamed or moved"):
        file.close()

    for leftover in path.parent.glob("calls.db-*"):
        leftover.unlink()
    assert stored(path.with_name("old.db")) == [A1, B1]


def test_a_database_whose_log_was_removed_has_all_that_was_stored(path: Path) -> None:
    file = opened(path, A1, B1)
    remove_log(path)

    with pytest.raises(OutputError, match=r"calls\.db-wal was removed or replaced"):
        file.close()

    assert stored(path) == [A1, B1]


def test_a_database_that_changed_since_it_was_read_is_not_written_to(path: Path) -> None:
    add(path, A1)
    file = SqliteFile(path)
    assert [*file.stored()] == [A1]
    replace_by_a_copy(path)

    with pytest.raises(OutputError, match="was replaced by another file"):
        file.open()


def test_a_database_that_appeared_since_there_was_none_is_not_written_to(path: Path) -> None:
    file = SqliteFile(path)
    assert [*file.stored()] == []
    add(path, A1)

    with pytest.raises(OutputError, match="was replaced by another file"):
        file.open()

    assert stored(path) == [A1]


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
@pytest.mark.parametrize("content", [b"x", b"a file of somebody else"])
def test_a_file_beside_the_database_that_is_not_sqlites_is_left_alone(path: Path, suffix: str, content: bytes) -> None:
    beside = path.with_name(f"calls.db{suffix}")
    beside.write_bytes(content)

    with pytest.raises(click.UsageError, match=f"calls.db{suffix} is no file of SQLite; give another --output"):
        SqliteFile(path).open()

    assert (beside.read_bytes(), path.exists()) == (content, False)


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_reading_a_database_removes_no_file_of_somebody_else(path: Path, suffix: str) -> None:
    """SQLite takes a file of this name for its own, and removes it."""
    add(path, A1)
    beside = path.with_name(f"calls.db{suffix}")
    beside.write_bytes(b"a file of somebody else")

    with pytest.raises(click.UsageError, match=f"calls.db{suffix} is no file of SQLite; give another --output"):
        stored(path)

    assert beside.read_bytes() == b"a file of somebody else"


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
@pytest.mark.parametrize("length", [0, 3])
@pytest.mark.parametrize("rest", [b"", bytes(4096)])
def test_a_torn_file_of_sqlites_beside_the_database_is_used(path: Path, suffix: str, length: int, rest: bytes) -> None:
    beginning = {"-wal": b"\x37\x7f\x06\x82", "-journal": b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"}[suffix]
    add(path, A1)
    path.with_name(f"calls.db{suffix}").write_bytes(beginning[:length] + rest)

    opened(path, A2).close()

    assert stored(path) == [A1, A2]


@pytest.mark.parametrize("suffix", ["-wal", "-journal", "-shm"])
def test_a_link_beside_the_database_is_refused(path: Path, suffix: str) -> None:
    target = path.with_name("target")
    target.write_bytes(b"precious")
    path.with_name(f"calls.db{suffix}").symlink_to(target)

    with pytest.raises(click.UsageError, match="give another --output"):
        SqliteFile(path).open()

    assert target.read_bytes() == b"precious"


def test_what_a_killed_run_left_beside_the_database_is_used(path: Path) -> None:
    file = opened(path, A1)
    for name in ("calls.db", "calls.db-wal", "calls.db-shm"):
        path.with_name(f"killed-{name}").write_bytes(path.with_name(name).read_bytes())
    file.close()
    path.unlink()
    killed = path.with_name("killed-calls.db")

    opened(killed, A2).close()

    assert stored(killed) == [A1, A2]


@pytest.mark.usefixtures("impatient")
def test_a_reader_from_before_is_waited_for(path: Path) -> None:
    add(path, A1)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM call_logs").fetchone()
        with pytest.raises(OSError, match="another program has had it locked"):
            SqliteFile(path).open()

    assert stored(path) == [A1]


@pytest.mark.usefixtures("impatient")
def test_a_writer_is_waited_for_by_each_step(path: Path) -> None:
    file = opened(path, A1)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutputError, match=r"calls\.db cannot be written: another program has had it locked"):
            file.write([(A2, CallLog(id="a2"))])
    file.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match="another program has had it locked"):
            stored(path)

    assert stored(path) == [A1]


def test_a_batch_that_waited_for_a_writer_is_written_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = opened(path, A1)
    unfit = CallLog(id="b1", summary="\ud800")
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("ghl_voice_async.cli.waiting.time.sleep", lambda _: writer.close())

    refused = file.write([(A2, CallLog(id="a2")), (B1, unfit)])

    file.close()
    assert [*refused] == [B1]
    assert stored(path) == [A1, A2]


@pytest.mark.parametrize(
    "fields",
    [
        {"summary": "\ud800"},
        {"extra": {"x": "\udfff"}},
        {"extra": {"x": 10**5000}},
        {"duration": 10**400},
        {"created_at": datetime(2026, 4, 28)},  # noqa: DTZ001  # a time that cannot be encoded
        {"summary": ["no text"]},
        {"message_id": 2**70},
    ],
)
def test_guarantee_37_a_call_log_that_sqlite_cannot_hold_fails_alone(path: Path, fields: dict[str, Any]) -> None:
    file = SqliteFile(path)
    file.open()
    logs = [CallLog(id="a1"), CallLog(id="a2", **fields), CallLog(id="b1")]

    refused = file.write(zip((A1, A2, B1), logs, strict=True))

    file.close()
    assert stored(path) == [A1, B1]
    assert [*refused] == [A2]
    assert "the call log cannot be stored: " in str(refused[A2])


def test_a_nul_character_is_kept(path: Path) -> None:
    add(path, A1, summary="a\0b", extra={"x": "c\0d"})

    ((summary, body),) = query(path, "SELECT summary, body FROM call_logs")

    assert (summary, json.loads(body)["x"]) == ("a\0b", "c\0d")


def test_a_full_disk_is_an_error_that_names_the_database(path: Path) -> None:
    file = opened(path, A1)
    assert file._connection is not None
    file._connection.execute("PRAGMA max_page_count = 1")

    with pytest.raises(OutputError, match=r"calls\.db cannot be written: database or disk is full\. Mend that"):
        file.write((ref, CallLog(id=ref.call_id, summary="x" * 100_000)) for ref in (A2, B1))

    file.close()
    assert stored(path) == [A1]


def test_a_database_that_cannot_leave_its_log_is_an_error(path: Path) -> None:
    file = opened(path, A1)
    assert file._connection is not None
    file._connection.execute("DROP TABLE call_logs")

    with pytest.raises(OutputError, match=r"cannot be written: no such table"):
        file.close()


def test_a_new_database_that_could_not_be_opened_is_removed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: SqliteFile) -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(SqliteFile, "_connected", refused)
    with pytest.raises(OSError, match="disk I/O error"):
        SqliteFile(path).open()

    assert [*path.parent.iterdir()] == []


def test_a_log_that_cannot_be_brought_into_the_database_is_an_error(path: Path) -> None:
    file = opened(path, A1)
    assert file._connection is not None
    file._connection.execute("BEGIN")  # within a transaction, SQLite refuses to leave its log

    with pytest.raises(OutputError, match=r"calls\.db cannot be written: cannot change"):
        file.close()
