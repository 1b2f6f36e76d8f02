"""What stands between a client and a server: a proxy, and a gateway with a certificate of its own."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


class Relay:
    """Passes connections on to `target`, in a thread with an event loop of its own.

    Without a target it is a proxy, which goes where it is asked to: through a tunnel for `CONNECT`, and else to the
    host of the URL. `asked` has the first line of each request to it, and `refusal` is its answer in place of going.
    """

    def __init__(self, target: str = "", *, tls: ssl.SSLContext | None = None, refusal: bytes = b"") -> None:
        self.asked: list[str] = []
        self.port = 0
        self._target = urlsplit(target)
        self._tls = tls
        self._refusal = refusal

    @contextmanager
    def running(self) -> Iterator[Relay]:
        loop = asyncio.new_event_loop()
        loop.set_debug(False)  # it would log handshakes that a client breaks off, as one does that trusts nobody
        thread = Thread(target=loop.run_forever, daemon=True)
        thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        listening = asyncio.run_coroutine_threadsafe(starting, loop).result(30)
        self.port = listening.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(_end(listening), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._connect(reader, writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()  # or the loop might end before it is
        except asyncio.CancelledError:
            writer.transport.abort()  # at once, since the loop ends

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._target.port is not None:
            await _relay(reader, writer, self._target.port)
            return
        head = await reader.readuntil(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        self.asked.append(line.decode())
        method, url, version = line.decode().split()
        if self._refusal:
            writer.write(self._refusal)
        elif method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _relay(reader, writer, int(url.rpartition(":")[2]))
        else:
            parts = urlsplit(url)
            first = f"{method} {parts.path}?{parts.query} {version}\r\n".encode() + rest
            await _relay(reader, writer, parts.port or 80, first)


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, first: bytes = b"") -> None:
    from_there, to_there = await asyncio.open_connection("127.0.0.1", port)
    try:
        to_there.write(first)
        await asyncio.gather(_pass_on(reader, to_there), _pass_on(from_there, writer))
    finally:
        to_there.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def _end(listening: asyncio.Server) -> None:
    listening.close()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for _ in range(3):  # turns of the loop for what is closed from a callback
        await asyncio.sleep(0)
