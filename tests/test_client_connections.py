from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import now, virtual_time, without_debugging
from watched import Counting, WatchedClient, client_of, until
from wire import CALL, LOCATION, OK, TOKEN, RawServer, raw_server

import ghl_voice_async as ghl
from ghl_voice_async import (
    CallEvent,
    RateLimit,
    RequestEvent,
    ResponseEvent,
    RetryEvent,
    RetryPolicy,
    WindowRateLimiter,
    encode_call_log,
)
from ghl_voice_async.testing import (
    CloseAfterAnswer,
    CloseBeforeAnswer,
    CutShort,
    Fault,
    Latency,
    Raw,
    ResetBeforeAnswer,
    ResetWithinAnswer,
    Silence,
    SlowDrip,
    Status,
    StrayBytes,
    VoiceAIServer,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def test_promise_13_on_a_fresh_connection_permits_attempts_and_requests_are_the_same_number() -> None:
    for fault in (ResetBeforeAnswer(), CloseBeforeAnswer(), ResetWithinAnswer()):
        async with VoiceAIServer(max_requests=None) as server:
            limiter = Counting()
            async with client_of(server, rate_limit=limiter) as client:
                server.fail(fault, times=5)
                with pytest.raises(ghl.TransportError) as caught:
                    await client.get_call_log(server.call_ids(1)[0], server.location_id)
            assert caught.value.attempts == server.seen.requests == limiter.taken == limiter.released == 5


async def test_promise_13_on_kept_connections_aiohttp_sends_nothing_that_is_not_counted() -> None:
    async with VoiceAIServer(max_requests=None) as server:
        limiter = Counting()
        async with client_of(server, rate_limit=limiter) as client:
            call_id = server.call_ids(1)[0]
            for times in range(1, 5):
                await client.get_call_log(call_id, server.location_id)  # so that there is a kept connection
                server.fail(CloseBeforeAnswer(), times=times)
                await client.get_call_log(call_id, server.location_id)
        assert server.seen.requests == limiter.taken == limiter.released == 8 + 1 + 2 + 3 + 4


async def twice(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    (await handler(request)).close()
    return await handler(request)


@virtual_time
async def test_promise_13_a_kept_connection_that_was_dead_costs_a_request_and_no_wait() -> None:
    async with VoiceAIServer(max_requests=None) as server, client_of(server, retry=RetryPolicy()) as client:
        retries: list[CallEvent] = []
        client.add_hook(lambda event: retries.append(event) if isinstance(event, RetryEvent) else None)
        call_id = server.call_ids(1)[0]
        started = now()
        for _ in range(30):
            await client.get_call_log(call_id, server.location_id)  # on a connection that is kept
            server.fail(CloseBeforeAnswer())
            await client.get_call_log(call_id, server.location_id)
        assert now() - started < 1
        assert len(retries) == 30
        assert server.seen.requests == 90


@virtual_time
async def test_promise_13_a_second_dead_connection_is_waited_for() -> None:
    async with VoiceAIServer(max_requests=None) as server:
        policy = RetryPolicy(max_attempts=3, backoff_base=100.0, backoff_cap=100.0)
        async with client_of(server, retry=policy) as client:
            delays: list[float] = []
            client.add_hook(lambda event: delays.append(event.delay) if isinstance(event, RetryEvent) else None)
            call_id = server.call_ids(1)[0]
            await client.get_call_log(call_id, server.location_id)
            server.fail(ResetBeforeAnswer(), times=3)
            with pytest.raises(ghl.TransportError) as caught:
                await client.get_call_log(call_id, server.location_id)
            assert delays[0] == 0
            assert delays[1] > 0
            assert not caught.value.was_kept


async def test_promise_13_what_a_borrowed_sessions_middleware_sends_again_is_counted_too(
    server: VoiceAIServer,
) -> None:
    limiter = Counting()
    server.fail(Status(404), times=4)
    async with (
        aiohttp.ClientSession(middlewares=[twice]) as session,
        client_of(server, rate_limit=limiter, session=session) as client,
    ):
        with pytest.raises(ghl.NotFoundError) as caught:
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert caught.value.attempts == server.seen.requests == limiter.taken == limiter.released == 2


async def test_promise_13_a_second_sending_takes_a_second_permit_that_is_free(server: VoiceAIServer) -> None:
    limiter = ghl.WindowRateLimiter(ghl.RateLimit(10))
    async with (
        aiohttp.ClientSession(middlewares=[twice]) as session,
        client_of(server, rate_limit=limiter, session=session) as client,
    ):
        await client.get_call_log(server.call_ids(1)[0], server.location_id)
        assert server.seen.requests == client.rate_limits[server.location_id].in_use == 2


async def test_a_limiter_that_refuses_a_second_sending_gets_each_permit_back_once(server: VoiceAIServer) -> None:
    class OnlyOne(Counting):
        async def acquire(self, location_id: str, *, max_pause: float) -> Counting:
            if self.taken:
                raise LookupError(location_id)
            return await super().acquire(location_id, max_pause=max_pause)

    limiter = OnlyOne()
    async with (
        aiohttp.ClientSession(middlewares=[twice]) as session,
        client_of(server, rate_limit=limiter, session=session) as client,
    ):
        with pytest.raises(LookupError):
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert (limiter.taken, limiter.released, limiter.cancelled, server.seen.requests) == (1, 1, 0, 1)


@virtual_time
async def test_a_middleware_that_sends_again_waits_for_its_permit_outside_of_the_timeout() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=1, interval=60.0))
    async with (
        VoiceAIServer(max_requests=None) as server,
        aiohttp.ClientSession(middlewares=[twice]) as session,
        client_of(server, rate_limit=limiter, session=session, timeout=5.0) as client,
    ):
        started = now()
        await client.get_call_log(server.call_ids(1)[0], server.location_id)
        assert 60 <= now() - started < 61
        server.fail(Latency(1.0))
        server.fail(Silence())
        with pytest.raises(ghl.DeadlineExceededError):
            await client.get_call_log(server.call_ids(1)[0], server.location_id, deadline=60 + 60 + 1 + 5 + 1)
        assert server.seen.requests == 4


