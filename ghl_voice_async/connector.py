"""aiohttp's connector, mended where its users would notice aiohttp and not us."""

from __future__ import annotations

import asyncio
import re
import select
import sys
from contextvars import ContextVar
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from aiohttp import ServerDisconnectedError, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    from typing import Any

__all__ = ["Connector", "KeptConnectionLostError", "UsedConnection", "used_connection"]

_LARGEST_PIECE: Final = 256 * 1024  # bytes, as asyncio reads them
_LARGEST_HEAD: Final = 64 * 1024
_MOST_BLANK_LINES: Final = 1000  # of one piece, where the parser stops to look
_STATUS = re.compile(rb"HTTP/[0-9]\.[0-9] ([0-9]{3})")
_CONTENT_LENGTH = re.compile(rb"\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r?\n", re.IGNORECASE)
_TRANSFER_ENCODING = re.compile(rb"\ntransfer-encoding[ \t]*:", re.IGNORECASE)
_BLANK_LINE = re.compile(rb"(?<=\n)\r?\n")


class UsedConnection(Protocol):
    """The connection that a request went out on."""

    @property
    def is_reused(self) -> bool:
        """Whether an earlier request went out on it, too."""
        ...  # pyright takes a docstring alone for a body that returns nothing

    def end(self) -> None:
        """Close it at once, so that no other request goes out on it."""


used_connection: ContextVar[UsedConnection | None] = ContextVar("used_connection", default=None)
"""The connection that the last request of this context went out on, where it is known."""


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


class _SingleResponseConnection(ResponseHandler, asyncio.BufferedProtocol):
    """Gives aiohttp's parser one final response for each request, and ends the connection at any byte more.

    aiohttp takes whatever arrives for the next response. A server or proxy that repeats a response, or sends one
    before the request, would give the next call the body of another. RFC 9112, section 9.2, tells a client to
    close such a connection. Interim responses (1xx) end here, since no request of ours asks for one.

    It also tells the loss of a kept connection, which is everyday life, from that of a fresh one.

    All connections of a loop receive into one buffer, whose content is copied at once. To receive bytes, asyncio
    otherwise takes memory for the largest piece each time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, buffer: memoryview) -> None:
        super().__init__(loop)
        self.is_reused: bool = False
        """Whether the request in flight, or the last one, had a predecessor on this connection."""
        self._receive_buffer = buffer
        self._has_been_used = False
        self._awaits_response = False
        self._is_in_head = False
        self._has_response = False
        self._head = bytearray()  # of the response, as far as it has come
        self._due: int | None = None  # bytes of the response to come, where its head says how many
        self._last_bytes = b""  # of the body before this piece, where a blank line may have begun

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401  # they differ between versions
        """Expect one response, whose request goes out next."""
        self.is_reused = self._has_been_used
        self._has_been_used = self._awaits_response = self._is_in_head = True
        self._has_response = False
        self._head.clear()
        self._payload = None  # that of the last response would look like the end of this one
        used_connection.set(self)
        super().set_response_params(**params)

    def end(self) -> None:
        """Close the connection at once, and drop what still arrives."""
        self._awaits_response = False
        self.force_close()
        if self.transport is not None:
            self.transport.abort()

    def is_connected(self) -> bool:
        """Return True if the connection may be used, or used again.

        Of an idle connection, the system may hold bytes, or its end, that the event loop has not seen yet.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        is_idle = self._has_been_used and not self._awaits_response
        return not (is_idle and _is_readable(transport))

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        if self.is_reused and self._is_in_head and not self._head:
            exc = KeptConnectionLostError()
        super().set_exception(exc, exc_cause or exc)

    def resume_reading(self, **how: bool) -> None:  # type: ignore[override]  # before aiohttp 3.14 it had no argument
        # aiohttp resumes after each piece that is read, paused or not, through its parser.
        if self._reading_paused:
            super().resume_reading(**how)

    def feed_data(self, data: Any, size: int = 0) -> None:  # noqa: ANN401  # aiohttp's
        """Queue the response. The parser's second one is dropped."""
        if self._has_response:
            self.force_close()
            return
        self._has_response = True
        super().feed_data(data, size)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # the protocol's
        return self._receive_buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(self._receive_buffer[:nbytes].tobytes())

    def data_received(self, data: bytes) -> None:
        if not data:  # aiohttp resumes its parser so, which has kept what it was given meanwhile
            super().data_received(data)
            self._awaits_response = self._awaits_response and not self._is_complete()
        elif not self._awaits_response:
            self.end()
        elif self._is_in_head:
            self._receive_head(data)
        elif self._due is not None:
            self._receive_counted(data, self._due)
        else:
            self._receive_delimited(data, 0)

    def _receive_head(self, data: bytes) -> None:
        searched = max(len(self._head) - 2, 0)
        head: bytes | bytearray = data
        if self._head:
            self._head += data
            head = self._head
        start = 0
        end = _end_of_head(head, searched)
        status = _STATUS.match(head)
        while end and _is_interim(status):
            start, end = end, _end_of_head(head, end)
            status = _STATUS.match(head, start)
        if end:
            self._is_in_head = False
            self._receive_start(bytes(head[start:]), end - start, status)
            self._head.clear()
            return
        if head is data:
            self._head += data[start:]
        else:
            del self._head[:start]
        if len(self._head) > _LARGEST_HEAD:
            self.set_exception(HttpProcessingError(message="the head of the response is too large"))
            self.end()

    def _receive_start(self, data: bytes, end: int, status: re.Match[bytes] | None) -> None:
        """Receive a whole head of `end` bytes, and what follows it."""
        self._due = None
        if status is not None and status[1] in {b"204", b"304"}:
            self._due = end
        elif not _TRANSFER_ENCODING.search(data, 0, end):
            length = _CONTENT_LENGTH.search(data, 0, end)
            self._due = None if length is None else end + int(length[1])
        if self._due is not None:
            self._receive_counted(data, self._due)
        else:
            self._last_bytes = b""
            self._receive_delimited(data, end)

    def _receive_counted(self, data: bytes, due: int) -> None:
        self._due = due - len(data)
        self._awaits_response = self._due > 0
        if self._due < 0:
            self.force_close()  # first, since the end of the response may give the connection back at once
            data = data[: self._due]
        super().data_received(data)

    def _receive_delimited(self, data: bytes, start: int) -> None:
        """Receive a response that ends with a blank line, as chunked ones do, or with the connection.

        The parser is stopped at each blank line, so that it never sees what follows the end.
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
            self._awaits_response = False
            if fed < len(data):
                self.end()

    def _is_complete(self) -> bool:
        return self._payload is not None and self._payload.is_eof()


def _end_of_head(head: bytes | bytearray, start: int) -> int:
    """Return the index after the first blank line, or 0 without one. Line ends may lack their CR."""
    end = head.find(b"\n\r\n", start)
    bare = head.find(b"\n\n", start, len(head) if end < 0 else end + 1)
    if bare >= 0:
        return bare + 2
    return end + 3 if end >= 0 else 0


def _is_interim(status: re.Match[bytes] | None) -> bool:
    return status is not None and status[1].startswith(b"1") and status[1] != b"101"


def _is_readable(transport: asyncio.BaseTransport) -> bool:
    """Return True if the system has something for this transport that was not read."""
    if sys.platform == "win32":
        return False
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))
