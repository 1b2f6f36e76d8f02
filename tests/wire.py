"""A server that writes the very bytes a test wants on the wire."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

TOKEN = "pit-marked-2f9c41"
CALL = "65a50f1c0000000000000001"
LOCATION = "LOC0000000000000000A"


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


OK = answer(b'{"id": "%b"}' % CALL.encode())


class RawServer:
    """Answers the requests that arrive with `answers` in turn, the last one for ever.

    An answer of None is none: the connection is closed. `keep` leaves connections open after an answer.
    """

    def __init__(self, answers: Sequence[bytes | None], *, keep: bool) -> None:
        self.answers = list(answers)
        self.keep = keep
        self.requests: list[bytes] = []
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                bytes_to_send = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if bytes_to_send is not None:
                    writer.write(bytes_to_send)
                    await writer.drain()
                if bytes_to_send is None or not self.keep:
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return  # cancelled when the test's loop ends, which Python 3.11 would complain of
        finally:
            writer.close()


@asynccontextmanager
async def raw_server(*answers: bytes | None, keep: bool = False) -> AsyncIterator[RawServer]:
    raw = RawServer(answers, keep=keep)
    async with await asyncio.start_server(raw.serve, "127.0.0.1", 0) as listening:
        raw.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield raw
        listening.close()
