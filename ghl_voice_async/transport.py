"""The aiohttp adapter: sends one `Request`, reads one `Response`, and maps every error of aiohttp's.

With its connector, this is all of the client that knows aiohttp. No request goes out unseen.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import aiohttp
from aiohttp import hdrs
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from ghl_voice_async.connector import Connector, KeptConnectionLostError
from ghl_voice_async.errors import (
    AttemptTimeoutError,
    ClientClosedError,
    GHLVoiceError,
    InvalidInputError,
    TransportError,
)
from ghl_voice_async.response import Response
from ghl_voice_async.scope import SharedTimeout, somebody_cancelled
from ghl_voice_async.semaphore import Semaphore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from ghl_voice_async.auth import BearerToken
    from ghl_voice_async.request import Request
    from ghl_voice_async.scope import Scope

__all__ = ["ERROR_BODY_LIMIT", "RESPONSE_BODY_LIMIT", "Transport", "transport_error"]

RESPONSE_BODY_LIMIT: Final = 8 * 1024 * 1024
ERROR_BODY_LIMIT: Final = 64 * 1024

_ENCODINGS = {"identity", "gzip", "x-gzip", "deflate"}
_CLOSED_BY_OWNER = "the aiohttp session given to this client is closed"
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


class Announced(Protocol):
    """Told of requests when they go out on the wire."""

    def begin(self) -> float:
        """Learn that the request goes out now, and return what the event loop's clock shows."""
        ...  # pyright takes a docstring alone for a body that returns nothing

    @property
    def scope(self) -> Scope:
        """What the requests are a part of."""
        ...  # likewise

    async def begin_another(self) -> None:
        """Learn that another is to go out in its place, and return when it may."""


class _BareRequest(aiohttp.ClientRequest):
    """A request without headers of aiohttp's own choice, since ours take the place of each of them: 1 µs."""

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:
        """Add none."""


