from __future__ import annotations

import errno
import os
from pathlib import Path

import click
import pytest

from ghl_voice_async.cli.appended_file import AppendedFile
from ghl_voice_async.cli.refusal import OutputError

BEGINNING = b'{"key": '
LINE = b'{"key": "Gr\xc3\xbc\xc3\x9fe"}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


@pytest.fixture
def file(path: Path) -> AppendedFile:
    return AppendedFile(path, BEGINNING)


@pytest.mark.parametrize("size", [1, 7, 4096, 200_000])
@pytest.mark.parametrize("torn", [b"", b"{", b'{"k', b'{"key": ', LINE[:12], LINE[:-1]])
def test_guarantee_63_what_a_power_cut_leaves_behind_a_line_is_cut_off(
    path: Path, file: AppendedFile, torn: bytes, size: int
) -> None:
    """The torn end of a line, also within a character, and NUL bytes up to the size that was written."""
    path.write_bytes(LINE + torn + bytes(size))

    lines = [*file.whole_lines()]
    file.open()
    file.append(LINE)
    file.close()

    assert lines == [LINE]
    assert path.read_bytes() == LINE + LINE


@pytest.mark.parametrize("content", [bytes(1), bytes(4096), bytes(65536), b'{"key": "\xc3', b'{"ke' + bytes(65536)])
def test_a_file_of_a_torn_line_alone_is_begun_anew(path: Path, file: AppendedFile, content: bytes) -> None:
    path.write_bytes(content)

    assert [*file.whole_lines()] == []
    file.open()
    file.append(LINE)
    file.close()

    assert path.read_bytes() == LINE


@pytest.mark.parametrize(
    ("content", "number"),
    [
        (b"x", 1),
        (LINE + b"{}", 2),
        (LINE + bytes(10) + b"x", 2),
        (bytes(70_000) + b"x", 1),
        (b'{"ke' + bytes(70_000) + b"x", 1),
    ],
)
def test_a_last_line_that_no_run_began_is_refused(path: Path, file: AppendedFile, content: bytes, number: int) -> None:
    path.write_bytes(content)

    with pytest.raises(click.UsageError, match=f"line {number} of {path} was not written by fetch"):
        [*file.whole_lines()]

    assert path.read_bytes() == content


def test_a_file_that_shrinks_while_it_is_read_ends_there(path: Path, file: AppendedFile) -> None:
    path.write_bytes(LINE * 5000)
    lines = file.whole_lines()
    next(lines)

    os.truncate(path, len(LINE))

    assert len([*lines]) < 4999


def truncate(path: Path) -> None:
    os.truncate(path, 0)


def truncate_within_a_line(path: Path) -> None:
    os.truncate(path, len(LINE) - 3)


def append(path: Path) -> None:
    with path.open("ab") as other:
        other.write(b"junk")


def replace_by_a_copy(path: Path) -> None:
    path.rename(f"{path}.old")  # so that the copy does not get its number
    path.write_bytes(Path(f"{path}.old").read_bytes())


CHANGES = [truncate, truncate_within_a_line, append, replace_by_a_copy]


@pytest.mark.parametrize("change", CHANGES)
def test_guarantee_63_nothing_is_appended_to_a_file_that_was_changed(
    path: Path, file: AppendedFile, change: object
) -> None:
    file.open()
    file.append(LINE)
    assert callable(change)
    change(path)
    changed = path.read_bytes()

    with pytest.raises(OutputError, match=r"while this run wrote to it\. Check it"):
        file.append(LINE)
    with pytest.raises(OutputError, match=r"while this run wrote to it\. Check it"):
        file.close()

    assert path.read_bytes() == changed


@pytest.mark.parametrize("change", CHANGES)
def test_guarantee_63_a_change_during_a_write_is_noticed_before_its_end(
    path: Path, file: AppendedFile, change: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.open()
    file.append(LINE)
    assert callable(change)
    write = os.write

    def changed(descriptor: int, part: bytes) -> int:
        change(path)
        return write(descriptor, part)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", changed)
        with pytest.raises(OutputError, match="while this run wrote to it"):
            file.append(LINE)
    with pytest.raises(OutputError):
        file.close()


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_since_it_was_read_is_not_written_to(
    path: Path, file: AppendedFile, change: object
) -> None:
    path.write_bytes(LINE)
    assert len([*file.whole_lines()]) == 1
    assert callable(change)
    change(path)

    with pytest.raises(OutputError, match="was changed by another program"):
        file.open()


def test_a_file_that_appeared_since_there_was_none_is_not_written_to(path: Path, file: AppendedFile) -> None:
    assert [*file.whole_lines()] == []
    path.write_bytes(LINE)

    with pytest.raises(OutputError, match="was changed by another program"):
        file.open()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
@pytest.mark.parametrize("room", [0, 5, len(LINE), 2 * len(LINE) + 3])
def test_guarantee_63_a_full_disk_keeps_what_is_whole_and_no_half_line(
    path: Path, file: AppendedFile, number: int, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.open()
    write, left = os.write, [room]

    def full(descriptor: int, part: bytes) -> int:
        if not left[0]:
            raise OSError(number, os.strerror(number))
        written = write(descriptor, part[: left[0]])
        left[0] -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OutputError) as caught:
            file.append(LINE * 3)
    file.close()

    assert str(caught.value) == (
        f"{path} cannot be written: {os.strerror(number)}. "
        "Mend that, then run the same command again to fetch the rest."
    )
    assert (path.read_bytes() if path.exists() else b"") == LINE * (room // len(LINE))


def test_lines_of_others_are_not_cut_when_the_disk_is_full(
    path: Path, file: AppendedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.open()

    def full(_: int, __: bytes) -> int:
        append(path)
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OutputError):
            file.append(LINE)
    with pytest.raises(OutputError):
        file.close()

    assert path.read_bytes() == b"junk"


def test_a_disk_that_is_found_full_at_the_end_is_an_error(
    path: Path, file: AppendedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    file.open()
    file.append(LINE)
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OutputError, match=f"{path} cannot be written: Disk quota exceeded"):
        file.close()


def test_a_file_system_that_cannot_write_through_is_no_error(
    path: Path, file: AppendedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    file.open()
    file.append(LINE)
    monkeypatch.setattr(os, "fsync", unknown)
    file.close()

    assert path.read_bytes() == LINE


def test_a_file_can_be_closed_twice(path: Path, file: AppendedFile) -> None:
    file.open()
    file.close()
    file.close()

    assert not path.exists()
