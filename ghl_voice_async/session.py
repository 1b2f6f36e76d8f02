"""The pipeline that every call runs through: deadline( retry( token → permit → send → observe → raise ))."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from attrs import define, field

from ghl_voice_async.auth import TokenProvider, bearer_token
from ghl_voice_async.call import Answer, Call, Turn
from ghl_voice_async.errors import ClientClosedError, DeadlineExceededError, GHLVoiceError, StatusError, TransportError
from ghl_voice_async.hooks import Hooks
from ghl_voice_async.lifecycle import Lifecycle
from ghl_voice_async.rate_limit import ImmediateRateLimiter, immediate
from ghl_voice_async.response import Response, status_error, truncation_error
from ghl_voice_async.retry import RetryBudget, RetryPolicy, retried
from ghl_voice_async.scope import somebody_cancelled

if TYPE_CHECKING:
    from ghl_voice_async.request import Request
    from ghl_voice_async.transport import Transport

__all__ = ["Session"]

_REFUSED: Final = frozenset({401, 403})


@define(eq=False)
class Session:
    """Runs requests through tokens, permits, attempts and retries, and gives whole answers."""

    transport: Transport
    tokens: TokenProvider
    rate_limiter: ImmediateRateLimiter = field(converter=immediate)
    retry: RetryPolicy
    hooks: Hooks = field(factory=Hooks, init=False)
    _budget: RetryBudget = field(factory=RetryBudget, init=False)
    _lifecycle: Lifecycle = field(factory=Lifecycle, init=False)

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
        """Send once, or once more with another token where the first was refused. Raise what the answer says."""
        location_id = call.request.location_id
        token = bearer_token(await self.tokens.get_token(location_id))
        while True:
            # Whatever becomes of the request, its permit is given back once.
            try:
                if not call.take_permit():
                    await call.wait_for_permit()
                response = await self.transport.send(call.request, token, call)
            except BaseException as error:
                call.give_back(None, error)
                raise
            call.give_back(response, None)
            if response.status != 401 or call.told_of_refusal:
                break
            call.told_of_refusal = True
            if call.turn is not None:
                call.turn.pause()
            await self.tokens.token_refused(location_id, token)
            refused, token = token, bearer_token(await self.tokens.get_token(location_id))
            if token == refused:
                break
        failure = status_error(response, secret=token) or truncation_error(response)
        if failure is not None:
            if call.turn is not None and response.status in _REFUSED:
                call.turn.refuse(token)
            raise failure
        return response