async def test_promise_13_a_refused_connection_is_an_attempt_that_no_server_saw() -> None:
    limiter = Counting()
    async with VoiceAIServer() as server:
        client = client_of(server, rate_limit=limiter)
    async with client:
        with pytest.raises(ghl.TransportError, match="cannot connect") as caught:
            await client.get_call_log(CALL, LOCATION)
    assert caught.value.attempts == limiter.taken == limiter.released == 5


@pytest.mark.parametrize("framing", ["length", "chunked", "close", "gzip"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
async def test_promise_14_half_a_body_is_never_decoded_and_its_connection_not_used_again(
    framing: Any, share: float
) -> None:
    async with VoiceAIServer(max_requests=None) as server, client_of(server) as client:
        call_id = server.call_ids(1)[0]
        server.fail(CutShort(share, framing), times=5)
        with pytest.raises(ghl.TransportError, match="cut short") as caught:
            await client.get_call_log(call_id, server.location_id)
        assert caught.value.attempts == server.seen.requests == 5
        assert (await client.get_call_log(call_id, server.location_id)).id == call_id


async def test_promise_14_a_body_of_no_stated_length_that_parses_is_whole(documented: dict[str, Any]) -> None:
    body = json.dumps(documented).encode()
    async with raw_server(b"HTTP/1.1 200 OK\r\n\r\n" + body) as raw, client_of(raw) as client:
        assert encode_call_log(await client.get_call_log(CALL, LOCATION)) == documented


async def test_promise_14_a_body_of_no_stated_length_that_parses_and_is_no_call_log_is_a_decode_error() -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\n\r\n\xef\xbb\xbf[]") as raw, client_of(raw) as client:
        with pytest.raises(ghl.DecodeError) as caught:
            await client.get_call_log(CALL, LOCATION)
    assert (caught.value.attempts, len(raw.requests)) == (1, 1)


@pytest.mark.parametrize("fault", [Silence(), SlowDrip(0.3, 1)], ids=["silence", "one byte each 0.3 s"])
def test_promise_15_an_attempt_ends_at_its_timeout_with_a_message(fault: Fault) -> None:
    @virtual_time
    async def scenario() -> None:
        async with VoiceAIServer(max_requests=None) as server:
            policy = RetryPolicy(max_attempts=2, backoff_base=0.001)
            async with client_of(server, timeout=7.0, retry=policy) as client:
                server.fail(fault, times=2)
                started = now()
                with pytest.raises(ghl.AttemptTimeoutError, match="no whole answer within 7 s") as caught:
                    await client.get_call_log(server.call_ids(1)[0], server.location_id)
                assert 14 <= now() - started < 14.5
                assert caught.value.attempts == server.seen.requests == 2

    scenario()


@virtual_time
async def test_promise_16_a_healthy_server_meets_no_timeouts_however_many_calls_wait_for_a_connection() -> None:
    without_debugging()
    async with VoiceAIServer(max_requests=None, faults={Latency(0.1): 1.0}) as server:
        async with client_of(server, max_connections=10, timeout=1.0) as client:
            started = now()
            ids = server.call_ids(500)
            await asyncio.gather(*(client.get_call_log(call_id, server.location_id) for call_id in ids))
            assert 5 <= now() - started < 10
        assert server.seen.requests == 500


@pytest.mark.parametrize(
    "fault",
    [CloseAfterAnswer(), StrayBytes(), StrayBytes(b"\r\n"), StrayBytes(b"HTTP/1.1 400 Bad Request\r\n\r\n")],
    ids=repr,
)
async def test_promise_17_what_follows_an_answer_harms_none_of_a_thousand_calls(fault: Fault) -> None:
    without_debugging()
    async with VoiceAIServer(max_requests=None, faults={fault: 1.0}) as server:
        async with client_of(server) as client:
            call_id = server.call_ids(1)[0]
            for _ in range(500):
                await client.get_call_log(call_id, server.location_id)
            await asyncio.gather(*(client.get_call_log(call_id, server.location_id) for _ in range(500)))
        assert server.seen.statuses[200] >= 1000


async def test_promise_17_bytes_behind_a_long_answer_are_not_met_by_the_next_call(server: VoiceAIServer) -> None:
    long = server.add_call_log({"id": "long", "transcript": "x" * 500_000})
    async with client_of(server, retry=RetryPolicy(max_attempts=1)) as client:
        server.fail(StrayBytes(), times=100)
        for _ in range(100):
            assert (await client.get_call_log(long, server.location_id)).id == long


@virtual_time
async def test_promise_18_a_name_that_cannot_be_resolved_is_retried() -> None:
    class NoNames(aiohttp.abc.AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[Any]:
            raise OSError(-2, "Name or service not known")

        async def close(self) -> None:
            pass

    limiter = Counting()
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=NoNames())) as session,
        WatchedClient(TOKEN, base_url="https://no.such", session=session, rate_limit=limiter) as client,
    ):
        with pytest.raises(ghl.TransportError, match=r"the name of the server no\.such cannot be resolved") as caught:
            await client.get_call_log(CALL, LOCATION)
    assert caught.value.attempts == limiter.released == 5


