"""The aiohttp adapter: sends one `Request`, reads one `Response`, and maps every error of aiohttp's.

With its connector, this is all of the client that knows aiohttp. No request goes out unseen.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Iterable
from functools import lru_cache
from itertools import count
from typing import Final, Protocol
from urllib.parse import urlsplit

import aiohttp
from aiohttp import hdrs
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpResponseParser
from multidict import CIMultiDict
from yarl import URL

from ghl_voice_async.auth import BearerToken
from ghl_voice_async.connector import Connector, KeptConnectionLostError, connection_of, end_connection, is_reused
from ghl_voice_async.decompression import Decompressor, body_too_large, content_codings, transfer_codings
from ghl_voice_async.errors import (
    AttemptTimeoutError,
    ClientClosedError,
    GHLVoiceError,
    InvalidInputError,
    TransportError,
)
from ghl_voice_async.request import Request
from ghl_voice_async.response import Response, is_of_another_call
from ghl_voice_async.scope import Scope, SharedTimeout, somebody_cancelled
from ghl_voice_async.semaphore import Semaphore
from ghl_voice_async.tls import tls_error
from ghl_voice_async.unsendable import is_raised_by_aiohttp, unsendable_error

__all__ = ["ERROR_BODY_LIMIT", "RESPONSE_BODY_LIMIT", "Transport", "transport_error"]

RESPONSE_BODY_LIMIT: Final = 8 * 1024 * 1024
ERROR_BODY_LIMIT: Final = 64 * 1024

_PIECES_IN_A_ROW: Final = 64  # decompressed pieces between two chances for others to run
_FAILURES_OF_A_BODY: Final = (TransportError, aiohttp.ClientError, HttpProcessingError, OSError)
_IS_PARSER_COMPILED: Final = HttpResponseParser.__module__ == "aiohttp._http_parser"
_CLOSED_BY_OWNER = "the aiohttp session given to this client is closed"
_NOT_HTTP = "the answer is not valid HTTP"
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)

_fresh_connections = count()


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

    async def send(
        self, request: Request, token: BearerToken, announced: Announced, *, is_fresh: bool = False
    ) -> Response:
        """Send one request and read its whole answer. Raises `TransportError` and nothing of aiohttp's.

        With `is_fresh` the request goes out on a new connection, and whatever call its response names is accepted.
        On a reused connection, a success that names another call ends the connection and is marked as misplaced.

        `announced` is told of every request that goes out on the wire: this one, and others that a middleware of a
        borrowed session may send in its place. The timeout does not count the wait for those.
        """
        session, slots = self._open()
        failure: GHLVoiceError
        answer: aiohttp.ClientResponse | None = None
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
                    answer = await self._request(session, request, token, announced, is_fresh=is_fresh)
                    response = _whole(answer) or await _read(answer)
                    _end_connection(response, answer, session, request.call_id, is_fresh=is_fresh)
                    return response
                finally:
                    is_over_time = self._timeout.stop(announced.scope)
            except asyncio.CancelledError:
                if not is_over_time and somebody_cancelled():
                    raise
                if is_over_time and answer is not None and not _is_success(answer):
                    return _without_body(answer)  # the status has come, and says more than the timeout
                failure = self._gave_up(is_over_time=is_over_time)
            except TransportError as error:
                # Its traceback passes through frames of aiohttp's, which hold the headers as they are sent.
                failure = error.with_traceback(None)
            except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, TypeError) as error:
                mapped = _error_of_request(session, error)
                if mapped is None:
                    raise
                failure = mapped
        finally:
            slots.release()
        if session.closed:
            failure = ClientClosedError(_CLOSED_BY_OWNER)
        failure.args = (token.redact(str(failure)),)  # a server's words may be in it, and an echo of the token in these
        # Raised out here, where no aiohttp error is being handled, so that none becomes its context.
        raise failure

    def _gave_up(self, *, is_over_time: bool) -> TransportError:
        if is_over_time:
            return AttemptTimeoutError(f"no whole answer within {self._timeout.seconds:g} s")
        # aiohttp cancels who waits for a connection of a session that its owner closes.
        return TransportError("the connection was given up within aiohttp")

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
        self,
        session: aiohttp.ClientSession,
        request: Request,
        token: BearerToken,
        announced: Announced,
        *,
        is_fresh: bool,
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
            if is_fresh:
                _ask_for_fresh_connection(wire_request)
            try:
                return await handler(wire_request)
            except aiohttp.InvalidURL:
                raise  # of a proxy; the session is asked for it further out
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


def _ask_for_fresh_connection(wire_request: aiohttp.ClientRequest) -> None:
    """Keep a request off all pooled connections, and the connection that it gets out of the pool.

    Headers for a proxy are a part of what aiohttp looks connections up by. Only a proxy gets to see them.
    """
    headers = CIMultiDict(wire_request.proxy_headers or ())
    headers["X-Connection-Number"] = str(next(_fresh_connections))
    wire_request.proxy_headers = headers
    wire_request.headers[hdrs.CONNECTION] = "close"


def _end_connection(
    response: Response, answer: aiohttp.ClientResponse, session: aiohttp.ClientSession, call_id: str, *, is_fresh: bool
) -> None:
    """End a connection for one request, or a reused one whose response to another call is marked as misplaced."""
    if not is_fresh and not is_of_another_call(response, call_id):
        return
    connection = connection_of(answer)
    if connection is None or session.connector is None:
        return
    response.is_misplaced = not is_fresh and not session.connector.force_close and is_reused(connection)
    if is_fresh or response.is_misplaced:
        end_connection(connection)


def _url(request: Request) -> URL:
    """Put a URL together of parts, which takes a third of the time that parsing the whole does."""
    scheme, authority, path, *_ = _parts(request.base_url)
    path += request.path
    return URL.build(scheme=scheme, authority=authority, path=path, query_string=request.query, encoded=True)


_parts = lru_cache(urlsplit)  # a client has one server


def _whole(answer: aiohttp.ClientResponse) -> Response | None:
    """Return an answer whose body has come with its head, as most do, or None where there may be more to it."""
    headers, content = answer.headers, answer.content
    if hdrs.CONTENT_LENGTH not in headers or hdrs.CONTENT_ENCODING in headers or not _IS_PARSER_COMPILED:
        return None
    if not content.is_eof() or content.total_bytes > ERROR_BODY_LIMIT:
        return None
    return Response(answer.status, headers, content.read_nowait(), answer.reason or "")


async def _read(answer: aiohttp.ClientResponse) -> Response:
    """Read a response to its end. Without 2xx, a body that cannot be read is dropped, and the status counts."""
    if len(answer.headers.getall(hdrs.CONTENT_LENGTH, ())) > 1:
        # aiohttp's parser in Python takes the first of two lengths. The compiled one refuses them.
        answer.close()
        raise TransportError(_NOT_HTTP)
    # `async with` costs 5 µs, and an answer that was read to its end has given its connection back already.
    try:
        is_length_known, body = await _read_body(answer)
    except BaseException as error:
        answer.close()
        if _is_success(answer) or not isinstance(error, _FAILURES_OF_A_BODY):
            raise
        return _without_body(answer)
    return Response(answer.status, answer.headers, body, answer.reason or "", is_length_known)


def _is_success(answer: aiohttp.ClientResponse) -> bool:
    return 200 <= answer.status < 300


def _without_body(answer: aiohttp.ClientResponse) -> Response:
    return Response(answer.status, answer.headers, b"", answer.reason or "")


async def _read_body(answer: aiohttp.ClientResponse) -> tuple[bool, bytes]:
    """Read a body to its end, against a limit on its decompressed size, and whether its end is known.

    aiohttp's own decompression does not notice a gzip stream without its end, and decompresses a small bomb whole.
    """
    limit = RESPONSE_BODY_LIMIT if _is_success(answer) else ERROR_BODY_LIMIT
    has_chunks = "chunked" in transfer_codings(answer.headers.getall(hdrs.TRANSFER_ENCODING, ()))
    codings = content_codings(answer.headers.getall(hdrs.CONTENT_ENCODING, ()))
    decompressor = Decompressor(codings, limit)
    body = bytearray()
    steps = 0
    chunk = await answer.content.readany()
    while chunk:
        for piece in decompressor.pieces(chunk):
            body += piece
            if len(body) > limit:
                raise body_too_large(limit)
            steps += 1
            if steps % _PIECES_IN_A_ROW == 0:
                await asyncio.sleep(0)
        chunk = await answer.content.readany()
    decompressor.finish()
    has_length = hdrs.CONTENT_LENGTH in answer.headers or answer.status == 204
    return has_length or has_chunks or bool(codings and body), bytes(body)


def _error_of_request(session: aiohttp.ClientSession, error: Exception) -> TransportError | None:
    """Return our error for what came out of a request, or None for an error of the user's own code."""
    is_unsendable = isinstance(error, aiohttp.InvalidURL)
    if not isinstance(error, aiohttp.ClientError | HttpProcessingError | OSError):
        is_unsendable = is_raised_by_aiohttp(error, called_from=__name__)
        if not is_unsendable:
            return None
    if is_unsendable:
        proxy = getattr(session, "_default_proxy", None)
        return unsendable_error(error, session_proxy=proxy, trusts_environment=session.trust_env)
    return transport_error(error)


