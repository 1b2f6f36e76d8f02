"""Standard output and standard error, as a command writes to them."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final, cast

from attrs import define, field, frozen
from rich.console import Console

from ghl_voice_async.printable import printable_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OutputLostError", "console", "safe_streams"]

_USUAL_WIDTH: Final = 80
_LEAST_WIDTH: Final = 20
_GREATEST_WIDTH: Final = 1000
_USUAL_HEIGHT: Final = 25


class OutputLostError(Exception):
    """Standard output did not take what a command had to say."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"cannot write to standard output: {cause.strerror}")
        self.errno: int | None = cause.errno


@define(eq=False)
class _Stream:
    """A standard stream that takes any text.

    It writes nothing that steers a terminal, and an escape for a character that its encoding lacks. Standard error
    is only for people, so a failure there ends nothing. A failure of standard output is an `OutputLostError`.
    """

    stream: IO[str] | None
    is_output: bool
    _failure: OSError | None = field(default=None, init=False)

    @property
    def encoding(self) -> str:
        """The encoding of the stream."""
        return getattr(self.stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write text at once, with nothing in it that steers a terminal."""
        return self.write_as_is(printable_lines(text))

    def write_as_is(self, text: str) -> int:
        """Write text at once, the escape codes of a terminal included."""
        try:
            self._write(text)
        except OSError as error:
            if self.is_output:
                self._failure = error  # the rest would make no sense without this
                raise OutputLostError(error) from None
        return len(text)

    def flush(self) -> None:
        """Do nothing, since each write is flushed."""

    def isatty(self) -> bool:
        """Return True if this is a terminal."""
        return self.stream is not None and self.stream.isatty()

    def fileno(self) -> int:
        """Return the file descriptor."""
        if self.stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self.stream.fileno()

    def _write(self, text: str) -> None:
        if self._failure is not None:
            raise self._failure
        if self.stream is None or self.stream.closed:
            raise OSError(errno.EBADF, "it is closed")
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            self.stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        self.stream.flush()


@frozen(eq=False)
class _Terminal:
    """What rich writes to: text that is safe already, between escape codes."""

    stream: _Stream

    @property
    def encoding(self) -> str:
        return self.stream.encoding

    def write(self, text: str) -> int:
        return self.stream.write_as_is(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()


@contextmanager
def safe_streams() -> Iterator[None]:
    """Let everything that writes to standard output or standard error write to one that takes any text."""
    before = sys.stdout, sys.stderr
    sys.stdout = cast("IO[str]", _Stream(sys.stdout, is_output=True))
    sys.stderr = cast("IO[str]", _Stream(sys.stderr, is_output=False))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def console(*, stderr: bool = False) -> Console:
    """Make a console that takes all text as it is, and has room for a page however narrow the terminal says it is."""
    stream = sys.stderr if stderr else sys.stdout
    file = cast("IO[str]", _Terminal(stream)) if isinstance(stream, _Stream) else stream
    width = _size("COLUMNS", _USUAL_WIDTH)
    made = Console(
        file=file, markup=False, emoji=False, highlight=False, width=width, height=_size("LINES", _USUAL_HEIGHT)
    )
    if not _LEAST_WIDTH <= made.width <= _GREATEST_WIDTH:
        made.width = min(max(made.width, _LEAST_WIDTH), _GREATEST_WIDTH)
    return made


def _size(name: str, usual: int) -> int | None:
    """Return what the environment says of the terminal's size, or None where it says nothing."""
    said = os.environ.get(name)
    if said is None:
        return None
    return int(said[:6]) or usual if said.isascii() and said.isdigit() else usual
