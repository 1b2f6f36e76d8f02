"""Every error that this library raises.

::

    GHLVoiceError
    ├── InvalidInputError (ValueError)       refused before anything was sent
    ├── ClientClosedError (RuntimeError)     used after close, from another event loop, or after a fork
    ├── DeadlineExceededError (TimeoutError) the caller's deadline passed
    ├── TransportError                       no whole response: DNS, refused, reset, cut short, TLS, too large
    │   └── AttemptTimeoutError              one attempt took longer than the client's timeout
    ├── StatusError                          the server answered something other than 2xx
    │   ├── BadRequestError                  400
    │   ├── AuthenticationError              401
    │   ├── PermissionDeniedError            403
    │   ├── NotFoundError                    404
    │   ├── UnprocessableEntityError         422
    │   ├── RateLimitError                   429
    │   │   └── DailyLimitError              429, and nothing is left of the day's budget
    │   └── ServerError                      5xx
    └── DecodeError                          2xx, but not JSON or not a call log

Every error pickles whole, so that a worker can send it to another process. None holds the token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ghl_voice_async.printable import printable

__all__ = [
    "AttemptTimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "DailyLimitError",
    "DeadlineExceededError",
    "DecodeError",
    "GHLVoiceError",
    "InvalidInputError",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "ServerError",
    "StatusError",
    "TransportError",
    "UnprocessableEntityError",
]


class GHLVoiceError(Exception):
    """The root of the tree: `except GHLVoiceError` catches all that this library raises.

    `call_id` and `location_id` name the call that failed, and `attempts` counts the requests tried for
    it, each of them one request on the wire. An error that belongs to no call has None, None and 0.
    """

    advice: str = ""
    """What to do about it, or why it was not tried again, as a sentence at the end of `str(error)`."""

    def __init__(
        self,
        message: str = "",
        *,
        call_id: str | None = None,
        location_id: str | None = None,
        attempts: int = 0,
    ) -> None:
        super().__init__(printable(message))  # which may be a server's words
        self.call_id = call_id
        self.location_id = location_id
        self.attempts = attempts

    def __str__(self) -> str:
        """Say what happened, to which call, and what to do."""
        text = str(self.args[0]) if self.args else ""
        if self.call_id is not None:
            tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
            # An id that was refused may be anything: quoted and cut, it can neither forge a log line nor flood it.
            text += f" [call {self.call_id!r:.80} of location {self.location_id!r:.80}, {tries}]"
        return f"{text} {self.advice}".strip()

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild without calling `__init__`, whose arguments differ from class to class."""
        return _new, (type(self),), {**vars(self), "args": self.args}


def _new(error: type[GHLVoiceError]) -> GHLVoiceError:
    return error.__new__(error)


class InvalidInputError(GHLVoiceError, ValueError):
    """An argument that cannot be right; nothing was sent."""


class ClientClosedError(GHLVoiceError, RuntimeError):
    """The client was used after close, from a second event loop, or in a forked child."""


class DeadlineExceededError(GHLVoiceError, TimeoutError):
    """The `deadline` given with the call passed before there was an answer."""


class TransportError(GHLVoiceError):
    """There was no whole response: DNS, refused, reset, cut short, TLS, or too large.

    `retryable` is False where a retry cannot help: a TLS failure that stays, such as a refused certificate, a body
    over the size limit, and a proxy that cannot be used. `was_kept` tells whether it was a connection kept from an
    earlier answer that turned out to be dead, as happens when a server closes those that are idle.
    """

    def __init__(
        self,
        message: str = "",
        *,
        retryable: bool = True,
        was_kept: bool = False,
        **context: Any,  # noqa: ANN401  # passed on
    ) -> None:
        super().__init__(message, **context)
        self.retryable = retryable
        self.was_kept = was_kept


class AttemptTimeoutError(TransportError):
    """One attempt took longer than the client's `timeout`, from its sending to its last body byte."""


class StatusError(GHLVoiceError):
    """The server answered something other than 2xx.

    `status` is the HTTP status, `message` the `message` of the body (joined with semicolons when it is a
    list) or else the reason phrase, `body` the text of the body up to 2 KiB, `headers` a read-only mapping
    that finds names in any case, and `retry_after` the seconds that the server asked to wait, or None when
    it did not say. Of the headers, the first 16 KiB are kept.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int,
        body: str = "",
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        **context: Any,  # noqa: ANN401  # passed on
    ) -> None:
        super().__init__(f"HTTP {status}: {message}", **context)
        self.status = status
        self.message: str = printable(message)
        self.body = body
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.retry_after = retry_after


class BadRequestError(StatusError):
    """400: the server could not make sense of the request."""


class AuthenticationError(StatusError):
    """401: the server refused the token, and there was no other to try."""

    advice = "Check the token, and that it belongs to this location."


class PermissionDeniedError(StatusError):
    """403: the token is known, and may not do this."""

    advice = "Check that the token has the scope voice-ai-dashboard.readonly, and belongs to this location."


class NotFoundError(StatusError):
    """404: there is no such call log in this location."""

    advice = "Check the id, and that the call is of this location."


class UnprocessableEntityError(StatusError):
    """422: the request was understood and is not acceptable."""


class RateLimitError(StatusError):
    """429: too many requests for this location."""


class DailyLimitError(RateLimitError):
    """429, and the location's budget for the day is used up. Trying again soon does not help."""

    advice = "The day's budget of this location is used up."


class ServerError(StatusError):
    """5xx: the server, or something in front of it, failed."""


class DecodeError(GHLVoiceError):
    """The body is not JSON, or not a call log.

    `problems` has one line for each thing that was wrong, each naming a JSON path and never the value, as
    in `$.executedCallActions[2].actionParameters.examples: expected array, got string`.
    """

    def __init__(self, problems: Iterable[str] = (), **context: Any) -> None:  # noqa: ANN401  # passed on
        found = tuple(map(printable, problems))
        shown = "; ".join(found[:3])
        if len(found) > 3:
            shown += f"; and {len(found) - 3} more in .problems"
        super().__init__(f"not a call log: {shown}", **context)
        self.problems: tuple[str, ...] = found
