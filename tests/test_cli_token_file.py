from __future__ import annotations

import codecs
import os
from pathlib import Path

import click
import pytest
from command_line import error_line

from ghl_voice_async.cli import token_file
from ghl_voice_async.cli.app import run
from ghl_voice_async.cli.token_file import read_token_file

SECRET = "pit-0123456789"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "token"


def problem(file: Path) -> str:
    with pytest.raises(click.UsageError) as caught:
        read_token_file(file)
    assert SECRET[4:] not in repr((caught.value, caught.value.__context__))
    assert caught.value.__context__ is None
    return caught.value.format_message().removeprefix(f"--token-file {file} cannot be read: ")


@pytest.mark.parametrize(
    "content",
    [
        SECRET.encode(),
        f"\r\n {SECRET}\t\r\n".encode(),
        codecs.BOM_UTF8 + f"{SECRET}\r\n".encode(),
        codecs.BOM_UTF16_LE + f"{SECRET}\r\n".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + f"{SECRET}\r\n".encode("utf-16-be"),
    ],
    ids=repr,
)
def test_a_token_is_read_with_a_mark_or_without(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    assert read_token_file(file) == SECRET


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty."),
        (b" \r\n", "it is empty."),
        (codecs.BOM_UTF8, "it is empty."),
        (codecs.BOM_UTF16_LE + b"\n\0", "it is empty."),
        (SECRET.encode("utf-16-le"), "it has NUL bytes, as UTF-16 without a byte-order mark has; save it as UTF-8."),
        (SECRET.encode("utf-16-be"), "it has NUL bytes, as UTF-16 without a byte-order mark has; save it as UTF-8."),
        (f"{SECRET}\n{SECRET}\n".encode(), "it has more than one line."),
        (f"{SECRET}\r{SECRET}".encode(), "it has more than one line."),
        (SECRET.encode() + b"\xff", "it has a character that no token has"),
        (SECRET.encode("utf-16") + b"\0", "it has a character that no token has"),
        (f"{SECRET} x".encode(), "it has a character that no token has"),
        (f"{SECRET}\x1b".encode(), "it has a character that no token has"),
        (f"Token für {SECRET}".encode(), "it has a character that no token has"),
        (SECRET.encode() * 10_000, "it is larger than 65,536 bytes."),
    ],
)
def test_a_file_that_holds_no_token_is_refused_with_a_reason(file: Path, content: bytes, reason: str) -> None:
    file.write_bytes(content)

    assert problem(file).startswith(reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/no/such/file", "No such file or directory."),
        ("/dev/null", "it is empty."),
        ("/dev/zero", "it is larger than 65,536 bytes."),
        ("/", "Is a directory."),
    ],
)
def test_a_place_that_holds_no_token_is_refused_with_a_reason(name: str, reason: str) -> None:
    assert problem(Path(name)) == reason


def test_a_pipe_without_a_writer_is_empty(file: Path) -> None:
    os.mkfifo(file)

    assert problem(file) == "it is empty."


def test_a_pipe_in_which_nothing_comes_is_not_waited_for_without_end(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_file, "_LONGEST_WAIT", 0.01)
    os.mkfifo(file)
    writer = os.open(file, os.O_RDWR)

    try:
        assert problem(file) == "nothing came from it for 0.01 s."
    finally:
        os.close(writer)


def test_a_token_may_come_through_a_pipe_in_pieces(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from `--token-file <(…)` of a shell."""
    reader, writer = os.pipe()
    pieces = [SECRET[:4].encode(), SECRET[4:].encode()]
    wait = token_file._wait_for

    def write_and_wait(number: int) -> None:
        if pieces:
            os.write(writer, pieces.pop(0))
        else:
            os.close(writer)
        wait(number)

    monkeypatch.setattr(token_file, "_wait_for", write_and_wait)

    try:
        assert read_token_file(Path(f"/dev/fd/{reader}")) == SECRET
    finally:
        os.close(reader)


def test_a_token_file_without_a_system_error_text_is_still_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> bytes:
        raise OSError

    monkeypatch.setattr(token_file, "_read", fail)

    assert problem(file) == "it cannot be read."


def test_a_bad_token_file_is_one_line_and_exit_code_2(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(SECRET.encode("utf-16-le"))

    code = run(["get", "call", "--location", "LOC", "--token-file", str(file)])

    assert code == 2
    said = error_line(capsys)
    assert "save it as UTF-8. See ghl-voice get --help." in said
    assert SECRET not in said