@virtual_time
async def test_promise_18_one_callers_timeout_while_a_name_is_resolved_harms_no_other() -> None:
    class SlowNames(aiohttp.abc.AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[Any]:
            await asyncio.sleep(10)
            return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0, "flags": 0}]

        async def close(self) -> None:
            pass

    async with VoiceAIServer(max_requests=None) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        call_id = server.call_ids(1)[0]
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=SlowNames())) as session,
            WatchedClient(server.token, base_url=url, session=session, rate_limit=None) as client,
        ):
            impatient = [
                asyncio.create_task(client.get_call_log(call_id, server.location_id, deadline=5.0)) for _ in range(3)
            ]
            patient = [asyncio.create_task(client.get_call_log(call_id, server.location_id)) for _ in range(3)]
            for task in impatient:
                with pytest.raises(ghl.DeadlineExceededError):
                    await task
            assert [(await task).id for task in patient] == [call_id] * 3
    assert server.seen.requests == 3


class Authority:
    """A certificate authority of the tests' own, and servers with its certificates."""

    def __init__(self) -> None:
        self.authority = trustme.CA()

    @asynccontextmanager
    async def server(
        self, name: str, *, not_before: datetime | None = None, not_after: datetime | None = None
    ) -> AsyncIterator[str]:
        server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate = self.authority.issue_cert(name, not_before=not_before, not_after=not_after)
        certificate.configure_cert(server_side)
        raw = RawServer([OK], keep=True)
        listening = await asyncio.start_server(raw.serve, "127.0.0.1", 0, ssl=server_side)
        async with listening:
            yield f"https://localhost:{listening.sockets[0].getsockname()[1]}"
            listening.close()

    def session(self) -> aiohttp.ClientSession:
        client_side = ssl.create_default_context()
        self.authority.configure_trust(client_side)
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_side))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


