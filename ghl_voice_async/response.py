"""What comes back: an answer's status, headers and body, and what they mean. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Final, NamedTuple

from attrs import define, field
from multidict import CIMultiDict, istr

from ghl_voice_async.errors import (
    AuthenticationError,
    BadRequestError,
    DailyLimitError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    StatusError,
    TransportError,
    UnprocessableEntityError,
)
from ghl_voice_async.json_body import CostlyJSONError, InvalidJSONError, JSONError, parse_json
from ghl_voice_async.printable import printable

__all__ = [
    "NO_HEADERS",
    "DailyHeaders",
    "Headers",
    "Response",
    "WindowHeaders",
    "daily_headers",
    "is_of_another_call",
    "requested_wait",
    "retry_after",
    "status_error",
    "truncation_error",
    "window_headers",
]

_KEPT_TEXT = 2048
_READ_TEXT = 8 * _KEPT_TEXT
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_LONGEST_INTERVAL = 24 * 3600 * 1000
_LONGEST_RETRY_AFTER = 24 * 3600.0
_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}"
_HTTP_DATE = re.compile(
    # The three forms of RFC 9110, section 5.6.7. Some servers write the zone in another way.
    rf"[a-z]{{3}}, [0-9]{{2}} [a-z]{{3}} [0-9]{{4}} {_TIME} (gmt|utc|[+-][0-9]{{4}})"
    rf"|[a-z]{{6,9}}, [0-9]{{2}}-[a-z]{{3}}-[0-9]{{2}} {_TIME} (gmt|utc)"
    rf"|[a-z]{{3}} [a-z]{{3}} [ 0-9][0-9] {_TIME} [0-9]{{4}}",
    re.ASCII | re.IGNORECASE,
)
# Names that multidict need not put into lower case at each look-up.
_MAX = istr("X-RateLimit-Max")
_INTERVAL = istr("X-RateLimit-Interval-Milliseconds")
_REMAINING = istr("X-RateLimit-Remaining")
_DAILY_LIMIT = istr("X-RateLimit-Limit-Daily")
_DAILY_REMAINING = istr("X-RateLimit-Daily-Remaining")
# The letters of other scripts that are digits, too, are none in a header.
_DIGITS = re.compile(r"[ \t]*([0-9]{1,9})[ \t]*")

_ERRORS: dict[int, type[StatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    422: UnprocessableEntityError,
}


def _encodable(text: str) -> str:
    """Return text of a head in a form that every file and every terminal in UTF-8 takes.

    aiohttp gives bytes that are not UTF-8 as surrogates, which cannot be encoded. They are read as Latin-1, which HTTP
    once prescribed.
    """
    if text.isascii():
        return text
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()  # surrogates that are no bytes of a server
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


class Headers(Mapping[str, str]):
    """Read-only headers that find names in any case, and pickle. A name given twice is joined with `, `.

    Names and values that are not UTF-8 are read as Latin-1.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._values: dict[str, str] = {}
        for raw_name, raw_value in headers.items():
            key, value = _encodable(raw_name).lower(), _encodable(raw_value)
            self._values[key] = f"{self._values[key]}, {value}" if key in self._values else value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({self._values!r})"


NO_HEADERS: Final = Headers({})


@define(eq=False, repr=False)
class Response:
    """One whole answer. The repr shows nothing of the server's own words, which may hold a call or an echo.

    It is no tuple, since what prints tracebacks goes through the items of one, whatever its repr is.
    """

    status: int
    headers: Mapping[str, str] = field(default=NO_HEADERS, repr=False)
    body: bytes = field(default=b"", repr=False)
    reason: str = field(default="", repr=False)
    length_known: bool = True
    """Whether the answer said where its body ends, so that it is known to be whole."""
    is_misplaced: bool = False
    """Whether it came on a reused connection and names another call than the one asked for."""

    def __repr__(self) -> str:
        return f"Response(status={self.status}, body=<{len(self.body)} bytes>, length_known={self.length_known})"


def is_of_another_call(response: Response, call_id: str) -> bool:
    """Return True for a success whose body has an `id` that is not `call_id`."""
    if not 200 <= response.status < 300:
        return False
    body = response.body
    value = b'"' + call_id.encode() + b'"'
    # Nearly all bodies begin with their `id`, or have one key of that name: they need not be parsed twice.
    if body.startswith((b'{"id":' + value, b'{"id": ' + value)):
        return False
    if body.count(b'"id"') == 1 and (b'"id":' + value in body or b'"id": ' + value in body):
        return False
    try:
        data = parse_json(body)
    except JSONError:
        return False
    found = data.get("id") if isinstance(data, dict) else None
    return isinstance(found, str) and found != call_id


def truncation_error(response: Response) -> TransportError | None:
    """Make the error of a success that ends where the connection did and does not parse, or None for others.

    Such a body is half of one, most likely; one that states its length would have been found to be cut.
    """
    if response.length_known:
        return None
    try:
        parse_json(response.body)
    except InvalidJSONError:
        return TransportError(
            "the body was cut short: it stated no length, and the connection ended before it was whole JSON"
        )
    except CostlyJSONError:
        pass  # whole or not, decoding refuses it
    return None


