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
    assert caught.value.format_message() == f"line {line} of {path} was not written by fetch; give another --output."
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


KEYS = ("locationId", "requestedCallId", "_locationId", "__requestedCallId")
VALUES = ("other", 5, None, True, ["x"], {"id": "y"})


def as_it_came(line: dict[str, Any]) -> dict[str, Any]:
    """Read a line back as the page on `fetch` says."""
    ours = {"locationId", "requestedCallId"}
    return {key[1:] if key.lstrip("_") in ours else key: value for key, value in line.items() if key not in ours}


@pytest.mark.parametrize("requested", ["a1", "another"])
@pytest.mark.parametrize("value", VALUES)
def test_a_key_of_the_response_never_collides_with_ours(path: Path, value: Any, requested: str) -> None:
    body = {"id": "a1", **dict.fromkeys(KEYS, value)}
    ref = CallRef(requested, "A")

    file = JsonlFile(path)
    file.open()
    file.write([(ref, CallLog(id="a1", extra=dict.fromkeys(KEYS, value)))])
    file.close()

    assert stored(path) == [ref]
    line = json.loads(path.read_bytes())
    assert line["locationId"] == "A"
    assert as_it_came(line) == body


def test_keys_that_only_look_like_ours_stay_as_they_are(path: Path) -> None:
    extra = {"theirlocationId": 1, "x_requestedCallId": 2, "locationIds": 3}
    file = JsonlFile(path)
    file.open()
    file.write([(A1, CallLog(id="a1", extra=extra))])
    file.close()

    assert json.loads(path.read_bytes()) == {"locationId": "A", "id": "a1", **extra}


@pytest.mark.parametrize(
    ("line", "ref"),
    [
        (b'{"locationId": "A", "id": "other", "requestedCallId": "a1"}\n', A1),
        (b'{"locationId": "A", "id": "a1", "requestedCallId": 5}\n', A1),
        (b'{"locationId": "A", "id": "a1", "requestedCallId": null, "_locationId": 1}\n', A1),
        (b'{"id":"a1","locationId":"A"}\n', A1),
        (b'{"locationId": "A", "id": "a1", "big": 1' + b"0" * 400 + b', "x": "\\ud800"}\n', A1),
        (b'{"locationId": "A", "id": "a1", "x": ' + b"[" * 1000 + b"]" * 1000 + b"}\n", A1),
    ],
)
def test_lines_of_earlier_versions_are_read(path: Path, line: bytes, ref: CallRef) -> None:
    path.write_bytes(line)

    assert stored(path) == [ref]


@pytest.mark.parametrize(
    "line", [b'{"locationId": "A", "x": ' + b"[" * 1100 + b"]" * 1100 + b"}\n", b'{"id": "\xff"}\n', b"[]\n"]
)
def test_a_line_that_nothing_can_read_is_refused(path: Path, line: bytes) -> None:
    path.write_bytes(line)

    with pytest.raises(click.UsageError, match="line 1 of"):
        stored(path)


@pytest.mark.parametrize(
    "extra",
    [
        {"x": "\ud800"},
        {"\udfff": 1},
        {"x": 10**5000},
        {"x": float("nan")},
        {"x": {1, 2}},
        {"x": b"bytes"},
        {1: "no text"},
    ],
)
def test_guarantee_37_a_call_log_that_has_no_json_form_fails_alone(path: Path, extra: dict[Any, Any]) -> None:
    file = JsonlFile(path)
    file.open()
    logs = [CallLog(id="a1"), CallLog(id="a2", extra=extra), CallLog(id="b1")]

    refused = file.write(zip((A1, A2, B1), logs, strict=True))
    nothing = file.write([(A2, logs[1])])

    file.close()
    assert stored(path) == [A1, B1]
    assert [*refused] == [*nothing] == [A2]
    assert "the call log cannot be stored: " in str(refused[A2])
