"""Call logs in a file of JSON lines: each in the API's own form, and its `locationId`."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any, Final

import click

from ghl_voice_async import CallRef, DecodeError, decode_call_log, encode_call_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ghl_voice_async import CallLog

__all__ = ["JsonlFile"]

_BEGINNING: Final = b'{"locationId": '
_PIECE: Final = 65536
# These end a line for some readers, as for `str.splitlines`, and JSON may have them within text.
_LINE_ENDS: Final = str.maketrans({end: f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"})


class JsonlFile:
    """An output that is appended to. Only lines that have their end count: a last one without it is cut off.

    The `id` of a line is that of the answer. Where another call was asked for, it is in `requestedCallId`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_new = not path.exists()
        self._file: IO[bytes] | None = None

    def stored(self) -> Iterator[CallRef]:
        """Give the calls that are in the file. Raises `click.UsageError` for a file that is something else."""
        try:
            with self._path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    if line.endswith(b"\n"):
                        yield self._ref(line, number)
                    elif line[: len(_BEGINNING)] != _BEGINNING[: len(line)]:
                        raise self._foreign(number)
        except FileNotFoundError:
            return

    def open(self) -> None:
        """Open the file for writing, and cut off a last line that a killed run left without its end."""
        self._file = self._path.open("ab+", buffering=0)
        self._file.truncate(_end_of_last_line(self._file))

    def write(self, call_logs: Iterable[tuple[CallRef, CallLog]]) -> None:
        """Append call logs, with one write for all of them."""
        assert self._file is not None  # noqa: S101  # opened before
        rest = memoryview("".join(_line(*item) for item in call_logs).encode())
        while rest:
            rest = rest[self._file.write(rest) :]

    def close(self) -> None:
        """Close the file, and remove it where this run made it and nothing is in it."""
        if self._file is not None:
            is_empty = self._file.seek(0, 2) == 0
            self._file.close()
            if is_empty and self._is_new:
                self._path.unlink()

    def _ref(self, line: bytes, number: int) -> CallRef:
        try:
            call_log = decode_call_log(line)
        except DecodeError:
            raise self._foreign(number) from None
        call_id, location_id = call_log.extra.get("requestedCallId", call_log.id), call_log.extra.get("locationId")
        if not isinstance(call_id, str) or not isinstance(location_id, str):
            raise self._foreign(number)
        return CallRef(call_id, location_id)

    def _foreign(self, number: int) -> click.UsageError:
        return click.UsageError(f"line {number} of {self._path} is none that fetch writes; give another --output.")


def _line(ref: CallRef, call_log: CallLog) -> str:
    location: dict[str, Any] = {"locationId": ref.location_id}
    body = location | encode_call_log(call_log) | location
    if call_log.id != ref.call_id:
        body["requestedCallId"] = ref.call_id
    return json.dumps(body, ensure_ascii=False).translate(_LINE_ENDS) + "\n"


def _end_of_last_line(file: IO[bytes]) -> int:
    """Return the size of all whole lines together."""
    end = file.seek(0, 2)
    while end:
        start = max(end - _PIECE, 0)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