def status_error(response: Response, *, redact: Callable[[str], str] = str) -> StatusError | None:
    """Make the error of an answer that is not 2xx, or None for one that is.

    A server may echo what it was sent: `redact` takes the token out of all that the error keeps.
    """
    if 200 <= response.status < 300:
        return None
    text = response.body.decode("utf-8", "replace").removeprefix("\ufeff")
    message = _message(text) or _encodable(response.reason) or _phrase(response.status)
    headers = Headers(response.headers)
    # Cut to the length to keep at the end, since what is left of a token that was cut might be overlooked.
    return _error_class(response.status, headers)(
        _cut(printable(redact(message[:_READ_TEXT]))),
        status=response.status,
        body=_cut(redact(text[:_READ_TEXT])),
        headers=Headers(CIMultiDict((redact(name), redact(value)) for name, value in _first(headers.items()))),
        retry_after=retry_after(headers),
    )


def _first(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Give the headers that fit into the limit of what is searched for a token, which takes time."""
    left = _READ_TEXT
    for name, value in headers:
        size = len(name) + len(value)
        if size <= left:
            left -= size
            yield name, value


def _error_class(status: int, headers: Headers) -> type[StatusError]:
    if status == 429:
        # With nothing left of the day, another try in seconds or minutes cannot succeed.
        said = daily_headers(headers)
        return DailyLimitError if said is not None and said.remaining == 0 else RateLimitError
    return _ERRORS.get(status, ServerError if status >= 500 else StatusError)


class WindowHeaders(NamedTuple):
    """The window that the server says it keeps. What it did not say is None."""

    max_requests: int | None
    interval: float | None
    """Seconds."""
    remaining: int | None


class DailyHeaders(NamedTuple):
    """The day that the server says it keeps."""

    limit: int | None
    remaining: int


def window_headers(headers: Mapping[str, str]) -> WindowHeaders | None:
    """Read `X-RateLimit-Max`, `-Interval-Milliseconds` and `-Remaining`, or None where any makes no sense.

    They make none with a limit or an interval of zero, an interval of more than a day, and more requests
    remaining than there are.
    """
    return _window(headers.get(_MAX), headers.get(_INTERVAL), headers.get(_REMAINING))


def daily_headers(headers: Mapping[str, str]) -> DailyHeaders | None:
    """Read `X-RateLimit-Daily-Remaining` and `X-RateLimit-Limit-Daily`, or None where they make no sense.

    They make none without the first, and with more requests remaining than there are in a day.
    """
    try:
        limit = _limit(headers.get(_DAILY_LIMIT))
        remaining = _count(headers.get(_DAILY_REMAINING))
    except ValueError:
        return None
    if remaining is None or (limit is not None and remaining > limit):
        return None
    return DailyHeaders(limit, remaining)


@lru_cache  # one answer says what the one before it said
def _limit(value: str | None) -> int | None:
    limit = _count(value)
    if limit == 0:
        raise ValueError(value)
    return limit


@lru_cache(maxsize=1024)  # a window of 100 requests has 100 answers: 8,000 instructions a call, of 770,000
def _window(max_requests: str | None, milliseconds: str | None, remaining: str | None) -> WindowHeaders | None:
    try:
        said = WindowHeaders(_limit(max_requests), _interval(milliseconds), _count(remaining))
    except ValueError:
        return None
    if said.max_requests is not None and said.remaining is not None and said.remaining > said.max_requests:
        return None
    return said


def _interval(milliseconds: str | None) -> float | None:
    length = _limit(milliseconds)
    if length is None:
        return None
    if length > _LONGEST_INTERVAL:
        raise ValueError(milliseconds)
    return length / 1000


def _count(value: str | None) -> int | None:
    if value is None:
        return None
    if len(value) < 10 and value.isdigit() and value.isascii():
        return int(value)
    digits = _DIGITS.fullmatch(value)
    if digits is None:
        raise ValueError(value)
    return int(digits[1])


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read the seconds to wait from `Retry-After`, or None where it is absent or makes no sense.

    More than a day makes no sense: the longest limit that a server counts is that of a day.
    """
    wait = requested_wait(headers)
    return wait if wait is not None and wait <= _LONGEST_RETRY_AFTER else None


def requested_wait(headers: Mapping[str, str]) -> float | None:
    """Read the seconds to wait from `Retry-After`, however many, or None where it cannot be read.

    RFC 9110, section 10.2.3: a number of seconds, or a date in any of the three forms of section 5.6.7. A
    date is measured against the answer's own `Date`, so that our clock does not matter. Fractions, which
    the RFC does not have and servers send, are read too. Zero and what lies in the past are None.
    """
    value = headers.get("Retry-After", "").strip(" \t")
    if _SECONDS.fullmatch(value):
        return float(value) or None
    then = _http_date(value)
    if then is None:
        return None
    now = _http_date(headers.get("Date", "")) or datetime.now(UTC)
    wait = (then - now).total_seconds()
    return wait if wait > 0 else None


def _http_date(value: str) -> datetime | None:
    if not _HTTP_DATE.fullmatch(value):
        return None
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    # The asctime form names no zone and means UTC.
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date


def _message(text: str) -> str:
    try:
        data = parse_json(text)
    except JSONError:
        return ""
    message = data.get("message") if isinstance(data, dict) else None
    if isinstance(message, list):
        return "; ".join(part for part in message if isinstance(part, str))
    return message if isinstance(message, str) else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "status without a name"


def _cut(text: str) -> str:
    return text.encode()[:_KEPT_TEXT].decode("utf-8", "ignore")
