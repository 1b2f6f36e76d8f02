"""The pipeline that every call runs through: deadline( retry( token → permit → send → observe → raise ))."""

from __future__ import annotations

import asyncio
from typing import Final

from attrs import define, field

from ghl_voice_async.auth import BearerToken, StaticToken, TokenProvider
from ghl_voice_async.call import Answer, Call, Turn
from ghl_voice_async.errors import ClientClosedError, DeadlineExceededError, GHLVoiceError, StatusError, TransportError
from ghl_voice_async.hooks import Hooks, log_misplaced_response
from ghl_voice_async.lifecycle import Lifecycle
from ghl_voice_async.rate_limit import (
    ImmediateRateLimiter,
    RateLimiter,  # noqa: F401  # attrs names it in the annotations of `__init__`, after the converter
    immediate,
)
from ghl_voice_async.request import Request
from ghl_voice_async.response import Response, status_error, truncation_error
from ghl_voice_async.retry import RetryBudget, RetryPolicy, load_tenacity, retried
from ghl_voice_async.scope import somebody_cancelled
from ghl_voice_async.tracebacks import hide_frames
from ghl_voice_async.transport import Transport

__all__ = ["Session"]

_REFUSED: Final = frozenset({401, 403})


@define(eq=False)
class Session:
    """Runs requests through tokens, permits, attempts and retries, and gives whole answers."""

    transport: Transport
    tokens: TokenProvider = field(repr=False)  # which may be a class whose repr shows its tokens
    rate_limiter: ImmediateRateLimiter = field(converter=immediate)
    retry: RetryPolicy
    hooks: Hooks = field(factory=Hooks, init=False)
    _budget: RetryBudget = field(factory=RetryBudget, init=False)
    _lifecycle: Lifecycle = field(factory=Lifecycle, init=False)
    _fixed_token: BearerToken | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        """Load now what a failure needs."""
        if isinstance(self.tokens, StaticToken):
            self._fixed_token = self.tokens.bearer_token
        load_tenacity()

    async def run(
        self,
        request: Request,
        *,
        deadline: float | None = None,
        turn: Turn | None = None,
    ) -> Answer:
        """Run one call to its end. Every error of ours that leaves here names the call and its attempts.

        `turn` takes the place of the session's rate limiter: a bulk has one for each of its calls.
        """
        loop = asyncio.get_running_loop()
        call = Call(request, turn or self.rate_limiter, self.retry, self.hooks, loop.time)
        if turn is not None:
            call.turn = turn
        try:
            scope = call.scope = self._lifecycle.begin(loop, deadline)
            if deadline is not None:
                call.deadline_at = loop.time() + deadline
            try:
                with scope:
                    try:
                        response = await self._attempt(call)
                    except (TransportError, StatusError) as error:
                        failure = error
                    else:
                        self._budget.refill(retried=False)
                        return Answer(request, call.attempts, response.body)
                    response = await retried(failure, self._attempt, call, self.retry, self._budget)
                    return Answer(request, call.attempts, response.body)
            except asyncio.CancelledError:
                if somebody_cancelled():
                    raise
            finally:
                self._lifecycle.end(scope)
            # Here, outside the except block, so that no traceback with aiohttp's frames is chained.
            if not scope.is_interrupted:
                raise TransportError("what this call waited for was cancelled, and not the call", retryable=False)
            if self._lifecycle.closed:
                raise ClientClosedError("the client was closed while this call was under way")
            raise DeadlineExceededError(f"no call log within the deadline of {deadline:g} s{call.last_failure}")
        except GHLVoiceError as error:
            call.sign(error)
            raise

    async def aclose(self) -> None:
        """End the calls in flight with `ClientClosedError`, then close the transport."""
        await self._lifecycle.aclose()
        await self.transport.aclose()

    def abandon(self) -> bool:
        """Close at once what nobody closed, and tell whether there was anything. A forked child has nothing."""
        return not self._lifecycle.is_in_another_process() and self.transport.abandon()

    async def _attempt(self, call: Call) -> Response:
        """Send once, or again where the token was refused or the response is another call's. Raise what it says."""
        location_id = call.request.location_id
        token = self._fixed_token or BearerToken(await self.tokens.get_token(location_id))
        refused: tuple[BearerToken, ...] = ()
        is_fresh = False
        while True:
            # Whatever becomes of the request, its permit is given back once.
            try:
                if not call.take_permit():
                    await call.wait_for_permit()
                response = await self.transport.send(call.request, token, call, is_fresh=is_fresh)
            except BaseException as error:
                hide_frames(error)
                call.give_back(None, error)
                raise
            if response.is_misplaced:
                # Its status and headers are another request's, and say nothing to the limiter.
                call.give_back(None, TransportError())
                log_misplaced_response(call.request.method, call.request.path_template)
                is_fresh = True
                continue
            call.give_back(response, None)
            if response.status != 401 or call.told_of_refusal:
                break
            call.told_of_refusal = True
            if call.turn is not None:
                call.turn.pause()
            await self.tokens.token_refused(location_id, token.reveal())
            refused, token = (token,), BearerToken(await self.tokens.get_token(location_id))
            if token in refused:
                break
        failure = status_error(response, redact=token.redact) or truncation_error(response)
        if failure is not None:
            if call.turn is not None and response.status in _REFUSED:
                call.turn.refuse(*refused, token)
            raise failure
        return response