async def test_a_call_goes_over_tls_to_a_server_that_is_trusted(authority: Authority) -> None:
    async with (
        authority.server("localhost") as url,
        authority.session() as session,
        WatchedClient(TOKEN, base_url=url, session=session) as client,
    ):
        assert (await client.get_call_log(CALL, LOCATION)).id == CALL


@pytest.mark.parametrize(
    ("name", "dates"),
    [
        (
            "localhost",
            {"not_after": datetime(2020, 1, 1, tzinfo=UTC), "not_before": datetime(2019, 1, 1, tzinfo=UTC)},
        ),
        ("example.com", {}),
    ],
    ids=["expired", "wrong name"],
)
async def test_promise_19_a_certificate_that_is_not_good_ends_the_call_after_one_attempt(
    authority: Authority, name: str, dates: dict[str, datetime]
) -> None:
    limiter = Counting()
    async with (
        authority.server(name, **dates) as url,
        authority.session() as session,
        WatchedClient(TOKEN, base_url=url, session=session, rate_limit=limiter) as client,
    ):
        with pytest.raises(ghl.TransportError, match="TLS failed") as caught:
            await client.get_call_log(CALL, LOCATION)
    assert (caught.value.attempts, limiter.taken, caught.value.retryable) == (1, 1, False)


async def test_promise_19_an_authority_that_is_not_trusted_ends_the_call_after_one_attempt(
    authority: Authority,
) -> None:
    limiter = Counting()
    async with (
        authority.server("localhost") as url,
        WatchedClient(TOKEN, base_url=url, rate_limit=limiter) as client,
    ):
        with pytest.raises(ghl.TransportError, match="TLS failed") as caught:
            await client.get_call_log(CALL, LOCATION)
    assert (caught.value.attempts, limiter.taken, caught.value.retryable) == (1, 1, False)


async def test_promise_19_plain_http_ends_the_call_after_one_attempt(server: VoiceAIServer) -> None:
    url = server.url.replace("http://", "https://")
    async with WatchedClient(TOKEN, base_url=url) as client:
        with pytest.raises(ghl.TransportError, match="TLS failed") as caught:
            await client.get_call_log(CALL, LOCATION)
    assert caught.value.attempts == 1


async def test_a_session_that_its_owner_closes_ends_the_call_and_nobody_is_cancelled(server: VoiceAIServer) -> None:
    server.fail(Silence(), times=10)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2))
    async with client_of(server, session=session, retry=RetryPolicy(max_attempts=1)) as client:
        ids = server.call_ids(5)
        calls = [asyncio.create_task(client.get_call_log(call_id, server.location_id)) for call_id in ids]
        theirs = [asyncio.create_task(session.get(server.url)) for _ in range(2)]
        await until(lambda: server.seen.requests == 2)
        await session.close()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        await asyncio.gather(*theirs, return_exceptions=True)
    assert [str(type(outcome).__name__) for outcome in outcomes] == ["ClientClosedError"] * 5


async def test_waiting_for_a_connection_that_others_hold_ends_when_the_owner_closes_the_session(
    server: VoiceAIServer,
) -> None:
    server.fail(Silence(), times=10)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
    theirs = asyncio.create_task(session.get(f"{server.url}/voice-ai/dashboard/call-logs/theirs"))
    async with client_of(server, session=session) as client:
        await until(lambda: server.seen.requests)
        call = asyncio.create_task(client.get_call_log(CALL, LOCATION))
        for _ in range(5):
            await asyncio.sleep(0)
        await session.close()
        with pytest.raises(ghl.ClientClosedError, match="the aiohttp session given to this client is closed"):
            await call
    await asyncio.gather(theirs, return_exceptions=True)
    assert server.seen.requests == 1


