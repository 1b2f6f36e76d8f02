"""What a client tells about its requests: events for the hooks of its user, and a log line for each retry.

Nothing that a hook or a logging handler raises changes how a call ends.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from attrs import define, frozen

from ghl_voice_async.errors import InvalidInputError

__all__ = [
    "CallEvent",
    "Hook",
    "Hooks",
    "LimitEvent",
    "RequestEvent",
    "ResponseEvent",
    "RetryEvent",
    "log_misplaced_response",
    "log_retry",
]

logger: Final = logging.getLogger("ghl_voice_async")
logger.addHandler(logging.NullHandler())


@frozen(kw_only=True)
class CallEvent:
    """What every event has."""

    method: str
    """The HTTP method."""
    path_template: str
    """The path with the names of its parameters in place of their values, fit for a metric's label."""
    call_id: str
    """The call asked for."""
    location_id: str
    """Its location."""
    attempt: int
    """The number of the request among those of this call, from 1."""


@frozen(kw_only=True)
class LimitEvent(CallEvent):
    """A request had to wait for its permit, and has it now."""

    waited: float
    """Seconds."""


@frozen(kw_only=True)
class RequestEvent(CallEvent):
    """A request is about to be sent. There is one of these for each request on the wire."""


@frozen(kw_only=True)
class ResponseEvent(CallEvent):
    """That request has ended, one way or another. Each `RequestEvent` is followed by one of these."""

    status: int | None
    """The HTTP status, or None where no whole answer came."""
    error: str | None
    """Why no whole answer came: the name of a class such as `AttemptTimeoutError`, or `CancelledError`."""
    seconds: float
    """From the sending to the last byte, waits for permits and connections left out."""


@frozen(kw_only=True)
class RetryEvent(CallEvent):
    """The attempt failed, and there will be another."""

    status: int | None
    """The HTTP status, or None where no whole answer came."""
    error: str
    """The name of the error's class."""
    delay: float
    """Seconds until the next attempt asks for its permit."""

    @property
    def reason(self) -> str:
        """Why it failed, in words, such as `503 (ServerError)` or `no answer (AttemptTimeoutError)`."""
        return f"{'no answer' if self.status is None else self.status} ({self.error})"


Hook = Callable[[CallEvent], object]
"""A plain function of one event. What it returns is of no consequence."""


@define
class Registered:
    """A hook, and whether it has raised."""

    hook: Hook
    has_failed: bool = False


class Hooks:
    """The hooks of one client, called in the order in which they were added."""

    def __init__(self) -> None:
        self.registered: list[Registered] = []
        """Where there are none, nobody need make an event."""

    def add(self, hook: Hook) -> None:
        """Call `hook` with every event from now on, or raise `InvalidInputError` for what cannot be called so."""
        if not callable(hook):
            raise InvalidInputError(f"a hook must be a function of one event, not {type(hook).__name__}")
        if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(type(hook).__call__):
            raise InvalidInputError("a hook must be a plain function, which is called between two awaits; not async")
        self.registered.append(Registered(hook))

    def tell(self, event: CallEvent) -> None:
        """Call the hooks. The first failure of each is logged, and all are without consequence."""
        for registered in self.registered:
            try:
                registered.hook(event)
            # A CancelledError that nobody's `cancel()` made is one more way to fail.
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # a hook may raise what it likes
                if not registered.has_failed:
                    registered.has_failed = True
                    _log_failure(event, error)


def _log_failure(event: CallEvent, error: BaseException) -> None:
    with suppress(Exception):
        logger.warning(
            "a hook raised at a %s; the call goes on, and later failures of this hook are not logged",
            type(event).__name__,
            exc_info=error,
        )


def log_misplaced_response(method: str, path_template: str) -> None:
    """Write one line at WARNING, with nothing in it that names a call."""
    with suppress(Exception):
        logger.warning(
            "%s %s: a reused connection gave the response of another call; it is closed, and the request is sent again",
            method,
            path_template,
        )


def log_retry(event: RetryEvent, *, attempt: int, max_attempts: int) -> None:
    """Write one line at INFO, with nothing in it that names the call."""
    # A logging handler of the caller's that raises must not change how the call ends.
    with suppress(Exception):
        logger.info(
            "%s %s: attempt %d of %d failed with %s; the next one is in %.2f s",
            event.method,
            event.path_template,
            attempt,
            max_attempts,
            event.reason,
            event.delay,
        )
