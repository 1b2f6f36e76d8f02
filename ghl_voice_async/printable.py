"""Text from elsewhere, such as a server's message, made fit for one line of a log or a terminal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import partial
from typing import Final

__all__ = ["printable", "printable_json", "printable_lines"]

_SUSPECTS: Final = re.compile("[^ -~]+")
_SUSPECTS_IN_LINES: Final = re.compile("[^ -~\n]+")
_HIDDEN: Final = re.compile("\0+")

_JOINERS: Final = frozenset("\u200c\u200d")
_LETTERS: Final = frozenset({"Lo", "Lm", "Mn", "Mc"})  # of scripts without capitals, such as Arabic and Devanagari
_EMOJI: Final = frozenset({"So", "Sm"})
_SYMBOLS: Final = _EMOJI | {"Sk", "Mn"}  # an emoji may end with the colour of a skin or a variation selector
_SELECTORS: Final = re.compile("[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# Unicode counts these as letters or marks, and no font shows them.
_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")


def printable(text: str) -> str:
    """Return the text on one line, with a space for each run of characters that a terminal would obey or hide."""
    return _SUSPECTS.sub(_shown, text)


def printable_lines(text: str) -> str:
    """Return the text as `printable` does, and keep its line feeds."""
    return _SUSPECTS_IN_LINES.sub(_shown, text)


def printable_json(text: str, encoding: str) -> str:
    r"""Return JSON that means the same, with `\u` escapes for what is not printable or not in the encoding."""
    return _SUSPECTS_IN_LINES.sub(partial(_escaped, can_encode=_encoder(encoding)), text)


def _shown(run: re.Match[str]) -> str:
    text = run.string
    shown = (char if _is_harmless(text, at) else "\0" for at, char in enumerate(run[0], run.start()))
    return _HIDDEN.sub(" ", "".join(shown))


def _escaped(run: re.Match[str], can_encode: Callable[[str], bool]) -> str:
    text = run.string
    return "".join(
        char if _is_harmless(text, at) and can_encode(char) else _escape(char)
        for at, char in enumerate(run[0], run.start())
    )


def _escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _encoder(encoding: str) -> Callable[[str], bool]:
    def can_encode(char: str) -> bool:
        try:
            char.encode(encoding)
        except UnicodeEncodeError:
            return False
        return True

    return can_encode


def _is_harmless(text: str, at: int) -> bool:
    """Return True if a terminal shows this character and does nothing else for it."""
    char = text[at]
    if char in _JOINERS:
        return _joins(text, at)
    if _SELECTORS.match(char):
        return at > 0 and not _SELECTORS.match(text[at - 1]) and _is_visible(text[at - 1])
    return _is_visible(char)


def _is_visible(char: str) -> bool:
    # The categories are Other and Separator. A space that has a width of its own is a separator, too.
    category = unicodedata.category(char)
    return (category[0] != "C" and category not in {"Zl", "Zp"}) and char not in _INVISIBLE


def _joins(text: str, at: int) -> bool:
    """Return True if a joiner stands where writing needs it: within a word of such a script, or an emoji."""
    if not 0 < at < len(text) - 1:
        return False
    before, after = unicodedata.category(text[at - 1]), unicodedata.category(text[at + 1])
    return (before in _LETTERS and after in _LETTERS) or (before in _SYMBOLS and after in _EMOJI)
