"""The file with the token in it. What is wrong with one is said in words, and never with what is in it."""

from __future__ import annotations

import codecs
import os
import select
import sys
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_token_file"]

_LARGEST: Final = 65_536
_LONGEST_WAIT: Final = 10.0  # seconds, for whoever writes into a pipe
_MARKS: Final = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def read_token_file(file: Path) -> str:
    """Return the one line of the file, or raise `click.UsageError`.

    It is ASCII. The file may begin with the mark of UTF-8 or of UTF-16, which editors and shells of Windows write.
    """
    try:
        data = _read(file)
    except OSError as error:
        problem = error.strerror or "it cannot be read"
    else:
        text, problem = _text(data)
        if not problem:
            return text
    # Raised here, where no other exception with a piece of the content is its context.
    raise click.UsageError(f"--token-file {file} cannot be read: {problem}.")


def _text(data: bytes) -> tuple[str, str]:
    """Return the text and no problem, or the problem."""
    if len(data) > _LARGEST:
        return "", f"it is larger than {_LARGEST:,} bytes"
    encoding, length = next(((name, len(mark)) for mark, name in _MARKS.items() if data.startswith(mark)), ("utf-8", 0))
    if length == 0 and b"\0" in data:
        return "", "it has NUL bytes, as UTF-16 without a byte-order mark has; save it as UTF-8"
    text = data[length:].decode(encoding, "replace").strip()
    if not text:
        return "", "it is empty"
    if len(text.splitlines()) > 1:
        return "", "it has more than one line"
    if not (text.isascii() and text.isprintable() and " " not in text):
        return "", "it has a character that no token has, such as a space, a control character or a letter beyond ASCII"
    return text, ""


def _read(file: Path) -> bytes:
    """Return the content, or a bit more than the largest that can be used. A pipe is not waited for without end."""
    number = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        data = b""
        while len(data) <= _LARGEST and (piece := _next_piece(number)):
            data += piece
        return data
    finally:
        os.close(number)


def _next_piece(number: int) -> bytes:
    try:
        return os.read(number, _LARGEST + 1)
    except BlockingIOError:  # a pipe whose writer has written nothing yet
        _wait_for(number)
        return os.read(number, _LARGEST + 1)


def _wait_for(number: int) -> None:
    if sys.platform == "win32":
        return
    poll = select.poll()
    poll.register(number, select.POLLIN)
    if not poll.poll(_LONGEST_WAIT * 1000):
        raise TimeoutError(0, f"nothing came from it for {_LONGEST_WAIT:g} s")