class Transport:
    """Sends requests through an `aiohttp.ClientSession`: its own, opened on first use, or a borrowed one.

    `timeout` bounds one attempt in seconds, from the moment it has a connection's place to its last byte.
    """

    def __init__(self, *, timeout: float, max_connections: int, session: aiohttp.ClientSession | None = None) -> None:
        if session is not None and not isinstance(session, aiohttp.ClientSession):
            raise InvalidInputError(f"session must be an aiohttp.ClientSession, not {type(session).__name__}")
        self._timeout = SharedTimeout(timeout)
        self._max_connections = max_connections
        self._session = session
        self._connector: Connector | None = None
        self._slots: Semaphore | None = None

    async def send(self, request: Request, token: BearerToken, announced: Announced) -> Response:
        """Send one request and read its whole answer. Raises `TransportError` and nothing of aiohttp's.

        `announced` is told of every request that goes out on the wire: this one, and others that a middleware of a
        borrowed session may send in its place. The timeout does not count the wait for those.
        """
        session, slots = self._open()
        failure: GHLVoiceError
        # The slots are ours, so that waiting for one is not charged to the timeout, as aiohttp would.
        if not slots.try_acquire():
            await slots.acquire()
        try:
            if session.closed:
                raise ClientClosedError(_CLOSED_BY_OWNER)
            is_over_time = False
            self._timeout.start(announced.scope, announced.begin())
            try:
                try:
                    answer = await self._request(session, request, token, announced)
                    return _whole(answer) or await _read(answer)
                finally:
                    is_over_time = self._timeout.stop(announced.scope)
            except asyncio.CancelledError:
                if is_over_time:
                    failure = AttemptTimeoutError(f"no whole answer within {self._timeout.seconds:g} s")
                elif somebody_cancelled():
                    raise
                else:
                    # aiohttp cancels who waits for a connection of a session that its owner closes.
                    failure = TransportError("the connection was given up within aiohttp")
            except TransportError as error:
                # Its traceback passes through frames of aiohttp's, which hold the headers as they are sent.
                failure = error.with_traceback(None)
            except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
                failure = transport_error(error)
        finally:
            slots.release()
        if session.closed:
            failure = ClientClosedError(_CLOSED_BY_OWNER)
        # Raised out here, where no aiohttp error is being handled, so that none becomes its context.
        raise failure

    async def aclose(self) -> None:
        """Close the session, unless it is borrowed."""
        self._timeout.cancel()
        if self._session is not None and self._connector is not None:
            await self._session.close()

    def abandon(self) -> bool:
        """Close at once a session of our own that nobody closed, and tell whether there was one.

        aiohttp, left to find it, would log two errors.
        """
        if self._connector is None or self._connector.closed:
            return False
        self._connector.close_now()
        return True

    def _open(self) -> tuple[aiohttp.ClientSession, Semaphore]:
        if self._session is None:
            self._connector = Connector()
            self._session = aiohttp.ClientSession(
                connector=self._connector, cookie_jar=aiohttp.DummyCookieJar(), request_class=_BareRequest
            )
        if self._slots is None:
            connector = self._session.connector
            if connector is None:
                raise ClientClosedError(_CLOSED_BY_OWNER)
            limits = (limit for limit in (connector.limit, connector.limit_per_host) if limit)
            self._slots = Semaphore(min([self._max_connections, *limits]))
        return self._session, self._slots

    def _request(
        self, session: aiohttp.ClientSession, request: Request, token: BearerToken, announced: Announced
    ) -> Awaitable[aiohttp.ClientResponse]:
        # A function and not an object: mocks of aiohttp copy the arguments of a request, with all that hangs on them.
        has_sent = False

        async def on_the_wire(
            wire_request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            """Put our headers into a request on the wire, and let none out without a permit.

            aiohttp sends a GET a second time, unseen, when a kept connection turns out to be dead. It does so for
            errors of its own that come out of here, so they go out as one of ours. Where a middleware of a
            borrowed session sends another, that one is announced. aiohttp refuses a token among the headers that it
            is given beside a borrowed session's own `auth` or an entry in a netrc file, and copies them one by one.
            """
            nonlocal has_sent
            if has_sent:
                await self._begin_another(announced)
            has_sent = True
            wire_request.headers.update(request.headers)
            wire_request.headers[hdrs.AUTHORIZATION] = token.authorization
            try:
                return await handler(wire_request)
            except (aiohttp.ClientError, OSError) as error:
                failure = transport_error(error)
            raise failure

        # The innermost, so that a borrowed session's own stay in force around it.
        middlewares = (*getattr(session, "_middlewares", ()), on_the_wire)
        return session.request(
            request.method,
            _url(request),
            allow_redirects=False,
            auto_decompress=False,
            raise_for_status=False,
            timeout=_NO_TIMEOUT,
            middlewares=middlewares,
        )

    async def _begin_another(self, announced: Announced) -> None:
        self._timeout.pause(announced.scope)
        try:
            await announced.begin_another()
        finally:
            self._timeout.start(announced.scope, asyncio.get_running_loop().time())


def _url(request: Request) -> URL:
    """Put a URL together of parts, which takes a third of the time that parsing the whole does."""
    scheme, authority, path, *_ = _parts(request.base_url)
    path += request.path
    return URL.build(scheme=scheme, authority=authority, path=path, query_string=request.query, encoded=True)


_parts = lru_cache(urlsplit)  # a client has one server


def _whole(answer: aiohttp.ClientResponse) -> Response | None:
    """Return an answer whose body has come with its head, as most do, or None where there may be more to it."""
    headers, content = answer.headers, answer.content
    if hdrs.CONTENT_LENGTH not in headers or hdrs.CONTENT_ENCODING in headers:
        return None
    if not content.is_eof() or content.total_bytes > ERROR_BODY_LIMIT:
        return None
    return Response(answer.status, headers, content.read_nowait(), answer.reason or "")


async def _read(answer: aiohttp.ClientResponse) -> Response:
    # `async with` costs 5 µs, and an answer that was read to its end has given its connection back already.
    try:
        encoding = answer.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
        body = await _read_body(answer, encoding)
    except BaseException:
        answer.close()
        raise
    is_length_known = _is_length_known(answer, encoding, body)
    return Response(answer.status, answer.headers, body, answer.reason or "", is_length_known)


async def _read_body(answer: aiohttp.ClientResponse, encoding: str) -> bytes:
    """Read a body to its end, against a limit on its unfolded size.

    aiohttp's own unfolding does not notice a gzip stream without its end, and unfolds a small bomb whole.
    """
    is_success = 200 <= answer.status < 300
    if encoding not in _ENCODINGS:
        if is_success:
            text = f"the body has a Content-Encoding that was not asked for: {encoding!r}"
            raise TransportError(text, retryable=False)
        answer.close()
        return b""  # the status says what happened without it
    limit = RESPONSE_BODY_LIMIT if is_success else ERROR_BODY_LIMIT
    unfold = None
    body = bytearray()
    chunk = await answer.content.readany()
    while chunk:
        if encoding != "identity":
            unfold = unfold or zlib.decompressobj(_window_bits(encoding, chunk))
            try:
                chunk = unfold.decompress(chunk, limit + 1 - len(body))
            except zlib.error:
                damaged = True
            else:
                damaged = bool(unfold.unused_data)
            if damaged:
                raise TransportError(f"the body is not valid {encoding}")
        body += chunk
        if len(body) > limit:
            raise TransportError(f"the body is larger than the limit of {limit} bytes", retryable=False)
        chunk = await answer.content.readany()
    if unfold is not None and not unfold.eof:
        raise TransportError(f"the body was cut short: its {encoding} stream has no end")
    return bytes(body)


def _is_length_known(answer: aiohttp.ClientResponse, encoding: str, body: bytes) -> bool:
    """Tell whether the answer said where its body ends, in its head or by the end of its stream."""
    return (
        hdrs.CONTENT_LENGTH in answer.headers
        or answer.status == 204
        or "chunked" in answer.headers.get(hdrs.TRANSFER_ENCODING, "").lower()
        or (encoding != "identity" and bool(body))
    )


def _window_bits(encoding: str, start: bytes) -> int:
    """Choose zlib's format: gzip, or for deflate the zlib format of RFC 9110 or the bare stream some send."""
    if encoding != "deflate":
        return zlib.MAX_WBITS | 16
    return zlib.MAX_WBITS if start[0] & 0x0F == 8 else -zlib.MAX_WBITS


def transport_error(error: Exception) -> TransportError:
    """Make the error of ours for one of aiohttp's or the system's, by its type and never by its status.

    A server that talks garbage is a `ClientResponseError` with the status 400, which no server sent. Of the
    original only what can hold no header is kept, since its repr has the token in it.
    """
    match error:
        case TransportError():
            return error
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch() | ssl.SSLError():
            return TransportError(f"TLS failed: {_system_text(error)}", retryable=False)
        case aiohttp.ClientConnectorDNSError():
            return TransportError(f"the name of the server {error.host} cannot be resolved")
        case aiohttp.ClientConnectorError():
            return TransportError(_connect_text(error))
        case aiohttp.ServerDisconnectedError():
            was_kept = isinstance(error, KeptConnectionLostError)
            return TransportError("the server closed the connection before it answered", was_kept=was_kept)
        case aiohttp.ClientPayloadError():
            return TransportError("the body was cut short")
        case aiohttp.ClientHttpProxyError():
            return TransportError(f"the proxy answered {error.status}")
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return TransportError("the answer is not valid HTTP")
        case OSError():
            return TransportError(f"the connection failed: {_system_text(error)}")
        case _:
            return TransportError(f"the request failed in aiohttp: {type(error).__name__}")


def _connect_text(error: aiohttp.ClientConnectorError) -> str:
    whom = f"{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        whom = "the proxy"  # aiohttp does not say which
    number = error.os_error.errno
    # asyncio's own text says the address once more, and not why.
    return f"cannot connect to {whom}: {os.strerror(number) if number else _system_text(error.os_error)}"


def _system_text(error: Exception) -> str:
    text = getattr(error, "strerror", None)
    return text if isinstance(text, str) and text else type(error).__name__