def transport_error(error: Exception) -> TransportError:
    """Make the error of ours for one of aiohttp's or the system's, by its type and never by its status.

    A server that talks garbage is a `ClientResponseError` with the status 400, which no server sent. Of the
    original only what can hold no header is kept, since its repr has the token in it.
    """
    match error:
        case TransportError():
            return error
        case aiohttp.ServerFingerprintMismatch() | ssl.SSLError() | OSError(__cause__=ssl.SSLError()):
            return _error_of_tls(error)
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
            return TransportError(_NOT_HTTP)
        case OSError():
            return TransportError(f"the connection failed: {_system_text(error)}")
        case _:
            text = f"the request failed in aiohttp: {type(error).__name__}"
            return TransportError(text, retryable=not isinstance(error, aiohttp.InvalidURL))


def _error_of_tls(error: Exception) -> TransportError:
    # The errors of a handshake are those of aiohttp and of `ssl` at once, and hold the one that OpenSSL made.
    causes = (getattr(error, "certificate_error", None), getattr(error, "os_error", None), error, error.__cause__)
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return tls_error(cause, in_handshake=isinstance(error, aiohttp.ClientSSLError))
    return TransportError("TLS failed: the certificate has another fingerprint", retryable=False)


def _connect_text(error: aiohttp.ClientConnectorError) -> str:
    number = error.os_error.errno or 0  # below 0 it is one of the look-up of names
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        reason = f": {os.strerror(number)}" if number > 0 else ""
        return f"the name of the server {error.host} cannot be resolved{reason}"
    whom = f"{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        whom = "the proxy"  # aiohttp does not say which
    # asyncio's own text says the address once more, and not why.
    return f"cannot connect to {whom}: {os.strerror(number) if number > 0 else _system_text(error.os_error)}"


def _system_text(error: Exception) -> str:
    text = getattr(error, "strerror", None)
    return text if isinstance(text, str) and text else type(error).__name__
