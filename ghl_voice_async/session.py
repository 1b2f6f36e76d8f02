"""The pipeline that every call runs through: deadline( retry( token → permit → send → observe → raise ))."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from attrs import define, field

from ghl_voice_async.auth import Secret, TokenProvider, secret_token
from ghl_voice_async.errors import ClientClosedError, DeadlineExceededError, GHLVoiceError
from ghl_voice_async.lifecycle import Lifecycle
from ghl_voice_async.response import Headers, Response, status_error
from ghl_voice_async.retry import RetryPolicy, retrying

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ghl_voice_async.rate_limit import RateLimiter
    from ghl_voice_async.request import Request
    from ghl_voice_async.transport import Transport

__all__ = ["Session"]

T = TypeVar("T")
_NO_HEADERS: Mapping[str, str] = Headers({})


@define
class _Call:
    """What is known of one call while it runs. Times are the event loop's."""

    request: Request
    attempts: int = 0
    first_sent_at: float = 0.0
    waited_for_permits: float = 0.0
    told_of_refusal: bool = False

    def elapsed(self) -> float:
        """Return the seconds since the first send, without those spent waiting for later permits."""
        return asyncio.get_running_loop().time() - self.first_sent_at - self.waited_for_permits

    def sign(self, error: GHLVoiceError) -> None:
        """Write into an error which call it belongs to."""
        error.call_id, error.location_id = self.request.call_id, self.request.location_id
        error.attempts = self.attempts


@define(eq=False)
class Session:
    """Runs requests through tokens, permits, attempts and retries, and gives decoded answers."""

    transport: Transport
    tokens: TokenProvider
    rate_limiter: RateLimiter
    retry: RetryPolicy
    _lifecycle: Lifecycle = field(factory=Lifecycle, init=False)

    async def run(self, request: Request, decode: Callable[[bytes], T], *, deadline: float | None = None) -> T:
        """Run one call to its end. Every error of ours that leaves here names the call and its attempts."""
        call = _Call(request)
        try:
            scope = self._lifecycle.begin(deadline)
            try:
                async with scope:
                    response = await retrying(partial(self._attempt, call), self.retry, call.elapsed)
                    return decode(response.body)
            except TimeoutError:
                if not scope.expired():
                    raise
            finally:
                self._lifecycle.end(scope)
            # Here, outside the except block, so that no traceback with aiohttp's frames is chained.
            if self._lifecycle.closed:
                raise ClientClosedError("the client was closed while this call was under way")
            raise DeadlineExceededError(f"no call log within the deadline of {deadline:g} s")
        except GHLVoiceError as error:
            call.sign(error)
            raise

    async def aclose(self) -> None:
        """End the calls in flight with `ClientClosedError`, then close the transport."""
        await self._lifecycle.aclose()
        await self.transport.aclose()

    async def _attempt(self, call: _Call) -> Response:
        token = await self._token(call)
        response = await self._send(call, token)
        if response.status == 401 and not call.told_of_refusal:
            call.told_of_refusal = True
            await self.tokens.token_refused(call.request.location_id, token)
            refused, token = token, await self._token(call)
            if token != refused:
                response = await self._send(call, token)
        error = status_error(response, secret=token)
        if error is not None:
            raise error
        return response

    async def _token(self, call: _Call) -> Secret:
        return secret_token(await self.tokens.get_token(call.request.location_id))

    async def _send(self, call: _Call, token: Secret) -> Response:
        """Send once, under a permit. Whatever becomes of the request, its permit is given back once."""
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        await self.rate_limiter.acquire(call.request.location_id)
        if call.attempts == 0:
            call.first_sent_at = clock()
        else:
            call.waited_for_permits += clock() - asked_at
        call.attempts += 1
        status, headers = None, _NO_HEADERS
        try:
            response = await self.transport.send(call.request, token)
            status, headers = response.status, response.headers
            return response
        finally:
            self.rate_limiter.release(call.request.location_id, status=status, headers=headers)
