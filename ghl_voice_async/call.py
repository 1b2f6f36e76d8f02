"""One call while it runs: what was sent for it, under which permits, and what the hooks are told of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import define

from ghl_voice_async.errors import GHLVoiceError, StatusError
from ghl_voice_async.hooks import CallEvent, Hooks, LimitEvent, RequestEvent, ResponseEvent, RetryEvent, log_retry
from ghl_voice_async.response import Headers, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghl_voice_async.rate_limit import Permit, RateLimiter
    from ghl_voice_async.request import Request
    from ghl_voice_async.retry import RetryPolicy

__all__ = ["Call", "Sending"]

E = TypeVar("E", bound=CallEvent)

_NO_HEADERS: Final[Mapping[str, str]] = Headers({})
_WORTH_TELLING = 0.001  # seconds: a permit that was free took less


def _now() -> float:
    return asyncio.get_running_loop().time()


@define
class Call:
    """What is known of one call. Times are the event loop's."""

    request: Request
    rate_limiter: RateLimiter
    retry: RetryPolicy
    hooks: Hooks
    attempts: int = 0
    first_sent_at: float = 0.0
    waited_for_permits: float = 0.0
    told_of_refusal: bool = False
    last_failure: str = ""

    def elapsed(self) -> float:
        """Return the seconds since the first send, without those spent waiting for later permits."""
        return _now() - self.first_sent_at - self.waited_for_permits if self.attempts else 0.0

    def sign(self, error: GHLVoiceError) -> None:
        """Write into an error which call it belongs to."""
        error.call_id, error.location_id = self.request.call_id, self.request.location_id
        error.attempts = self.attempts

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
        self.hooks.tell(event)


@define
class Sending:
    """One send of a call. It is one request on the wire, unless a middleware of a borrowed session sends more."""

    call: Call
    permit: Permit | None = None
    sent_at: float | None = None

    async def take_permit(self) -> None:
        """Wait until a request may be sent."""
        call = self.call
        asked_at = _now()
        self.permit = await call.rate_limiter.acquire(
            call.request.location_id, max_pause=call.retry.max_elapsed - call.elapsed()
        )
        waited = _now() - asked_at
        if call.attempts:
            call.waited_for_permits += waited
        if waited >= _WORTH_TELLING and call.hooks:
            call.hooks.tell(call.event(LimitEvent, attempt=call.attempts + 1, waited=waited))

    async def begin_another(self) -> None:
        """Give the permit back, and take another for one more request in place of the first."""
        self.give_back(None, None)
        await self.take_permit()
        self.begin()

    def begin(self) -> None:
        """Count a request that is about to go out on the wire."""
        call = self.call
        self.sent_at = _now()
        if not call.attempts:
            call.first_sent_at = self.sent_at
        call.attempts += 1
        if call.hooks:
            call.hooks.tell(call.event(RequestEvent, attempt=call.attempts))

    def give_back(self, response: Response | None, error: BaseException | None) -> None:
        """Return the permit: spent, or whole when nothing was sent under it."""
        permit, self.permit = self.permit, None
        if permit is None:
            return
        if self.sent_at is None:
            permit.cancel()
            return
        status, headers = (None, _NO_HEADERS) if response is None else (response.status, response.headers)
        if self.call.hooks:
            self.call.hooks.tell(
                self.call.event(
                    ResponseEvent,
                    attempt=self.call.attempts,
                    status=status,
                    error=None if error is None else type(error).__name__,
                    seconds=_now() - self.sent_at,
                )
            )
        permit.release(status=status, headers=headers)
