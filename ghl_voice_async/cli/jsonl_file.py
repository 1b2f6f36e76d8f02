"""Call logs in a file of JSON lines: each in the API's own form, and its `locationId`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from ghl_voice_async import CallRef, DecodeError, decode_call_log, encode_call_log
from ghl_voice_async.cli.appended_file import AppendedFile, foreign_line
from ghl_voice_async.cli.json_text import UnstorableError, json_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ghl_voice_async import CallLog

__all__ = ["JsonlFile"]

_BEGINNING: Final = b'{"locationId": '
_OUR_KEYS: Final = ("locationId", "requestedCallId")
_LIKE_OUR_KEYS: Final = re.compile(f"_*({'|'.join(_OUR_KEYS)})")


class JsonlFile:
    """An output that is appended to. Only lines that have their end count: a last one without it is cut off.

    The `id` of a line is that of the response. Where another call was asked for, it is in `requestedCallId`. A key of
    the response that is called like one of these two has an underscore in front, and so has one that looks so already.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = AppendedFile(path, _BEGINNING)

    def stored(self) -> Iterator[CallRef]:
        """Give the calls that are in the file. Raises `click.UsageError` for a file that is something else."""
        for number, line in enumerate(self._file.whole_lines(), 1):
            ref = _ref(line)
            if ref is None:
                raise foreign_line(self._path, number)
            yield ref

    def open(self) -> None:
        """Open the file for writing, and cut off a last line that a killed run left without its end."""
        self._file.open()

    def write(self, call_logs: Iterable[tuple[CallRef, CallLog]]) -> dict[CallRef, UnstorableError]:
        """Append call logs, with one write for all of them, and return those that have no JSON form."""
        lines, refused = [], {}
        for ref, call_log in call_logs:
            try:
                lines.append(_line(ref, call_log))
            except Exception as error:  # noqa: BLE001  # a fault of one call log stays with that call log
                refused[ref] = UnstorableError(ref, error)
        if lines:
            self._file.append(b"".join(lines))
        return refused

    def close(self) -> None:
        """Close the file, and remove it where this run made it and nothing is in it."""
        self._file.close()


def _line(ref: CallRef, call_log: CallLog) -> bytes:
    line: dict[str, Any] = {"locationId": ref.location_id}
    if call_log.id != ref.call_id:
        line["requestedCallId"] = ref.call_id
    for key, value in encode_call_log(call_log).items():
        line[f"_{key}" if key.endswith(_OUR_KEYS) and _LIKE_OUR_KEYS.fullmatch(key) else key] = value
    return json_line(line)


def _ref(line: bytes) -> CallRef | None:
    """Return the call of a line, or None for a line that is something else.

    In lines of earlier versions, a `requestedCallId` that is no string is a key of the response.
    """
    try:
        try:
            body = json.loads(line)
        except RecursionError:
            call_log = decode_call_log(line)
            body = {**call_log.extra, "id": call_log.id}
    except (DecodeError, ValueError):
        return None
    if not isinstance(body, dict):
        return None
    call_id, location_id = body.get("requestedCallId"), body.get("locationId")
    if not isinstance(call_id, str):
        call_id = body.get("id")
    return CallRef(call_id, location_id) if isinstance(call_id, str) and isinstance(location_id, str) else None
