"""Redaction: take a secret out of a text that a server sent, in whatever form the server wrote it.

A server may echo the token of a request in an error. It may escape it for JSON, HTML or a URL, more than once,
encode it in base64 or hexadecimal, change its case, break it over lines or cut it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from html.entities import html5
from typing import Final

__all__ = ["Redaction"]

_SHORTEST: Final = 8  # a shorter secret, or a shorter part of one, stands in words that are no secret
_SHORTEST_ENCODED: Final = 12
_LAYERS: Final = 4  # such as JSON within JSON within HTML
_REDACTED: Final = "[redacted]"

# Header names are in lower case, and base64 for URLs has two characters of its own.
_FOLD: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ-_", "abcdefghijklmnopqrstuvwxyz+/")
_ESCAPE: Final = re.compile(
    r"""
      (?-i: \\U ) (?P<hex8> [0-9a-f]{8} )
    | (?: \\u | %u ) (?P<hex4> [0-9a-f]{4} )
    | \\u \{ 0* (?P<braces> [0-9a-f]{1,6} ) \}
    | (?: \\x | % ) (?P<hex2> [0-9a-f]{2} )
    | 0x (?P<listed> [0-9a-f]{2} ) [,\ ]{0,2}
    | &\#x 0* (?P<hex> [0-9a-f]{1,6} ) ;?
    | &\# 0* (?P<decimal> [0-9]{1,7} ) ;?
    | \\ (?P<octal> [0-3][0-7]{2} )
    | & (?P<name> [a-z][a-z0-9]{1,31} ; | amp | lt | gt | quot )
    | \\ (?P<itself> [^ux0-9] )
    | [\0\xad\u200b-\u200d\u2060\ufeff]+ (?P<behind> . )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_BASES: Final = {
    "hex8": 16,
    "hex4": 16,
    "braces": 16,
    "hex2": 16,
    "listed": 16,
    "hex": 16,
    "decimal": 10,
    "octal": 8,
}
_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


class Redaction:
    """Finds one secret in texts, and every part of it that is long enough to be of use to anybody."""

    __slots__ = ("_pieces",)

    def __init__(self, secret: str) -> None:
        self._pieces: dict[int, set[str]] = {}  # by their length
        if len(secret) < _SHORTEST:
            return
        for form in {secret, _unescaped_whole(secret)}:
            self._add(form, _SHORTEST)
        for form, unit in _encoded(secret):
            self._add(form, _SHORTEST_ENCODED, unit)

    def redact(self, text: str) -> str:
        """Return the text with `[redacted]` in place of the secret."""
        spans = sorted(span for layer in _layers(text) for span in self._found_in(layer)) if self._pieces else []
        if not spans:
            return text
        kept: list[str] = []
        end_of_last = 0
        for start, end in spans:
            if start > end_of_last or not kept:
                kept += [text[end_of_last:start], _REDACTED]
            end_of_last = max(end_of_last, end)
        return "".join([*kept, text[end_of_last:]])

    def _add(self, form: str, length: int, unit: int = 1) -> None:
        """Look for a form of the secret. A piece may begin at every `unit` characters of it."""
        form = form.translate(_FOLD)
        length = min(length, len(form))
        last = len(form) - length
        pieces = self._pieces.setdefault(length, set())
        pieces.update(form[start : start + length] for start in (*range(0, last, unit), last))

    def _found_in(self, layer: _Layer) -> Iterator[tuple[int, int]]:
        folded = layer.text.translate(_FOLD)
        for length, pieces in self._pieces.items():
            places = range(len(folded) - length + 1)
            for start in [place for place in places if folded[place : place + length] in pieces]:
                yield layer.starts[start], layer.ends[start + length - 1]


class _Layer:
    """A text with some of its escapes undone, and where each of its characters stands in the original."""

    __slots__ = ("ends", "starts", "text")

    def __init__(self, text: str, starts: Sequence[int], ends: Sequence[int]) -> None:
        self.text = text
        self.starts = starts
        self.ends = ends

    def unescaped(self) -> _Layer:
        """Undo one layer of escapes."""
        parts: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        at = 0
        for match in _ESCAPE.finditer(self.text):
            start, end = match.span()
            parts += [self.text[at:start], _character(match)]
            starts += [*self.starts[at:start], self.starts[start]]
            ends += [*self.ends[at:start], self.ends[end - 1]]
            at = end
        return _Layer("".join([*parts, self.text[at:]]), [*starts, *self.starts[at:]], [*ends, *self.ends[at:]])


def _layers(text: str) -> Iterator[_Layer]:
    layer = _Layer(text, range(len(text)), range(1, len(text) + 1))
    yield layer
    for _ in range(_LAYERS):
        if not _ESCAPE.search(layer.text):
            return
        layer = layer.unescaped()
        yield layer


def _unescaped_whole(text: str) -> str:
    *_, last = _layers(text)
    return last.text


def _character(match: re.Match[str]) -> str:
    """Return the one character that an escape stands for."""
    kind = str(match.lastgroup)
    value = match[kind]
    if kind == "name":
        character = html5.get(value, "")
        return character if len(character) == 1 else "\0"
    if kind == "behind":  # characters that nobody sees; every other byte of UTF-16 is null
        return value
    if kind == "itself":
        return _CONTROLS.get(value, value)
    number = int(value, _BASES[kind])
    return chr(number) if number <= 0x10FFFF else "\0"


def _encoded(secret: str) -> Iterator[tuple[str, int]]:
    """Give the secret as base64 and hexadecimal have it, with the number of characters for one unit.

    What comes before it in a longer text decides between three forms in base64. Its ends, which are mixed with its
    neighbours, are left out.
    """
    data = secret.encode()
    for before, mixed in ((0, 0), (1, 2), (2, 3)):
        bits = 8 * (before + len(data))
        yield b64encode(bytes(before) + data).decode()[mixed : bits // 6], 4
    yield data.hex(), 2
    yield data.hex(" "), 3
    yield data.hex(":"), 3
    yield data.hex("-"), 3
