"""Parse JSON that may be hostile: the memory that it would take is bounded before any of it is parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Final

import orjson

__all__ = ["CostlyJSONError", "InvalidJSONError", "JSONError", "parse_json"]

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_MEMORY_LIMIT: Final = 24 * 1024 * 1024
"""Three times the limit of a body."""
_TOLERANCE: Final = 512 * 1024
"""A body at its limit that is one long text has this much for all else."""
_CHECKED_ABOVE: Final = 256 * 1024
"""No shorter text can take too much memory or time, whatever is in it."""

# The memory that a value takes at most in a call log: in the parser, in Python's objects, and in our models.
_STRUCTURE: Final = {b"{": 300, b"[": 100, b",": 64, b":": 80}
_STRING: Final = 56

_CONTINUATION: Final = bytes(range(0x80, 0xC0))  # of characters in UTF-8, after their first byte
_PART: Final = 64 * 1024
_WIDTHS: Final = (
    (4, bytes(range(0xF0)), re.compile(rb"\\u[dD][89abAB]")),
    (2, bytes(range(0xC4)), re.compile(rb"\\u(?!00)")),
)
"""Bytes for each character of a str, the first bytes of narrower characters, and what a wide one escaped looks like."""


class JSONError(ValueError):
    """The text cannot be parsed. The message says why, and holds nothing of the text."""


class InvalidJSONError(JSONError):
    """The text is not JSON."""


class CostlyJSONError(JSONError):
    """The text would take too much memory."""


def parse_json(text: bytes | bytearray | memoryview | str) -> Any:  # noqa: ANN401  # JSON
    """Parse JSON text, with or without a byte-order mark.

    Raises `InvalidJSONError` for text that is not JSON, and `CostlyJSONError` for text that would take more
    than 24 MiB of memory, itself included.
    """
    try:
        if isinstance(text, bytes) and len(text) <= _CHECKED_ABOVE:  # most are
            return orjson.loads(text.removeprefix(_BYTE_ORDER_MARK))
        return orjson.loads(_checked(text))
    except orjson.JSONDecodeError as error:
        reason = error.msg.removesuffix(".")
    except UnicodeEncodeError:
        reason = "a lone surrogate"
    # The caught error holds the text: raised within the except block, it would be a context.
    raise InvalidJSONError(reason)


def _checked(text: bytes | bytearray | memoryview | str) -> memoryview:
    """Return a text without its mark, or raise `CostlyJSONError`. Bytes are not copied."""
    data = text.encode() if isinstance(text, str) else bytes(text) if isinstance(text, memoryview) else text
    if len(data) > _CHECKED_ABOVE and _costs_too_much(data):
        raise CostlyJSONError(f"the body would take more than {_MEMORY_LIMIT // 1024**2} MiB of memory")
    return memoryview(data)[len(_BYTE_ORDER_MARK) if data.startswith(_BYTE_ORDER_MARK) else 0 :]


def _costs_too_much(text: bytes | bytearray) -> bool:
    """Return True if the text, the parser's copy of it, and what it stands for exceed the limit."""
    left = _MEMORY_LIMIT + _TOLERANCE - 2 * len(text)
    if _structure(text) + _STRING * (text.count(b'"') // 2) + _most(text) <= left:
        return False
    # Commas and brackets within strings cost nothing, so the strings are taken out. First their escapes: a
    # character in the place of each leaves no quotation mark but those around strings.
    text = text.replace(b"\\\\", b"_").replace(b'\\"', b"_")
    return any(memory > left for memory in accumulate(_memory_of_parts(text)))


def _structure(text: bytes | bytearray) -> int:
    return sum(cost * text.count(mark) for mark, cost in _STRUCTURE.items())


def _memory_of_parts(text: bytes | bytearray) -> Iterator[int]:
    """Give the memory that each part of a text stands for. Its strings have no escaped quotation marks."""
    at = 0
    while at < len(text):
        end = after = min(at + _PART, len(text))
        if text.count(b'"', at, end) % 2:
            # A string goes on behind the part, which ends before it. It may be most of the text: it is not copied.
            end = text.rfind(b'"', at, end)
            after = text.find(b'"', after)
            after = len(text) if after < 0 else after
            yield _STRING + _memory_of_string(text, end + 1, after)
            after += 1
        pieces = text[at:end].split(b'"')
        yield _structure(b"".join(pieces[::2]))
        yield sum(_STRING + _most(piece) for piece in pieces[1::2])
        at = after


def _most(text: bytes | bytearray) -> int:
    """Return the memory that the characters of a text take at most."""
    return len(text) if text.isascii() and b"\\u" not in text else 4 * len(text)


def _memory_of_string(text: bytes | bytearray, start: int, end: int) -> int:
    """Return the memory that the characters of a long string take, which is that of its widest for each."""
    characters = 0
    widths = {1}
    for at in range(start, end, _PART):
        part = text[at : min(at + _PART, end)]
        if not part.isascii():
            part = part.translate(None, _CONTINUATION)
            widths.update(width for width, narrower, _ in _WIDTHS if part.translate(None, narrower))
        characters += len(part)
    escapes = text.count(b"\\u", start, end)
    if escapes:
        widths.update(width for width, _, escaped in _WIDTHS if escaped.search(text, start, end))
    return max(widths) * (characters - 5 * escapes)
