"""Where a bulk is stored: an output of the kind that its suffix names, and the file of what failed beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import click

from ghl_voice_async import GHLVoiceError, StatusError
from ghl_voice_async.cli.jsonl_file import JsonlFile
from ghl_voice_async.cli.sqlite_file import SqliteFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ghl_voice_async import CallLog, CallLogResult, CallRef

__all__ = ["Failures", "Output", "output_at"]


class Output(Protocol):
    """Holds call logs, each once. Opened after `stored` was read; written to and closed by one thread at a time."""

    def stored(self) -> Iterator[CallRef]:
        """Give the calls that are in it. Raises `click.UsageError` for what is no output of this kind."""
        ...  # pyright takes a docstring alone for a body that returns nothing

    def open(self) -> None:
        """Open it for writing."""

    def write(self, call_logs: Iterable[tuple[CallRef, CallLog]]) -> None:
        """Add call logs, which are there to stay when this returns."""

    def close(self) -> None:
        """Close it."""


_KINDS: Final[dict[str, Callable[[Path], Output]]] = {".jsonl": JsonlFile, ".sqlite": SqliteFile, ".db": SqliteFile}


def output_at(path: Path) -> Output:
    """Return the output of the kind that the suffix names, or raise `click.UsageError` for another suffix."""
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise click.UsageError(f"--output {path} must end in {', '.join(_KINDS)}.")
    return kind(path)


class Failures:
    """The file of what failed in the last run: it is written anew by each, and only there when something did."""

    def __init__(self, output: Path) -> None:
        self.path: Path = Path(f"{output}.failed.jsonl")
        self.path.unlink(missing_ok=True)

    def write(self, results: Iterable[CallLogResult]) -> None:
        """Append one line for each failed call."""
        lines = "".join(json.dumps(_failure(result), ensure_ascii=False) + "\n" for result in results)
        if lines:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(lines)


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
