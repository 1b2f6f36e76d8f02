"""`VoiceAIClient`: the one object that a program makes to get call logs."""

from __future__ import annotations

import os
import warnings
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from operator import methodcaller
from types import TracebackType
from typing import Self, cast

import aiohttp

from ghl_voice_async.auth import Secret, StaticToken, TokenProvider
from ghl_voice_async.bulk import Bulk, Calls
from ghl_voice_async.call import Answer, Turn
from ghl_voice_async.errors import InvalidInputError
from ghl_voice_async.hooks import Hook
from ghl_voice_async.models import CallLog
from ghl_voice_async.rate_limit import (
    RateLimit,
    RateLimiter,
    RateLimitState,
    Unlimited,
    WindowRateLimiter,
)
from ghl_voice_async.request import call_log_request, check_base_url, check_id, request_headers
from ghl_voice_async.result import CallLogResult, CallRef
from ghl_voice_async.retry import RetryPolicy
from ghl_voice_async.session import Session
from ghl_voice_async.transport import Transport
from ghl_voice_async.validation import check_count, check_seconds

__all__ = ["VoiceAIClient"]


class VoiceAIClient:
    """A client for HighLevel Voice AI call logs, to be made once and shared by all the tasks of a loop.

    It may be made outside a running loop, opens on first use, and is closed with `async with` or `aclose`.

    `token` is a private integration token or an access token of the sub-account, or any `TokenProvider`; None
    reads `GHL_ACCESS_TOKEN`. `base_url` is HighLevel's, or that of a server that answers like it; plain
    `http://` is for loopback addresses alone. `api_version` is sent as `Version`: `2021-04-15` is the one on
    the API page, `v3` the one in newer documents. `retry` is how failures are tried again. `rate_limit` is a
    `RateLimit`, any `RateLimiter`, or None for no limit on this side. `timeout` bounds one attempt, in
    seconds from when it may be sent to its last byte. `max_connections` is how many requests may be under
    way at once. `session` is an `aiohttp.ClientSession` of the caller's, with its proxies and tracing,
    which is used as it is and never closed; where its connector has a smaller limit, that one holds.

    Raises `InvalidInputError`, which does not show the token, for an argument that cannot be right.
    """

    def __init__(
        self,
        token: str | TokenProvider | None = None,
        *,
        base_url: str = "https://services.leadconnectorhq.com",
        api_version: str = "2021-04-15",
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  # frozen
        rate_limit: RateLimit | RateLimiter | None = RateLimit(),  # noqa: B008  # frozen
        timeout: float = 30.0,
        max_connections: int = 100,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        # From here on, no traceback with local variables shows the token, the repr of a provider, or a refused URL.
        secret, url = Secret(token), Secret(base_url)
        token, base_url = None, ""
        # Decoding is loaded when there is a client that needs it: a tenth of what importing this module would take.
        from ghl_voice_async.decoder import decode_call_log  # noqa: PLC0415

        self._decode: Callable[[Answer], CallLog] = methodcaller("decode", decode_call_log)
        self._base_url = check_base_url(cast("str", url.reveal()))
        self._headers = request_headers(api_version)
        if not isinstance(retry, RetryPolicy):
            raise InvalidInputError(f"retry must be a RetryPolicy, not {type(retry).__name__}")
        self._session = Session(
            transport=Transport(
                timeout=check_seconds("timeout", timeout),
                max_connections=check_count("max_connections", max_connections),
                session=session,
            ),
            tokens=_token_provider(secret),
            rate_limiter=_rate_limiter(rate_limit),
            retry=retry,
        )

    async def get_call_log(self, call_id: str, location_id: str, *, deadline: float | None = None) -> CallLog:
        """Fetch one call log.

        `deadline` bounds everything, in seconds: waiting for a permit, every attempt and every wait between
        them. None, the default, leaves that to the retry policy.

        Raises `InvalidInputError` for an id or a deadline that cannot be right, before anything is sent;
        `StatusError` and its kin for what the server refused, such as `NotFoundError`; `TransportError` when
        no whole answer came; `DecodeError` for an answer that is not a call log; `DeadlineExceededError`; and
        `ClientClosedError`. Failures that may pass have been retried by then.
        """
        request = call_log_request(self._base_url, self._headers, call_id, location_id)
        if deadline is not None:
            check_seconds("deadline", deadline)
        return self._decode(await self._session.run(request, deadline=deadline))

    def fetch_call_logs(
        self,
        calls: Calls,
        location_id: str | None = None,
        *,
        concurrency: int = 64,
        ordered: bool = False,
        look_ahead: int = 10_000,
    ) -> AsyncGenerator[CallLogResult, None]:
        """Fetch many call logs, as fast as the rate limit allows, with one result for each item of the input.

        `calls` is an iterable or an async iterable of call ids of the location `location_id`, or of
        `CallRef` and other pairs of a call id and a location id, which may be mixed with ids. It is read as
        results are taken, may be endless, and is closed at the end where it is a generator.

        Results come as they complete, or in the order of the input with `ordered=True`. A call that fails is a
        result, too, and so is an item that names no call. At most `concurrency` requests are under way at once. A
        location that waits for its rate limit does not hold up others, unless the next of these is more than
        `look_ahead` items further on in the input; no more than `look_ahead + concurrency` items are read ahead
        of the results taken.

        To leave the loop early, close the generator, with `contextlib.aclosing` best: that cancels what is in flight
        and waits for its end.

        A refused token costs its own location only. A 401 or 403 is the result of its call. After a second one with
        the same token, and no accepted request in between, the location's other calls get that error as their result,
        and nothing more is sent for them.

        Raises `InvalidInputError` at once for arguments that cannot be right. The loop raises `AuthenticationError` or
        `PermissionDeniedError` after the results when every location within `look_ahead` is refused. It raises
        `ClientClosedError` after the results of all that was fetched, and what the input raised after the results of
        all that was read.
        """
        if isinstance(calls, str | bytes | bytearray | CallRef) or not isinstance(calls, Iterable | AsyncIterable):
            raise InvalidInputError(f"calls must be an iterable of call ids or CallRefs, not {type(calls).__name__}")
        if location_id is not None:
            check_id("location_id", location_id, call_id=None, location_id=location_id)
        bulk = Bulk(
            self._fetch,
            self._decode,
            self._session.rate_limiter,
            concurrency=check_count("concurrency", concurrency),
            look_ahead=check_count("look_ahead", look_ahead),
            ordered=ordered,
        )
        return bulk.results(calls, location_id)

    def add_hook(self, hook: Hook) -> None:
        """Call `hook` with a `CallEvent` for every request, response, retry and wait for the rate limit.

        It is called in the event loop, between two awaits, so it should be quick: count, measure, log. What it
        raises is logged once and changes nothing. Raises `InvalidInputError` for an async function.
        """
        self._session.hooks.add(hook)

    @property
    def rate_limits(self) -> dict[str, RateLimitState]:
        """What the rate limiter knows of each location in use, by location id, as of now.

        Empty without a limit, and with a `RateLimiter` other than `WindowRateLimiter`.
        """
        limiter = self._session.rate_limiter
        return limiter.rate_limits if isinstance(limiter, WindowRateLimiter) else {}

    async def aclose(self) -> None:
        """Close the client. Calls in flight end with `ClientClosedError`; closing twice is fine."""
        await self._session.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        session = getattr(self, "_session", None)
        if session is not None and session.abandon():
            message = f"unclosed {self!r}: use `async with`, or await its aclose()"
            warnings.warn(message, ResourceWarning, stacklevel=2, source=self)

    def _fetch(self, ref: CallRef, turn: Turn) -> Awaitable[Answer]:
        request = call_log_request(self._base_url, self._headers, *ref)
        return self._session.run(request, turn=turn)

    def __repr__(self) -> str:
        # Tracebacks with local variables show clients whose arguments were refused, too.
        return f"<VoiceAIClient of {getattr(self, '_base_url', 'no server')}>"


def _token_provider(secret: Secret) -> TokenProvider:
    if secret.reveal() is None:
        secret = Secret(os.environ.get("GHL_ACCESS_TOKEN", ""))
    if isinstance(secret.reveal(), str):
        return StaticToken(secret)
    if isinstance(secret.reveal(), TokenProvider):
        return cast("TokenProvider", secret.reveal())
    kind = type(secret.reveal()).__name__
    raise InvalidInputError(f"token must be a str or a TokenProvider, not {kind}")


def _rate_limiter(rate_limit: RateLimit | RateLimiter | None) -> RateLimiter:
    if rate_limit is None:
        return Unlimited()
    if isinstance(rate_limit, RateLimit):
        return WindowRateLimiter(rate_limit)
    if isinstance(rate_limit, RateLimiter):
        return rate_limit
    raise InvalidInputError(f"rate_limit must be a RateLimit, a RateLimiter or None, not {type(rate_limit).__name__}")