HEADS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 429 Too Many",
        b"HTTP/1.1 503",
        b"HTTP/1.1 1xx",
        b"HTTP/1.1 100 C",
    ]
) | st.binary(max_size=30)
FIELDS = st.sampled_from(
    [
        b"Content-Length: 7",
        b"Content-Length: -1",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"Content-Encoding: gzip",
        b"Content-Encoding: deflate",
        b"Content-Encoding: zstd",
        b"Content-Type: text/html; charset=nonsense",
        b"Set-Cookie: \xff=\xfe; expires=never",
        b"Location: http://[",
        b"Retry-After: 0.001",
        b"Connection: keep-alive",
        b"Connection: upgrade",
        b"Upgrade: websocket",
        b"X-RateLimit-Max: \xb2",
        b" folded",
    ]
) | st.binary(max_size=40)
BODIES = st.sampled_from([b"", b'{"id":1', OK, b"7\r\n", b"0\r\n\r\n", b'7\r\n{"id":0\r\n0\r\n\r\n']) | st.binary(
    max_size=60
)


@settings(max_examples=100)
@given(HEADS, st.lists(FIELDS, max_size=6), BODIES | st.binary(max_size=60))
def test_no_answer_whatever_makes_the_client_raise_anything_but_its_own_errors(
    head: bytes, fields: list[bytes], body: bytes
) -> None:
    wire = b"\r\n".join([head, *fields]) + b"\r\n\r\n" + body

    @virtual_time
    async def scenario() -> None:
        async with raw_server(wire) as raw:
            policy = RetryPolicy(max_attempts=2, backoff_base=0.001)
            async with client_of(raw, retry=policy, timeout=60.0) as client:
                (outcome,) = await asyncio.gather(client.get_call_log(CALL, LOCATION), return_exceptions=True)
            assert isinstance(outcome, ghl.CallLog | ghl.GHLVoiceError)
            if isinstance(outcome, ghl.GHLVoiceError):
                assert outcome.attempts == len(raw.requests)

    scenario()


MIXED: dict[Fault, float] = dict.fromkeys(
    [
        Status(500, '{"statusCode": 500, "message": "Internal server error"}'),
        Status(502, "<html>Bad Gateway</html>"),
        Status(503, headers={"Retry-After": "1"}),
        Status(429),
        Status(524),
        ResetBeforeAnswer(),
        ResetWithinAnswer(),
        CloseBeforeAnswer(),
        CutShort(0.5, "length"),
        CutShort(0.5, "chunked"),
        CutShort(0.5, "close"),
        CutShort(0.5, "gzip"),
        Raw(b"garbage\r\n\r\n"),
        Silence(),
        StrayBytes(),
        # No CloseAfterAnswer: what is sent while the server closes never reaches it, and the counts differ.
    ],
    0.2 / 15,
)


@virtual_time
async def test_with_every_fifth_answer_wrong_nothing_is_lost_and_both_sides_count_the_same() -> None:
    without_debugging()
    async with VoiceAIServer(max_requests=None, faults=MIXED) as server:
        limiter = Counting()
        policy = RetryPolicy(max_attempts=12, max_elapsed=1000.0)
        async with client_of(server, rate_limit=limiter, retry=policy, timeout=20.0) as client:
            sent: list[CallEvent] = []
            client.add_hook(sent.append)
            ids = [server.add_call_log({"id": f"call-{n}", "summary": f"summary {n}" * 20}) for n in range(5000)]
            calls = await asyncio.gather(*(client.get_call_log(call_id, server.location_id) for call_id in ids))
            assert [encode_call_log(call) for call in calls] == [server.call_log(call_id) for call_id in ids]
        requests = sum(isinstance(event, RequestEvent) for event in sent)
        responses = sum(isinstance(event, ResponseEvent) for event in sent)
        assert server.seen.requests == limiter.taken == limiter.released == requests == responses
        assert 800 <= server.seen.faults.total() <= 1700
        assert len(server.seen.faults) == len({type(fault) for fault in MIXED})
