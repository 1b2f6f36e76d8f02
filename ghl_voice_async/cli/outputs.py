"""Where a bulk is stored: an output of the kind that its suffix names, and the file of what failed beside it."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import click

from ghl_voice_async import GHLVoiceError, StatusError
from ghl_voice_async.cli.appended_file import AppendedFile
from ghl_voice_async.cli.json_text import on_one_line
from ghl_voice_async.cli.jsonl_file import JsonlFile
from ghl_voice_async.cli.private_file import create_private, open_beside
from ghl_voice_async.cli.refusal import OutputError, changed_outside, not_ours, refused_unless, unwritable
from ghl_voice_async.cli.sqlite_file import SqliteFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ghl_voice_async import CallLog, CallLogResult, CallRef
    from ghl_voice_async.cli.json_text import UnstorableError

__all__ = ["Failures", "Output", "opened", "output_at"]

_BEGINNING: Final = b'{"callId": '


class Closable(Protocol):
    """Something that has to be closed."""

    def close(self) -> None:
        """Close it."""


F = TypeVar("F", bound=Closable)


class Output(Protocol):
    """Holds call logs, each once. Opened after `stored` was read; written to and closed by one thread at a time."""

    def stored(self) -> Iterator[CallRef]:
        """Give the calls that are in it. Raises `click.UsageError` for what is no output of this kind."""
        ...  # pyright takes a docstring alone for a body that returns nothing

    def open(self) -> None:
        """Open it for writing."""

    def write(self, call_logs: Iterable[tuple[CallRef, CallLog]]) -> dict[CallRef, UnstorableError]:
        """Add call logs, which are there to stay when this returns. Return those that it cannot hold.

        Raises `OutputError` where nothing more can be added: the disk is full, or another program changed the file.
        """
        ...  # likewise

    def close(self) -> None:
        """Close it. Raises `OutputError` where what was added is not there to stay."""


_KINDS: Final[dict[str, Callable[[Path], Output]]] = {".jsonl": JsonlFile, ".sqlite": SqliteFile, ".db": SqliteFile}


def output_at(path: Path) -> Output:
    """Return the output of the kind that the suffix names, or raise `click.UsageError` for another suffix."""
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise click.UsageError(f"--output {path} must end in {', '.join(_KINDS)}.")
    return kind(path)


@contextmanager
def opened(output: Output, path: Path) -> Iterator[Failures]:
    """Open an output and its file of failures, and close both. Of several errors the first one is raised."""
    with refused_unless(path, "written"):
        output.open()
    with _closed_after(output), _closed_after(Failures(path)) as failures:
        yield failures


@contextmanager
def _closed_after(file: F) -> Iterator[F]:
    try:
        yield file
    except BaseException:
        with suppress(OutputError):
            file.close()
        raise
    file.close()


class Failures:
    """The file of what failed in the last run: it is written anew by each, and only there when something did.

    The one of the run before is removed. Raises `click.UsageError` for a file of this name that no run wrote.
    """

    def __init__(self, output: Path) -> None:
        self.path: Path = Path(f"{output}.failed.jsonl")
        self._file: AppendedFile | None = None
        with refused_unless(self.path, "written"), suppress(FileNotFoundError):
            os.close(open_beside(self.path))
            with suppress(click.UsageError):
                if all(line.startswith(_BEGINNING) for line in AppendedFile(self.path, _BEGINNING).whole_lines()):
                    self.path.unlink()
                    return
            raise not_ours(self.path, "is no list of failed calls")

    def write(self, results: Iterable[CallLogResult]) -> None:
        """Append one line for each failed call."""
        lines = b"".join(_line(result) for result in results)
        if lines:
            if self._file is None:
                self._file = self._created()
            self._file.append(lines)

    def discard(self) -> None:
        """Remove the file, if this run has written one."""
        file, self._file = self._file, None
        if file is not None:
            file.discard()

    def close(self) -> None:
        """Close the file. Raises `OutputError` where what was appended is not there to stay."""
        if self._file is not None:
            self._file.close()

    def _created(self) -> AppendedFile:
        file = AppendedFile(self.path, _BEGINNING)
        try:
            file.open(lambda path: (create_private(path), True))
        except FileExistsError:
            raise changed_outside(self.path, "was created by another program") from None
        except OSError as error:
            raise unwritable(self.path, error) from None
        return file


def _line(result: CallLogResult) -> bytes:
    text = on_one_line(json.dumps(_failure(result), ensure_ascii=False))
    return f"{text}\n".encode(errors="backslashreplace")  # a lone surrogate, as JSON escapes it


def _failure(result: CallLogResult) -> dict[str, object]:
    error = result.error
    return {
        "callId": result.call_id,
        "locationId": result.location_id,
        "error": type(error).__name__,
        "status": error.status if isinstance(error, StatusError) else None,
        "message": str(error),
        "attempts": error.attempts if isinstance(error, GHLVoiceError) else 0,
    }
