from __future__ import annotations

import io

import click
import pytest

from ghl_voice_async import CallRef
from ghl_voice_async.cli.call_list import CallList, read_call_list


def read(text: str, location_id: str | None = "LOC") -> list[tuple[str, str]]:
    return pairs(read_call_list(io.BytesIO(text.encode()), location_id))


def pairs(calls: CallList) -> list[tuple[str, str]]:
    return [(call_id, name) for name, ids in calls.ids.items() for call_id in ids]


def test_there_is_one_call_a_line_in_the_location_given() -> None:
    assert read("one\ntwo\n") == [("one", "LOC"), ("two", "LOC")]


def test_a_line_may_name_its_own_location() -> None:
    assert read("one\ntwo,OTHER\n three , THIRD \n") == [("one", "LOC"), ("two", "OTHER"), ("three", "THIRD")]


def test_blank_lines_and_comments_are_skipped() -> None:
    assert read("# of today\n\n   \none\n  # two\n") == [("one", "LOC")]


@pytest.mark.parametrize("text", ["\ufeffone\r\ntwo\r\n", "one\ntwo"])
def test_files_of_windows_and_those_without_a_last_line_end_are_read(text: str) -> None:
    assert read(text) == [("one", "LOC"), ("two", "LOC")]


def test_a_call_given_twice_is_there_once_and_counted() -> None:
    calls = read_call_list(io.BytesIO(b"one\none,A\none\n"), "LOC")

    assert pairs(calls) == [("one", "LOC"), ("one", "A")]
    assert (len(calls), calls.repeated) == (2, 1)


def test_whether_an_id_is_any_good_is_not_looked_at() -> None:
    assert read("no/id\n") == [("no/id", "LOC")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-16-le"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_file_with_a_mark_is_read_whatever_ends_its_lines(encoding: str, end: str) -> None:
    mark = "\ufeff" if encoding in {"utf-16-be", "utf-16-le"} else ""
    text = end.join([f"{mark}one", "# für \u010a", "", "two,ZÜRICH→", "three"])

    calls = read_call_list(io.BytesIO(text.encode(encoding)), "LOC")

    assert pairs(calls) == [("one", "LOC"), ("three", "LOC"), ("two", "ZÜRICH→")]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_file_may_come_in_small_pieces(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("ghl_voice_async.cli.call_list._PIECE", size)
    for encoding in ("utf-8-sig", "utf-16"):
        text = "one\r\ntwo,Zürich→\r\nthree".encode(encoding)

        calls = read_call_list(io.BytesIO(text), "LOC")

        assert pairs(calls) == [("one", "LOC"), ("three", "LOC"), ("two", "Zürich→")]


def test_calls_that_are_removed_are_not_there_any_more() -> None:
    calls = read_call_list(io.BytesIO(b"one\ntwo\none,A\n"), "LOC")

    calls.remove([CallRef("one", "LOC"), CallRef("one", "A"), CallRef("two", "A"), CallRef("one", "OTHER")])

    assert pairs(calls) == [("two", "LOC")]
    assert calls.counts() == {"LOC": 1}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"one,A\ntwo,A,B\n", "Line 2 of the input has more than a call id and a location id."),
        (b"one,A\n\n,A\n", "Line 3 of the input has a comma and not both ids."),
        (b"one,\n", "Line 1 of the input has a comma and not both ids."),
        (b"one,A\ntwo\n", "Line 2 of the input has no location id; add it, or give --location."),
        (b"one,A\n\xff\xfe\n", "Line 2 of the input is not UTF-8."),
        (b"one,A\n\xc3\n", "Line 2 of the input is not UTF-8."),
        (b"\xff\xfea\0,\0b\0\n\0\x00\xd8\n\0", "Line 2 of the input is not UTF-8."),
        (b"\xff\xfea\0,\0b\0\n", "The input ends in the middle of a character."),
        (
            b"one,A\no\0n\0e\0\n\0",
            "Line 2 of the input has a NUL byte, as UTF-16 without a byte-order mark has; save it as UTF-8.",
        ),
        (b"one,A\ntwo,A\n" + b"x" * 200_000, "Line 3 of the input is longer than 65,536 characters."),
        (b"", "There is no call id in the input."),
        (b"\xff", "Line 1 of the input is not UTF-8."),
        (b"\xff\xfe", "There is no call id in the input."),
        (b"# nothing\n\n", "There is no call id in the input."),
    ],
)
def test_a_malformed_file_is_refused_with_the_number_of_the_line(content: bytes, problem: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        read_call_list(io.BytesIO(content), None)
    assert caught.value.format_message() == problem
