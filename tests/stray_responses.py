"""A server whose responses come twice, too early, late or in pieces of each other, and what a client makes of it."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import trustme
from attrs import define, field

from ghl_voice_async import RetryPolicy, VoiceAIClient

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable

    import aiohttp

LOCATION = "LOC0000000000000000A"
_ASKED_FOR = re.compile(rb"GET /voice-ai/dashboard/call-logs/([^?]+)")


def sized(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def chunked(body: bytes, *headers: bytes, trailer: bytes = b"") -> bytes:
    head = b"\r\n".join([b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked", *headers])
    middle = len(body) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:middle], body[middle:]) if part)
    return head + b"\r\n\r\n" + chunks + b"0\r\n" + trailer + b"\r\n"


def compressed(body: bytes) -> bytes:
    return chunked(gzip.compress(body, mtime=0), b"Content-Encoding: gzip")


def after_hints(body: bytes) -> bytes:
    return b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n" + sized(body)


def with_trailer(body: bytes) -> bytes:
    return chunked(body, trailer=b"X-Checked: yes\r\n")


def with_blank_lines(body: bytes) -> bytes:
    """Send a body that has in it what ends a chunked one."""
    return chunked(b"\n\n \r\n\r\n" + body[:-1] + b', "numbers": [\r\n0\r\n\r\n]}')


FRAMINGS: tuple[Callable[[bytes], bytes], ...] = (
    sized,
    chunked,
    compressed,
    after_hints,
    with_trailer,
    with_blank_lines,
)


def call_log_body(call_id: str) -> bytes:
    return json.dumps({"id": call_id, "summary": f"what was said in {call_id}"}).encode()


@define(eq=False)
class ServerConnection(asyncio.Protocol):
    """One connection of a server that writes what a test wants, when it wants it."""

    respond: Callable[[ServerConnection, str], object]
    """Called with each request's call id."""
    requests: list[str] = field(factory=list, init=False)
    is_closed: bool = field(default=False, init=False)
    _transport: asyncio.Transport = field(init=False)
    _received: bytes = field(default=b"", init=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop has a class of its own

    def connection_lost(self, error: Exception | None) -> None:
        self.is_closed = True

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            request, _, self._received = self._received.partition(b"\r\n\r\n")
            asked = _ASKED_FOR.match(request)
            assert asked is not None
            self.requests.append(asked[1].decode())
            self.respond(self, self.requests[-1])

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)


@define
class Server:
    """Where to reach it, and its connections so far."""

    url: str = ""
    connections: list[ServerConnection] = field(factory=list)

    @property
    def requests(self) -> list[list[str]]:
        """The call ids asked for, by connection."""
        return [connection.requests for connection in self.connections]


@asynccontextmanager
async def serving(
    respond: Callable[[ServerConnection, str], object], *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """Serve on a free port of this machine."""
    server = Server()

    def connect() -> ServerConnection:
        server.connections.append(ServerConnection(respond))
        return server.connections[-1]

    async with await asyncio.get_running_loop().create_server(connect, "127.0.0.1", 0, ssl=tls) as listening:
        port = listening.sockets[0].getsockname()[1]
        server.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
        yield server


@define
class StrayResponses:
    """Responds with the call asked for, and at random with more. When it arrives is up to the machine."""

    dice: random.Random
    share: float = 0.3
    """How many responses have a stray one beside them."""

    def __call__(self, connection: ServerConnection, call_id: str) -> None:
        response = self.dice.choice(FRAMINGS)(call_log_body(call_id))
        if self.dice.random() >= self.share:
            connection.write(response)
            return
        stray = self._stray(response)
        loop = asyncio.get_running_loop()
        match self.dice.randrange(4):
            case 0:  # at once
                connection.write(response + stray)
            case 1:  # in the next turn of the loop
                connection.write(response)
                loop.call_soon(connection.write, stray)
            case 2:  # while the connection is idle, or the next request is out
                connection.write(response)
                loop.call_later(self.dice.choice((0.0003, 0.001, 0.004)), connection.write, stray)
            case _:  # in two parts
                middle = self.dice.randrange(len(stray))
                connection.write(response + stray[:middle])
                loop.call_later(0.001, connection.write, stray[middle:])

    def _stray(self, response: bytes) -> bytes:
        another = self.dice.choice(FRAMINGS)(call_log_body("somebody-else"))
        return self.dice.choice((response, another, another * 50, b"stray", b"\r\n"))


@define
class Outcome:
    """Counts of what calls came to."""

    right: int = 0
    wrong: int = 0
    failed: int = 0


async def fetch_all(url: str, calls: int, session: aiohttp.ClientSession | None = None) -> Outcome:
    """Fetch this number of calls, each of them once, in a bulk."""
    outcome = Outcome()
    policy = RetryPolicy(max_attempts=10, backoff_base=0.001, backoff_cap=0.001)
    client = VoiceAIClient("pit-x", base_url=url, retry=policy, rate_limit=None, timeout=2.0, session=session)
    async with client:
        call_ids = (f"call-{number}" for number in range(calls))
        async for result in client.fetch_call_logs(call_ids, LOCATION, concurrency=16):
            if result.call_log is None:
                outcome.failed += 1
            elif result.call_log.id == result.call_id:
                outcome.right += 1
            else:
                outcome.wrong += 1
    return outcome


class Certificates:
    """A certificate authority of the tests' own, for both sides of a connection."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(self.server)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)

    def connector(self, kind: type[aiohttp.TCPConnector]) -> aiohttp.TCPConnector:
        """Make a connector that trusts the authority."""
        connector = kind()
        connector._ssl = self.client
        return connector
