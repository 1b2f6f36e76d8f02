"""Text from elsewhere, such as a server's message, made fit for one line of a log or a terminal."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["printable"]

_HIDDEN: Final = re.compile("\0+")


def printable(text: str) -> str:
    """Put a space in place of each run of line breaks, control and format characters and lone surrogates.

    So a line of a log stays one line, any encoding has the text, and a terminal shows it in its order.
    """
    if text.isprintable():
        return text
    return _HIDDEN.sub(" ", "".join(character if _is_shown(character) else "\0" for character in text))


def _is_shown(character: str) -> bool:
    # A space that does not break is no danger, although Python escapes it.
    return character.isprintable() or unicodedata.category(character) == "Zs"
