"""aiohttp's connector, mended where its users would notice aiohttp and not us."""

from __future__ import annotations

import asyncio
import re
import select
import sys
from functools import partial
from itertools import islice
from typing import Final

from aiohttp import ClientRequest, ClientResponse, ClientTimeout, ServerDisconnectedError, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.tracing import Trace

__all__ = ["Connector", "KeptConnectionLostError", "connection_of", "end_connection", "is_reused"]

_LARGEST_PIECE: Final = 256 * 1024  # bytes, as asyncio reads them
_LARGEST_HEAD: Final = 64 * 1024
_MOST_BLANK_LINES: Final = 1000  # of one piece, where the parser stops to look
_CONTENT_LENGTH = re.compile(rb"\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r?\n", re.IGNORECASE)
_BLANK_LINE = re.compile(rb"(?<=\n)\r?\n")
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_INTERIM = re.compile(rb"[\r\n]*HTTP/1\.[01] 1(?!01 )")


def connection_of(answer: ClientResponse) -> ResponseHandler | None:
    """Return the connection that a response came on, or None for one that a mock made."""
    connection: ResponseHandler | None = getattr(answer, "_protocol", None)  # no public name leads there
    return connection


def is_reused(connection: ResponseHandler) -> bool:
    """Return True if an earlier response may have come on a connection. Only `Connector` knows of its own."""
    return not isinstance(connection, _SingleResponseConnection) or connection.is_reused


def end_connection(connection: ResponseHandler) -> None:
    """Close a connection at once, so that no other request goes out on it."""
    connection.force_close()
    if connection.transport is not None:
        connection.transport.abort()


class KeptConnectionLostError(ServerDisconnectedError):
    """A connection that had been kept from an earlier answer was dead before any of this answer came."""


class Connector(TCPConnector):
    """Opens connections without a limit of its own, each of which gives one response for each request."""

    def __init__(self) -> None:
        super().__init__(limit=0)
        buffer = memoryview(bytearray(_LARGEST_PIECE))
        self._factory = partial(_SingleResponseConnection, loop=self._loop, buffer=buffer)  # type: ignore[assignment]  # a ResponseHandler

    def close_now(self) -> None:
        """Close without waiting for it, from where nothing can be awaited."""
        self._close(abort_ssl=True)

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109  # aiohttp's
    ) -> ResponseHandler:
        connection = await super()._create_connection(req, traces, timeout)
        try:
            await _check_silence(connection)
        except BaseException:
            end_connection(connection)
            raise
        return connection


async def _check_silence(connection: ResponseHandler) -> None:
    """Raise an error of aiohttp's if the server sent something before any request, or closed the connection."""
    # In two turns, the event loop reads what has arrived.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if not connection.is_connected():
        raise connection.exception() or ServerDisconnectedError


