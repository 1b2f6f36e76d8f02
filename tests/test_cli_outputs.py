from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING

import click
import pytest

from ghl_voice_async import CallLogResult, CallRef, NotFoundError
from ghl_voice_async.cli.outputs import Failures, opened, output_at
from ghl_voice_async.cli.refusal import OutputError

if TYPE_CHECKING:
    from pathlib import Path

LINE = b'{"callId": "a1", "locationId": "A", "error": "ServerError", "status": 503, "message": "x", "attempts": 5}\n'


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl.failed.jsonl"


def failed(message: str, call_id: str = "a1") -> CallLogResult:
    return CallLogResult(0, CallRef(call_id, "A"), error=NotFoundError(message, status=404))


def test_guarantee_63_the_list_of_failures_is_its_owners_whatever_the_umask(output: Path, path: Path) -> None:
    before = os.umask(0)
    try:
        failures = Failures(output)
        failures.write([failed("gone")])
        failures.close()
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("character", [*"\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\r\n"])
def test_a_failure_is_one_line_for_any_reader(output: Path, path: Path, character: str) -> None:
    failures = Failures(output)
    failures.write([failed(f"two{character}lines", f"a{character}1"), failed("one")])
    failures.close()

    lines = path.read_text("utf-8").splitlines()
    assert [json.loads(line)["callId"] for line in lines] == [f"a{character}1", "a1"]


def test_a_lone_surrogate_in_a_message_is_escaped(output: Path, path: Path) -> None:
    failures = Failures(output)
    failures.write([CallLogResult(0, CallRef("a1", "loc"), error=ValueError("caf\udce9"))])
    failures.close()

    assert "caf\udce9" in json.loads(path.read_text("utf-8"))["message"]


@pytest.mark.parametrize("content", [b"", LINE, LINE + LINE[:30], LINE + bytes(4096), b'{"call', bytes(100)])
def test_the_list_of_the_run_before_is_removed(output: Path, path: Path, content: bytes) -> None:
    path.write_bytes(content)

    Failures(output)

    assert not path.exists()


@pytest.mark.parametrize("content", [b"{}\n", b"notes", LINE + b"my notes\n", LINE + b"my notes", b"\0notes"])
def test_a_file_that_no_run_wrote_is_not_removed(output: Path, path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(click.UsageError, match="is no list of failed calls; give another --output, or move"):
        Failures(output)

    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["link", "hard link", "fifo", "folder"])
def test_a_link_in_place_of_the_list_is_not_followed(tmp_path: Path, output: Path, path: Path, kind: str) -> None:
    target = tmp_path / "target"
    target.write_bytes(LINE)
    match kind:
        case "link":
            path.symlink_to(target)
        case "hard link":
            path.hardlink_to(target)
        case "fifo":
            os.mkfifo(path)
        case _:
            path.mkdir()

    with pytest.raises(click.UsageError, match="give another --output, or move that file away"):
        Failures(output)

    assert (target.read_bytes(), path.exists()) == (LINE, True)


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_somebody_put_there_meanwhile_is_not_written_to(output: Path, path: Path, kind: str) -> None:
    failures = Failures(output)
    if kind == "link":
        path.symlink_to(output)
    else:
        path.touch()

    with pytest.raises(OutputError, match=r"failed\.jsonl was created by another program while this run wrote to it"):
        failures.write([failed("gone")])

    assert not output.exists()


def test_a_list_that_somebody_removed_is_noticed(output: Path, path: Path) -> None:
    failures = Failures(output)
    failures.write([failed("gone")])
    path.unlink()

    with pytest.raises(OutputError, match=r"failed\.jsonl was removed, renamed or moved"):
        failures.write([failed("gone")])
    with pytest.raises(OutputError, match=r"failed\.jsonl was removed, renamed or moved"):
        failures.close()


def test_a_list_that_cannot_be_created_is_an_error(output: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = Failures(output)

    def full(_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ghl_voice_async.cli.outputs.create_private", full)
    with pytest.raises(OutputError, match=f"{path} cannot be written: No space left on device"):
        failures.write([failed("gone")])


def lose_everything(output: Path, path: Path) -> None:
    with opened(output_at(output), output) as failures:
        failures.write([failed("gone")])
        path.unlink()
        output.unlink()
        raise OutputError("first")


def test_of_several_errors_the_first_one_is_raised(output: Path, path: Path) -> None:
    with pytest.raises(OutputError, match="first"):
        lose_everything(output, path)


def test_an_output_that_is_gone_at_the_end_is_an_error(output: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"calls\.jsonl was removed"),
        opened(output_at(output), output),
    ):
        output.unlink()


def test_nothing_is_left_of_an_output_beside_a_foreign_list(output: Path, path: Path) -> None:
    path.write_bytes(b"notes")

    with pytest.raises(click.UsageError, match="no list of failed calls"):
        opened(output_at(output), output).__enter__()

    assert not output.exists()


def test_a_discarded_list_is_removed(output: Path, path: Path) -> None:
    failures = Failures(output)
    failures.discard()
    failures.write([failed("gone")])

    failures.discard()
    failures.close()

    assert not path.exists()


def test_a_discarded_list_that_somebody_replaced_stays(output: Path, path: Path) -> None:
    failures = Failures(output)
    failures.write([failed("gone")])
    path.unlink()
    path.write_text("of somebody else")

    failures.discard()

    assert path.read_text() == "of somebody else"
