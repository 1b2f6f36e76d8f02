"""One call while it runs: what is sent for it, under which permits, and what the hooks are told of it."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Protocol, TypeVar

from attrs import define, field

from ghl_voice_async.errors import GHLVoiceError, StatusError
from ghl_voice_async.hooks import CallEvent, Hooks, LimitEvent, RequestEvent, ResponseEvent, RetryEvent, log_retry
from ghl_voice_async.rate_limit import ImmediateRateLimiter, Patience, Permit
from ghl_voice_async.request import Request
from ghl_voice_async.response import NO_HEADERS, Response
from ghl_voice_async.retry import RetryPolicy
from ghl_voice_async.scope import Scope

__all__ = ["Answer", "Call", "Turn"]

E = TypeVar("E", bound=CallEvent)
T = TypeVar("T")

_WORTH_TELLING = 0.001  # seconds: a permit that was free took less


class Turn(ImmediateRateLimiter, Protocol):
    """The rate limit as one call of a bulk sees it. It is told when the call waits, and when it is refused."""

    def pause(self) -> None:
        """Learn that the call waits for its next attempt, or for another token."""

    def refuse(self, *tokens: object) -> None:
        """Learn that the server refused the call with these tokens, which may be compared and not shown."""


class Call:
    """What is known of one call. Times are the event loop's.

    Each of its sends is one request on the wire, unless a middleware of a borrowed session sends more.
    """

    scope: Scope
    """From when it has begun."""
    # What most calls leave as it is need not be written for each of them.
    permit: Permit | None = None
    turn: Turn | None = None
    """Its turn in a bulk, or None for a call on its own."""
    attempts: int = 0
    first_sent_at: float = 0.0
    sent_at: float | None = None
    """When what is sent under this permit went out."""
    waited_for_permits: float = 0.0
    deadline_at: float = inf
    """When the caller's deadline passes."""
    told_of_refusal: bool = False
    last_failure: str = ""

    def __init__(
        self,
        request: Request,
        rate_limiter: ImmediateRateLimiter,
        retry: RetryPolicy,
        hooks: Hooks,
        now: Callable[[], float],
    ) -> None:
        self.request = request
        self.rate_limiter = rate_limiter
        self.retry = retry
        self.hooks = hooks
        self.now = now

    def elapsed(self) -> float:
        """Return the seconds since the first send, without those spent waiting for later permits."""
        return self.now() - self.first_sent_at - self.waited_for_permits if self.attempts else 0.0

    def until_deadline(self) -> float:
        """Return the seconds until the caller's deadline, or infinity without one."""
        return self.deadline_at - self.now() if self.deadline_at < inf else inf

    def patience(self) -> float:
        """Return what is left of the time in which another attempt may begin."""
        left = self.retry.max_elapsed - self.elapsed() if self.attempts else self.retry.max_elapsed
        if self.deadline_at == inf:
            return left
        return Patience(min(left, self.until_deadline()), self.deadline_at)

    def sign(self, error: GHLVoiceError) -> None:
        """Write into an error which call it belongs to."""
        _sign(error, self.request, self.attempts)

    def event(self, kind: type[E], *, attempt: int, **details: Any) -> E:  # noqa: ANN401  # the fields of its kind
        """Make an event of this call."""
        return kind(
            method=self.request.method,
            path_template=self.request.path_template,
            call_id=self.request.call_id,
            location_id=self.request.location_id,
            attempt=attempt,
            **details,
        )

    def will_retry(self, failure: GHLVoiceError, attempt: int, delay: float) -> None:
        """Log a retry and tell the hooks of it."""
        event = self.event(
            RetryEvent,
            attempt=self.attempts,
            status=failure.status if isinstance(failure, StatusError) else None,
            error=type(failure).__name__,
            delay=delay,
        )
        self.last_failure = f"; the last failure was {event.reason}"
        log_retry(event, attempt=attempt, max_attempts=self.retry.max_attempts)
        if self.turn is not None:
            self.turn.pause()
        self.hooks.tell(event)

    def take_permit(self) -> bool:
        """Take a permit that is free, or return False where it has to be waited for."""
        self.sent_at = None
        self.permit = self.rate_limiter.acquire_at_once(self.request.location_id, max_pause=self.patience())
        return self.permit is not None

    async def wait_for_permit(self) -> None:
        """Wait until a request may be sent."""
        asked_at = self.now()
        self.permit = await self.rate_limiter.acquire(self.request.location_id, max_pause=self.patience())
        waited = self.now() - asked_at
        if self.attempts:
            self.waited_for_permits += waited
        if waited >= _WORTH_TELLING and self.hooks.registered:
            self.hooks.tell(self.event(LimitEvent, attempt=self.attempts + 1, waited=waited))

    def begin(self) -> float:
        """Count a request that is about to go out on the wire, and return the time."""
        now = self.sent_at = self.now()
        if not self.attempts:
            self.first_sent_at = now
        self.attempts += 1
        if self.hooks.registered:
            self.hooks.tell(self.event(RequestEvent, attempt=self.attempts))
        return now

    async def begin_another(self) -> None:
        """Give the permit back, and take another for one more request in place of the first."""
        self.give_back(None, None)
        if not self.take_permit():
            await self.wait_for_permit()
        self.begin()

    def give_back(self, response: Response | None, error: BaseException | None) -> None:
        """Return the permit: spent, or whole when nothing was sent under it."""
        permit, self.permit = self.permit, None
        if permit is None:
            return
        if self.sent_at is None:
            permit.cancel()
            return
        status, headers = (None, NO_HEADERS) if response is None else (response.status, response.headers)
        try:
            if self.hooks.registered:
                self.hooks.tell(
                    self.event(
                        ResponseEvent,
                        attempt=self.attempts,
                        status=status,
                        error=None if error is None else type(error).__name__,
                        seconds=self.now() - self.sent_at,
                    )
                )
        finally:  # also where a hook raises what is no `Exception`
            permit.release(status=status, headers=headers)


@define
class Answer:
    """The whole answer to a call, not decoded yet."""

    request: Request
    attempts: int
    body: bytes = field(repr=False)

    def decode(self, decode: Callable[[bytes], T]) -> T:
        """Decode it. An error names the call."""
        try:
            return decode(self.body)
        except GHLVoiceError as error:
            _sign(error, self.request, self.attempts)
            raise


def _sign(error: GHLVoiceError, request: Request, attempts: int) -> None:
    error.call_id, error.location_id, error.attempts = request.call_id, request.location_id, attempts
