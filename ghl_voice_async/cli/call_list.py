"""The list of calls to fetch: one a line, as a call id or as `call_id,location_id`."""

from __future__ import annotations

import codecs
import io
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final

import click
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ghl_voice_async import CallRef

__all__ = ["CallList", "read_call_list"]

_PIECE: Final = 65_536
_LONGEST_LINE: Final = 65_536


@define(eq=False)
class CallList:
    """Calls by location, each once and in the order of the input.

    There may be millions. A dict of ids for each location takes far less memory than one object for each call.
    """

    ids: dict[str, dict[str, None]] = field(factory=dict)
    """The call ids of each location, in order. The values say nothing."""
    repeated: int = 0
    """How often a call was given that had been given before."""

    def add(self, call_id: str, location_id: str) -> None:
        """Add a call, or count one that is there already."""
        ids = self.ids.get(location_id)
        if ids is None:
            self.ids[location_id] = {call_id: None}
        elif call_id in ids:
            self.repeated += 1
        else:
            ids[call_id] = None

    def remove(self, calls: Iterable[CallRef]) -> None:
        """Remove those of the calls that are there."""
        for call_id, location_id in calls:
            ids = self.ids.get(location_id)
            if ids is not None:
                ids.pop(call_id, None)
                if not ids:
                    del self.ids[location_id]

    def counts(self) -> dict[str, int]:
        """Return how many calls there are of each location."""
        return {location_id: len(ids) for location_id, ids in self.ids.items()}

    def __len__(self) -> int:
        return sum(map(len, self.ids.values()))


def read_call_list(file: io.BufferedIOBase, location_id: str | None) -> CallList:
    """Read the calls, each once and in order.

    The file is UTF-8, or UTF-16 with its mark. Blank lines and those that begin with `#` are skipped. A line without
    a location means `location_id`. Whether the ids are any good is not looked at. Raises `click.UsageError` with its
    number for the first line that cannot be read, and where there is no call at all.
    """
    calls = CallList()
    for number, line in enumerate(_lines(file), 1):
        text = line.strip()
        if not text or text[0] == "#":
            continue
        if not text.isascii() or "\0" in text:
            _check(text, number)
        call_id, comma, its_location_id = text.partition(",")
        if not comma and location_id:
            calls.add(call_id, location_id)
        elif "," not in its_location_id and (call_id := call_id.rstrip()) and (name := its_location_id.lstrip()):
            calls.add(call_id, name)
        else:
            raise click.UsageError(f"Line {number} of the input has {_problem(text)}")
    if not calls.ids:
        raise click.UsageError("There is no call id in the input.")
    return calls


def _problem(text: str) -> str:
    match text.count(","):
        case 0:
            return "no location id; add it, or give --location."
        case 1:
            return "a comma and not both ids."
        case _:
            return "more than a call id and a location id."


def _check(text: str, number: int) -> None:
    """Raise `click.UsageError` for a line that is no text."""
    if "\0" in text:
        raise click.UsageError(
            f"Line {number} of the input has a NUL byte, as UTF-16 without a byte-order mark has; save it as UTF-8."
        )
    try:
        text.encode()
    except UnicodeEncodeError:  # the decoder left a lone surrogate for what it could not decode
        raise click.UsageError(f"Line {number} of the input is not UTF-8.") from None


def _lines(file: io.BufferedIOBase) -> Iterator[str]:
    """Give the lines, whatever ends them, without their ends. None is kept in memory longer than it must be."""
    pieces = iter(partial(file.read1, _PIECE), b"")
    head = b""
    for piece in pieces:
        head += piece
        if len(head) > 1:
            break
    decoder = _decoder(head)
    rest, number = "", 0
    for piece in chain([head], pieces, [b""]):
        try:
            text = decoder.decode(piece, final=not piece)
        except UnicodeDecodeError:
            raise click.UsageError("The input ends in the middle of a character.") from None
        *lines, rest = (rest + text).split("\n")
        number += len(lines)
        if len(rest) > _LONGEST_LINE:
            raise click.UsageError(f"Line {number + 1} of the input is longer than {_LONGEST_LINE:,} characters.")
        yield from lines
    yield rest


def _decoder(head: bytes) -> io.IncrementalNewlineDecoder:
    """Return a decoder of text that begins so. It leaves lone surrogates for what it cannot decode."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
    else:
        decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
    return io.IncrementalNewlineDecoder(decoder, translate=True)
