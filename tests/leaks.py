"""Looks for secrets in everything that a test made the library say."""

from __future__ import annotations

import itertools
import logging
import pickle
import traceback
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wire import TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ghl_voice_async import GHLVoiceError

MARKED_TRANSCRIPT = "marked-transcript"
MARKED_NUMBER = "+15055550177"
MARKED_KEY = "marked-authentication-value"
SECRETS = (TOKEN, "pit-simulator", MARKED_TRANSCRIPT, MARKED_NUMBER, MARKED_KEY)
TESTS = str(Path(__file__).parent)


class Records(logging.Handler):
    """Keeps every log record, at any level."""

    def __init__(self) -> None:
        super().__init__(level=0)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error and all that hangs on it."""
    seen: set[int] = set()
    left = [error]
    while left:
        link = left.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            yield link
            left += [link.__cause__, link.__context__]


def said_by(error: BaseException) -> Iterator[str]:
    """Give everything of an error that a log, a crash report or another process could show."""
    for link in chain(error):
        yield str(link)
        yield repr(link)
        yield repr(vars(link))
        yield str(getattr(link, "__notes__", ""))
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if not is_of_a_caller(frame.f_code.co_filename):
                for value in frame.f_locals.values():
                    yield from shown(value)
    yield str(pickle.dumps(error))


def is_of_a_caller(filename: str) -> bool:
    """Return True for a test and for a block of a page, which have the token as callers do."""
    return filename.startswith(TESTS) or filename.endswith(".md")


def shown(value: object, depth: int = 4) -> Iterator[str]:
    """Give what printers of local variables show: a repr, the start of a long text, and the items of containers."""
    try:
        yield repr(value)
    except Exception as error:  # noqa: BLE001  # of an object half made, or an int too long to write
        yield type(error).__name__
    if isinstance(value, str):
        yield value[:10_000]
        yield value.encode(errors="surrogatepass").decode(errors="surrogatepass")
    elif depth and isinstance(value, Mapping | Sequence | AbstractSet) and not isinstance(value, bytes | bytearray):
        for item in itertools.islice(value, 100):
            yield from shown(item, depth - 1)
            if isinstance(value, Mapping):
                yield from shown(value[item], depth - 1)


def said_in(record: logging.LogRecord) -> Iterator[str]:
    yield record.getMessage()
    yield repr({name: value for name, value in vars(record).items() if name != "exc_info"})
    if record.exc_info and record.exc_info[1] is not None:
        yield from said_by(record.exc_info[1])


def check_no_leak(errors: list[GHLVoiceError], records: list[logging.LogRecord]) -> None:
    texts: list[Any] = [*(said_by(error) for error in errors), *(said_in(record) for record in records)]
    for text in (text for source in texts for text in source):
        for secret in SECRETS:
            assert secret not in text, f"a secret in: {text[:2000]}"