class _SingleResponseConnection(ResponseHandler, asyncio.BufferedProtocol):
    """Gives aiohttp's parser one final response for each request, and ends the connection at any byte more.

    aiohttp takes whatever arrives for the next response. A server or proxy that repeats a response, or sends one
    before the request, would give the next call the body of another. RFC 9112, section 9.2, tells a client to
    close such a connection. Interim responses (1xx) end here, since we ask for none.

    It also tells the loss of a kept connection, which is everyday life, from that of a fresh one.

    All connections of a loop receive into one buffer, whose content is copied at once. To receive bytes, asyncio
    otherwise takes memory for the largest piece each time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, buffer: memoryview) -> None:
        super().__init__(loop)
        self._receive_buffer = buffer
        self._poll: select.poll | None = None
        self._parser_of_response: object = None  # aiohttp makes a new one for each request
        self.is_reused: bool = False  # whether an earlier response came, too
        self._is_receiving = False  # a response, from its first byte to its last
        self._is_in_head = False
        self._head = bytearray()  # of the response, as far as it has come
        self._due: int | None = None  # bytes of the response to come, where its head says how many
        self._last_bytes = b""  # of the body before this piece, where a blank line may have begun

    def end(self) -> None:
        """Close the connection at once, and drop what still arrives."""
        self._is_receiving = False
        end_connection(self)

    def is_connected(self) -> bool:
        """Return True if the next request may go out on this connection.

        Of an idle connection, the system may hold bytes, or its end, that the event loop has not seen yet.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        is_idle = self._parser_of_response is not None and not self._is_receiving
        return not (is_idle and self._is_readable(transport))

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        is_reused = self._parser_of_response is not None
        has_nothing_come = self._parser is not self._parser_of_response
        if is_reused and has_nothing_come:
            exc = KeptConnectionLostError()
        super().set_exception(exc, exc_cause or exc)
        # aiohttp's compiled parser tells nobody who waits for the body that a later piece of it is malformed.
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(exc)

    def resume_reading(self, **how: bool) -> None:  # type: ignore[override]  # before aiohttp 3.14 it had no argument
        # aiohttp resumes after each piece that is read, paused or not, through its parser.
        if self._reading_paused:
            super().resume_reading(**how)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # the protocol's
        return self._receive_buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(self._receive_buffer[:nbytes].tobytes())

    def data_received(self, data: bytes) -> None:
        if not data:  # aiohttp resumes its parser so, which has kept what it was given meanwhile
            super().data_received(data)
            self._is_receiving = self._is_receiving and not self._is_complete()
        elif self._parser is not self._parser_of_response:
            self.is_reused = self._parser_of_response is not None
            self._parser_of_response = self._parser
            self._is_receiving = True
            self._payload = None  # that of the last response would look like the end of this one
            end = data.find(b"\n\r\n")
            if end >= 0 and data.startswith(b"HTTP/1.1 200 ") and data.find(b"\n\n", 0, end) < 0:
                self._receive_start(data, end + 3)  # as nearly all do
            else:
                self._is_in_head = True
                self._receive_head(data)
        elif not self._is_receiving:
            if self._parser is None:
                self.set_exception(HttpProcessingError(message="the server sent something before the first request"))
            self.end()
        elif self._is_in_head:
            self._receive_head(data)
        elif self._due is not None:
            self._receive_counted(data, self._due)
        else:
            self._receive_delimited(data, 0)

    def _receive_head(self, data: bytes) -> None:
        searched = max(len(self._head) - 3, 0)
        head: bytes | bytearray = data
        if self._head:
            self._head += data
            head = self._head
        start = 0
        end = _end_of_head(head, searched)
        while end and _INTERIM.match(head, start):
            start, end = end, _end_of_head(head, end)
        if end:
            self._is_in_head = False
            self._receive_start(bytes(head[start:]), end - start)
            self._head.clear()
            return
        if head is data:
            self._head += data[start:]
        else:
            del self._head[:start]
        if len(self._head) > _LARGEST_HEAD:
            self.set_exception(HttpProcessingError(message="the head of the response is too large"))
            self.end()

    def _receive_start(self, data: bytes, end: int) -> None:
        """Receive a whole head of `end` bytes, and what follows it."""
        has_no_body = data[9:12] in {b"204", b"304"}
        length = 0 if has_no_body else _content_length(data, end)
        if length is not None:
            self._receive_counted(data, end + length)
        else:
            self._due = None
            self._last_bytes = b""
            self._receive_delimited(data, end)

    def _receive_counted(self, data: bytes, due: int) -> None:
        self._due = due - len(data)
        self._is_receiving = self._due > 0
        if self._due < 0:
            self.force_close()  # first, since the end of the response may give the connection back at once
            data = data[: self._due]
        super().data_received(data)

    def _receive_delimited(self, data: bytes, start: int) -> None:
        """Receive a response that ends with a blank line, as chunked ones do, or with the connection.

        The parser is stopped at each blank line, so that it does not see what follows the end. Where it sees a
        second response all the same, aiohttp closes the connection, since that one is left in the queue.
        """
        before = len(self._last_bytes)
        window = self._last_bytes + data
        fed = 0
        for line in islice(_BLANK_LINE.finditer(window, before + start), _MOST_BLANK_LINES):
            end = line.end() - before
            super().data_received(data[fed:end])
            fed = end
            if self._reading_paused or self._is_complete():
                break
        if fed < len(data) and not self._is_complete():
            super().data_received(data[fed:])
            fed = len(data)
        self._last_bytes = window[-2:]
        if self._is_complete():
            self._is_receiving = False
            if fed < len(data):
                self.end()

    def _is_complete(self) -> bool:
        return self._payload is not None and self._payload.is_eof()

    def _is_readable(self, transport: asyncio.BaseTransport) -> bool:
        """Return True if the system has something for this connection that was not read."""
        if sys.platform == "win32":
            return False
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(self._poll.poll(0))


def _end_of_head(head: bytes | bytearray, start: int) -> int:
    """Return the index after the first blank line, or 0 without one. Lines need no CR."""
    found = _END_OF_HEAD.search(head, start)
    return 0 if found is None else found.end()


def _content_length(data: bytes, end: int) -> int | None:
    """Return the length that a head of `end` bytes states, or None where the parser is to find the end."""
    start = data.find(b"\nContent-Length: ", 0, end)
    found = _CONTENT_LENGTH.match(data, start, end) if start >= 0 else _CONTENT_LENGTH.search(data, 0, end)
    return None if found is None else int(found[1])
