"""No call gets the response of another, whatever arrives on a connection, and when."""

from __future__ import annotations

import asyncio
import random
import re
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import uvloop
from aioresponses import aioresponses
from stray_responses import (
    FRAMINGS,
    LOCATION,
    Certificates,
    Outcome,
    ServerConnection,
    StrayResponses,
    call_log_body,
    chunked,
    fetch_all,
    serving,
    sized,
)
from watched import Counting, WatchedClient, until

import ghl_voice_async as ghl
from ghl_voice_async.connector import Connector

if TYPE_CHECKING:
    from collections.abc import Callable

each_framing = pytest.mark.parametrize("framing", FRAMINGS)


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates()


def client_at(url: str, **settings: Any) -> WatchedClient:
    policy = ghl.RetryPolicy(max_attempts=3, backoff_base=0.001, backoff_cap=0.001)
    return WatchedClient(**{"token": "pit-x", "base_url": url, "rate_limit": None, "retry": policy, **settings})


def right(connection: ServerConnection, call_id: str) -> None:
    connection.write(sized(call_log_body(call_id)))


def wrong_once(times: int = 1) -> Callable[[ServerConnection, str], None]:
    """Respond with another's call to the second request of the first connections."""
    left = times

    def respond(connection: ServerConnection, call_id: str) -> None:
        nonlocal left
        if len(connection.requests) == 2 and left:
            left -= 1
            call_id = "somebody-else"
        connection.write(chunked(call_log_body(call_id)))

    return respond


@each_framing
@pytest.mark.parametrize("stray", [b"\r", b"stray", sized(call_log_body("somebody-else"))])
async def test_guarantee_17_a_byte_on_an_idle_connection_ends_it(
    framing: Callable[[bytes], bytes], stray: bytes
) -> None:
    def respond(connection: ServerConnection, call_id: str) -> None:
        connection.write(framing(call_log_body(call_id)))

    async with serving(respond) as server, client_at(server.url) as client:
        await client.get_call_log("first", LOCATION)

        server.connections[0].write(stray)
        await until(lambda: server.connections[0].is_closed)

        assert (await client.get_call_log("second", LOCATION)).id == "second"
    assert server.requests == [["first"], ["second"]]


@each_framing
async def test_guarantee_17_bytes_not_read_yet_keep_a_connection_idle(framing: Callable[[bytes], bytes]) -> None:
    """They are in the system when the next call begins, before the event loop has looked."""

    def respond(connection: ServerConnection, call_id: str) -> None:
        connection.write(framing(call_log_body(call_id)))

    async with serving(respond) as server, client_at(server.url) as client:
        await client.get_call_log("first", LOCATION)

        server.connections[0].write(framing(call_log_body("somebody-else")))  # sent within this call

        assert (await client.get_call_log("second", LOCATION)).id == "second"
    assert server.requests == [["first"], ["second"]]


@each_framing
async def test_guarantee_17_a_response_that_comes_twice_is_given_once(framing: Callable[[bytes], bytes]) -> None:
    def respond(connection: ServerConnection, call_id: str) -> None:
        connection.write(framing(call_log_body(call_id)) * 2)

    async with serving(respond) as server, client_at(server.url) as client:
        got = [(await client.get_call_log(f"call-{number}", LOCATION)).id for number in range(20)]

    assert got == [f"call-{number}" for number in range(20)]
    assert [len(requests) for requests in server.requests] == [1] * 20


async def test_guarantee_17_another_calls_response_on_a_reused_connection_is_fetched_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limiter = Counting()
    async with serving(wrong_once()) as server, client_at(server.url, rate_limit=limiter) as client:
        await client.get_call_log("first", LOCATION)

        call_log = await client.get_call_log("second", LOCATION)

        await until(lambda: server.connections[0].is_closed)
    assert call_log.id == "second"
    assert server.requests == [["first", "second"], ["second"]]
    assert limiter.taken == limiter.released == 3
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].startswith("GET /voice-ai/dashboard/call-logs/{callId}: a reused connection gave")


async def test_guarantee_17_the_requests_of_such_a_call_are_all_counted() -> None:
    events: list[ghl.CallEvent] = []

    def respond(connection: ServerConnection, call_id: str) -> None:
        if len(connection.requests) == 2:
            connection.write(sized(call_log_body("somebody-else")))
        elif call_id == "second":
            connection.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        else:
            right(connection, call_id)

    async with serving(respond) as server, client_at(server.url) as client:
        await client.get_call_log("first", LOCATION)
        client.add_hook(events.append)

        with pytest.raises(ghl.NotFoundError) as caught:
            await client.get_call_log("second", LOCATION)

    assert caught.value.attempts == 2
    responses = [(event.status, event.error) for event in events if isinstance(event, ghl.ResponseEvent)]
    assert responses == [(None, "TransportError"), (404, None)]


async def test_guarantee_17_what_a_fresh_connection_gives_is_accepted() -> None:
    def respond(connection: ServerConnection, call_id: str) -> None:
        connection.write(sized(call_log_body("canonical-" + call_id)))

    async with serving(respond) as server, client_at(server.url) as client:
        first = await client.get_call_log("first", LOCATION)
        second = await client.get_call_log("second", LOCATION)

    assert [first.id, second.id] == ["canonical-first", "canonical-second"]
    assert server.requests == [["first", "second"], ["second"]]


async def test_guarantee_17_a_borrowed_session_gives_no_call_of_another() -> None:
    async with (
        serving(wrong_once()) as server,
        aiohttp.ClientSession() as session,
        client_at(server.url, session=session) as client,
    ):
        await client.get_call_log("first", LOCATION)

        assert (await client.get_call_log("second", LOCATION)).id == "second"
        assert (await client.get_call_log("third", LOCATION)).id == "third"
    assert server.requests == [["first", "second"], ["second"], ["third"]]


