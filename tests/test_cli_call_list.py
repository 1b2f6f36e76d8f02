from __future__ import annotations

import click
import pytest

from ghl_voice_async.cli.call_list import read_call_list


def read(text: str, location_id: str | None = "LOC") -> list[tuple[str, str]]:
    return [*read_call_list(text.encode().splitlines(keepends=True), location_id)]


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
    assert read_call_list([b"one\n", b"one,A\n", b"one\n"], "LOC") == {("one", "LOC"): 2, ("one", "A"): 1}


def test_whether_an_id_is_any_good_is_not_looked_at() -> None:
    assert read("no/id\n") == [("no/id", "LOC")]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"one,A\ntwo,A,B\n", "Line 2 of the input has more than a call id and a location id."),
        (b"one,A\n\n,A\n", "Line 3 of the input has a comma and not both ids."),
        (b"one,\n", "Line 1 of the input has a comma and not both ids."),
        (b"one,A\ntwo\n", "Line 2 of the input has no location id; add it, or give --location."),
        (b"one,A\n\xff\xfe\n", "Line 2 of the input is not UTF-8."),
        (b"", "There is no call id in the input."),
        (b"# nothing\n\n", "There is no call id in the input."),
    ],
)
def test_a_malformed_file_is_refused_with_the_number_of_the_line(content: bytes, problem: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        read_call_list(content.splitlines(keepends=True), None)
    assert caught.value.format_message() == problem
