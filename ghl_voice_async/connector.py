"""aiohttp's connector, mended where its users would notice aiohttp and not us."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Final

from aiohttp import ServerDisconnectedError, TCPConnector
from aiohttp.client_proto import ResponseHandler

__all__ = ["Connector", "KeptConnectionLostError"]

_LARGEST_PIECE: Final = 256 * 1024  # bytes, as asyncio reads them
_HEAD_END: Final = b"\r\n\r\n"
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)


class KeptConnectionLostError(ServerDisconnectedError):
    """A connection that had been kept from an earlier answer was dead before any of this answer came."""


class Connector(TCPConnector):
    """Opens connections without a limit of its own, for answers that nothing after their end can spoil."""

    def __init__(self) -> None:
        super().__init__(limit=0)
        buffer = memoryview(bytearray(_LARGEST_PIECE))
        self._factory = partial(_OneAnswer, loop=self._loop, buffer=buffer)  # type: ignore[assignment]  # a ResponseHandler

    def close_now(self) -> None:
        """Close without waiting for it, from where nothing can be awaited."""
        self._close(abort_ssl=True)


class _OneAnswer(ResponseHandler, asyncio.BufferedProtocol):
    """Keeps from aiohttp's parser what a server sends after an answer of a stated length.

    The parser would take it for the next answer, fail, and throw the whole answer away where both arrived
    together. The connection is not used again. Framings other than `Content-Length` are left to aiohttp.

    It also tells the loss of a kept connection, which is everyday life, from that of a fresh one.

    All connections of a loop receive into one buffer, whose content is copied at once. To receive bytes, asyncio takes
    memory for the largest piece each time, and where that has to come from the system it costs 30 µs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, buffer: memoryview) -> None:
        super().__init__(loop)
        self._receive_buffer = buffer
        self._parser_of_head: object = None  # of the last whole head; each answer has a parser of its own
        self._head = b""  # of the next answer, as far as it has come
        self._due: int | None = None  # bytes still to come, where the head says how many

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        is_kept = self._parser_of_head is not None
        has_nothing_come = self._parser is not self._parser_of_head and not self._head
        if is_kept and has_nothing_come:
            exc = KeptConnectionLostError()
        super().set_exception(exc, exc_cause or exc)
        # aiohttp's compiled parser tells nobody who waits for the body that a later piece of it is malformed.
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(exc)

    def resume_reading(self, **how: bool) -> None:  # type: ignore[override]  # before aiohttp 3.14 it had no argument
        # aiohttp resumes after each piece that is read, paused or not, through its parser: 2.5 µs a call.
        if self._reading_paused:
            super().resume_reading(**how)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # the protocol's
        return self._receive_buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(self._receive_buffer[:nbytes].tobytes())

    def data_received(self, data: bytes) -> None:
        if self._parser is not self._parser_of_head:
            self._read_head(data)
        if self._due is not None:
            self._due -= len(data)
            if self._due < 0:
                self._receive_last(data[: self._due])
                return
        super().data_received(data)

    def _read_head(self, data: bytes) -> None:
        head = self._head + data
        end = head.find(_HEAD_END)
        if end < 0:
            self._head, self._due = head, None
            return
        length = _CONTENT_LENGTH.search(head, 0, end + 2)
        self._due = None if length is None else end + len(_HEAD_END) - len(self._head) + int(length[1])
        self._head = b""
        self._parser_of_head = self._parser

    def _receive_last(self, data: bytes) -> None:
        """Receive the end of an answer that more came with."""
        self._due = 0
        self.force_close()  # first, since the end of the answer may give the connection back at once
        if data:
            super().data_received(data)
        elif self.transport is not None:
            # The connection may be among the kept ones already, where nobody asks whether to close it.
            self.transport.close()