async def test_guarantee_17_a_middleware_may_send_from_another_task() -> None:
    async def send_in_task(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        async def send() -> aiohttp.ClientResponse:
            return await handler(request)

        return await asyncio.create_task(send())

    async with (
        serving(wrong_once()) as server,
        aiohttp.ClientSession(middlewares=[send_in_task]) as session,
        client_at(server.url, session=session) as client,
    ):
        await client.get_call_log("first", LOCATION)

        assert (await client.get_call_log("second", LOCATION)).id == "second"
    assert server.requests == [["first", "second"], ["second"]]


@pytest.mark.parametrize("is_borrowed", [False, True])
async def test_guarantee_17_a_connection_for_one_request_is_closed_after_it(is_borrowed: bool) -> None:
    """Also where the server does not close it. Nothing else could use it."""
    kind = aiohttp.TCPConnector if is_borrowed else Connector
    async with (
        serving(wrong_once()) as server,
        aiohttp.ClientSession(connector=kind()) as session,
        client_at(server.url, session=session) as client,
    ):
        await client.get_call_log("first", LOCATION)
        await client.get_call_log("second", LOCATION)

        for _ in range(100):  # long before aiohttp closes what is idle
            await asyncio.sleep(0)

        assert [connection.is_closed for connection in server.connections] == [True, True]


async def test_a_session_that_reuses_no_connection_sends_each_request_once() -> None:
    def respond(connection: ServerConnection, call_id: str) -> None:
        connection.write(sized(call_log_body("canonical-" + call_id)))

    async with (
        serving(respond) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
        client_at(server.url, session=session) as client,
    ):
        assert (await client.get_call_log("first", LOCATION)).id == "canonical-first"
    assert server.requests == [["first"]]


@pytest.mark.parametrize("has_tls", [False, True])
async def test_guarantee_17_a_response_before_the_first_request_is_nobodys(
    has_tls: bool, certificates: Certificates
) -> None:
    early = [sized(call_log_body("somebody-else"))] * 2
    requests: list[bytes] = []

    async def speak_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if early:
            writer.write(early.pop())
        requests.append(await reader.read(4096))
        if requests[-1]:
            writer.write(sized(call_log_body("first")))
        writer.close()

    tls = certificates.server if has_tls else None
    async with (
        await asyncio.start_server(speak_first, "127.0.0.1", 0, ssl=tls) as listening,
        aiohttp.ClientSession(connector=certificates.connector(Connector)) as session,
    ):
        port = listening.sockets[0].getsockname()[1]
        url = f"https://localhost:{port}" if has_tls else f"http://127.0.0.1:{port}"
        async with client_at(url, session=session) as client:
            assert (await client.get_call_log("first", LOCATION)).id == "first"

    assert not early
    assert [bool(request) for request in requests] == [False, False, True]


async def test_guarantee_13_a_server_that_closes_every_connection_is_named() -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with client_at(f"http://127.0.0.1:{port}") as client:
            with pytest.raises(
                ghl.TransportError, match=r"the server closed the connection|the connection failed"
            ) as caught:
                await client.get_call_log("first", LOCATION)

    assert caught.value.attempts == 3


@pytest.mark.parametrize("turns", range(1, 15))
async def test_guarantee_26_a_call_that_is_cancelled_leaves_no_socket(turns: int) -> None:
    """After this number of turns of the event loop, it looks a name up, connects, sends or reads."""
    async with serving(right) as server, client_at(server.url) as client:
        call = asyncio.create_task(client.get_call_log("first", LOCATION))
        for _ in range(turns):
            await asyncio.sleep(0)

        call.cancel()
        await asyncio.wait([call])

        await until(lambda: call.cancelled() is False or all(one.is_closed for one in server.connections))


async def test_guarantee_17_a_server_that_speaks_first_ends_the_connection() -> None:
    async def speak_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sized(call_log_body("somebody-else")))
        writer.close()

    async with await asyncio.start_server(speak_first, "127.0.0.1", 0) as listening:
        connector = Connector()
        async with aiohttp.ClientSession(connector=connector):
            host, port = listening.sockets[0].getsockname()
            _, connection = await asyncio.get_running_loop().create_connection(connector._factory, host, port)
            await until(lambda: not connection.is_connected())
        listening.close()

    assert len(connection) == 0


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("is_borrowed", [False, True])
@pytest.mark.parametrize("has_tls", [False, True])
def test_guarantee_17_no_call_gets_the_body_of_another_at_random(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], is_borrowed: bool, has_tls: bool, certificates: Certificates
) -> None:
    """`nox -s crosstalk` does this ten thousand times."""

    async def scenario() -> Outcome:
        kind = aiohttp.TCPConnector if is_borrowed else Connector
        tls = certificates.server if has_tls else None
        async with (
            serving(StrayResponses(random.Random(1)), tls=tls) as server,
            aiohttp.ClientSession(connector=certificates.connector(kind)) as session,
        ):
            return await fetch_all(server.url, 100, session)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        outcome = runner.run(scenario())

    assert outcome.wrong == 0
    assert outcome.right > 95


async def test_a_mocked_response_that_names_another_call_is_accepted() -> None:
    with aioresponses() as mocked:
        mocked.get(re.compile(".*/call-logs/first"), body=call_log_body("canonical-first"))
        async with client_at("http://127.0.0.1:9") as client:
            call_log = await client.get_call_log("first", LOCATION)

    assert call_log.id == "canonical-first"
