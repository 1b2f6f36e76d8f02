from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click
import pytest

from ghl_voice_async import CallLog, CallRef, decode_call_log
from ghl_voice_async.cli.jsonl_file import JsonlFile

if TYPE_CHECKING:
    from pathlib import Path

A1, A2, B1 = CallRef("a1", "A"), CallRef("a2", "A"), CallRef("b1", "B")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


def add(path: Path, *refs: CallRef) -> None:
    file = JsonlFile(path)
    file.open()
    file.write((ref, CallLog(id=ref.call_id, summary="Grüße\u2028und mehr")) for ref in refs)
    file.close()


def stored(path: Path) -> list[CallRef]:
    return [*JsonlFile(path).stored()]


def test_a_line_is_the_call_log_as_the_api_writes_it_and_its_location(path: Path, documented: dict[str, Any]) -> None:
    call_log = decode_call_log(documented)
    file = JsonlFile(path)
    file.open()
    file.write([(CallRef(call_log.id, "A"), call_log)])
    file.close()
    (line,) = path.read_text("utf-8").splitlines()
    assert json.loads(line) == {"locationId": "A", **documented}


def test_what_was_written_is_found_again(path: Path) -> None:
    assert stored(path) == []
    add(path, A1, A2)
    add(path, B1)
    assert stored(path) == [A1, A2, B1]


def test_an_answer_with_another_id_is_found_under_the_one_asked_for(path: Path) -> None:
    file = JsonlFile(path)
    file.open()
    file.write([(A1, CallLog(id="another"))])
    file.close()
    assert json.loads(path.read_text()) == {"locationId": "A", "id": "another", "requestedCallId": "a1"}
    assert stored(path) == [A1]


def test_a_location_of_the_answers_own_does_not_hide_the_one_asked_for(path: Path) -> None:
    file = JsonlFile(path)
    file.open()
    file.write([(A1, CallLog(id="a1", extra={"locationId": "other"}))])
    file.close()
    assert stored(path) == [A1]


def test_text_does_not_end_a_line_for_any_reader(path: Path) -> None:
    add(path, A1)
    assert len(path.read_text("utf-8").splitlines()) == 1
    assert json.loads(path.read_bytes())["summary"] == "Grüße\u2028und mehr"


@pytest.mark.parametrize("cut", [1, 2, 20, 40])
def test_a_torn_last_line_does_not_count_and_is_cut_off(path: Path, cut: int) -> None:
    """Promise 39."""
    add(path, A1, A2, B1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert stored(path) == [A1, A2]
    add(path, B1)
    assert path.read_bytes() == whole


def test_a_torn_line_longer_than_what_is_read_at_once_is_cut_off(path: Path) -> None:
    add(path, A1)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"locationId": "' + b"x" * 200_000)
    add(path)
    assert path.read_bytes() == whole


def test_a_file_with_a_torn_line_alone_is_begun_anew(path: Path) -> None:
    path.write_bytes(b'{"locat')
    assert stored(path) == []
    add(path, A1)
    assert stored(path) == [A1]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"call_id,location_id\n", 1),
        (b"no newline", 1),
        (b'{"id": "a1"}\n', 1),
        (b'{"locationId": "A", "id": "a1"}\n{"locationId": 1, "id": "a2"}\n', 2),
        (b'{"locationId": "A", "id": "a1"}\n[]', 2),
        (b"\x00\x01\n", 1),
    ],
)
def test_a_file_of_another_kind_is_refused_and_left_alone(path: Path, content: bytes, line: int) -> None:
    path.write_bytes(content)
    with pytest.raises(click.UsageError) as caught:
        stored(path)
    assert caught.value.format_message() == f"line {line} of {path} is none that fetch writes; give another --output."
    assert path.read_bytes() == content


def test_a_file_that_nothing_was_written_to_is_not_left_behind(path: Path) -> None:
    add(path)
    assert not path.exists()


def test_an_empty_file_that_was_there_before_stays(path: Path) -> None:
    path.touch()
    add(path)
    assert path.exists()


def test_what_was_never_opened_can_be_closed(path: Path) -> None:
    JsonlFile(path).close()
    assert not path.exists()


def test_a_write_that_the_system_does_in_parts_is_done_to_its_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, part: write(file, part[:7]))

    add(path, A1)

    assert stored(path) == [A1]
