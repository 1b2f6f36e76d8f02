from __future__ import annotations

import asyncio
import os
import pickle
import traceback
from typing import Any

import aiohttp
import pytest
from aioresponses import aioresponses
from lossless import normal
from virtual_time import now, virtual_time
from wire import CALL, LOCATION, TOKEN, answer, raw_server

import ghl_voice_async as ghl
from ghl_voice_async import RetryPolicy, VoiceAIClient, WindowRateLimiter, encode_call_log
from ghl_voice_async.testing import (
    BadJSON,
    CutShort,
    Latency,
    ResetBeforeAnswer,
    ResetWithinAnswer,
    Silence,
    SlowDrip,
    Status,
    VoiceAIServer,
)

QUICK = RetryPolicy(backoff_base=0.001, backoff_cap=0.001)
URL = f"https://services.leadconnectorhq.com/voice-ai/dashboard/call-logs/{CALL}?locationId={LOCATION}"


def client_of(server: VoiceAIServer, **settings: Any) -> VoiceAIClient:
    return VoiceAIClient(server.token, base_url=server.url, **{"rate_limit": None, "retry": QUICK, **settings})


async def test_a_call_log_arrives_whole(server: VoiceAIServer) -> None:
    async with client_of(server) as client:
        for call_id in server.call_ids(20):
            call = await client.get_call_log(call_id, server.location_id)
            assert normal(encode_call_log(call)) == normal(server.call_log(call_id))


async def test_the_request_is_the_documented_one(server: VoiceAIServer) -> None:
    async with client_of(server, api_version="v3") as client:
        call_id = server.call_ids(1)[0]
        await client.get_call_log(call_id, server.location_id)
    (seen,) = server.seen.latest
    assert seen.path == f"/voice-ai/dashboard/call-logs/{call_id}?locationId={server.location_id}"
    assert seen.headers["Version"] == "v3"
    assert seen.headers["Authorization"] == f"Bearer {server.token}"


async def test_the_token_is_read_from_the_environment(server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GHL_ACCESS_TOKEN", server.token)
    async with VoiceAIClient(base_url=server.url) as client:
        await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert server.seen.statuses == {200: 1}


async def test_a_thousand_calls_share_one_client(server: VoiceAIServer) -> None:
    async with client_of(server) as client:
        ids = server.call_ids(1000)
        calls = await asyncio.gather(*(client.get_call_log(call_id, server.location_id) for call_id in ids))
    assert [call.id for call in calls] == ids
    assert server.seen.requests == 1000


@pytest.mark.parametrize(
    "fault",
    [
        Status(503, "<html>"),
        Status(429),
        Status(520),
        ResetBeforeAnswer(),
        ResetWithinAnswer(),
        CutShort(),
        Latency(0.01),
    ],
    ids=repr,
)
async def test_a_fault_that_passes_costs_an_attempt_and_no_error(server: VoiceAIServer, fault: Any) -> None:
    server.fail(fault)
    async with client_of(server) as client:
        call_id = server.call_ids(1)[0]
        assert (await client.get_call_log(call_id, server.location_id)).id == call_id
    assert server.seen.requests == (1 if isinstance(fault, Latency) else 2)
    assert server.seen.faults.total() == 1


@pytest.mark.parametrize("fault", [Silence(), SlowDrip()], ids=repr)
def test_a_server_that_is_too_slow_costs_an_attempt_and_no_error(fault: Any) -> None:
    @virtual_time
    async def scenario() -> None:
        async with VoiceAIServer() as server, client_of(server, timeout=10.0) as client:
            server.fail(fault)
            started = now()
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
            assert 10 <= now() - started < 11
            assert server.seen.requests == 2

    scenario()


@pytest.mark.parametrize(
    ("status", "error_class", "attempts"),
    [
        (302, ghl.StatusError, 1),
        (400, ghl.BadRequestError, 1),
        (401, ghl.AuthenticationError, 1),
        (403, ghl.PermissionDeniedError, 1),
        (404, ghl.NotFoundError, 1),
        (409, ghl.StatusError, 1),
        (422, ghl.UnprocessableEntityError, 1),
        (408, ghl.StatusError, 5),
        (429, ghl.RateLimitError, 5),
        (500, ghl.ServerError, 5),
        (501, ghl.ServerError, 1),
        (524, ghl.ServerError, 5),
    ],
)
async def test_promises_1_and_4_a_status_is_retried_or_not_and_becomes_its_error(
    server: VoiceAIServer, status: int, error_class: type[ghl.StatusError], attempts: int
) -> None:
    server.fail(Status(status, '{"statusCode": 0, "message": "So it is"}', {"X-Trace": "7"}), times=10)
    call_id = server.call_ids(1)[0]
    async with client_of(server) as client:
        with pytest.raises(ghl.StatusError) as caught:
            await client.get_call_log(call_id, server.location_id)
    error = caught.value
    assert type(error) is error_class
    assert (error.status, error.message, error.headers["x-trace"]) == (status, "So it is", "7")
    assert (error.call_id, error.location_id, error.attempts) == (call_id, server.location_id, attempts)
    assert server.seen.requests == attempts


@pytest.mark.parametrize(
    ("status", "error_class"),
    [(400, ghl.BadRequestError), (404, ghl.NotFoundError), (422, ghl.UnprocessableEntityError), (501, ghl.ServerError)],
)
async def test_statuses_mocked_with_aioresponses_become_their_errors(
    status: int, error_class: type[ghl.StatusError]
) -> None:
    async with VoiceAIClient(TOKEN) as client:
        with aioresponses() as mocked:
            mocked.get(URL, status=status, payload={"message": ["a", "b"]})
            with pytest.raises(error_class) as caught:
                await client.get_call_log(CALL, LOCATION)
            mocked.assert_called_once()  # type: ignore[no-untyped-call]  # aioresponses has no types
    assert (caught.value.message, caught.value.attempts) == ("a; b", 1)


async def test_a_call_log_mocked_with_aioresponses_decodes(documented: dict[str, Any]) -> None:
    async with VoiceAIClient(TOKEN) as client:
        with aioresponses() as mocked:
            mocked.get(URL, payload=documented)
            assert encode_call_log(await client.get_call_log(CALL, LOCATION)) == documented


async def test_a_day_that_is_used_up_is_not_retried(server: VoiceAIServer) -> None:
    server.fail(Status(429, headers={"X-RateLimit-Daily-Remaining": "0"}), times=5)
    async with client_of(server) as client:
        with pytest.raises(ghl.DailyLimitError) as caught:
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert (caught.value.status, caught.value.attempts, server.seen.requests) == (429, 1, 1)


@virtual_time
async def test_promise_10_a_retry_after_beyond_what_is_left_raises_at_once() -> None:
    async with VoiceAIServer() as server, client_of(server) as client:
        server.fail(Status(429, headers={"Retry-After": "3600"}), times=5)
        started = now()
        with pytest.raises(ghl.RateLimitError) as caught:
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
        assert caught.value.retry_after == 3600
        assert now() == started
        assert server.seen.requests == 1


@pytest.mark.parametrize(
    "body", [b"<html>hello</html>", b"", b"null", b"[]", b'{"id": 7}', b'{"id": "1", "duration": "x"}']
)
async def test_promise_7_a_200_that_is_no_call_log_is_a_decode_error(server: VoiceAIServer, body: bytes) -> None:
    server.fail(BadJSON(body))
    call_id = server.call_ids(1)[0]
    async with client_of(server) as client:
        with pytest.raises(ghl.DecodeError) as caught:
            await client.get_call_log(call_id, server.location_id)
    assert caught.value.problems
    assert (caught.value.call_id, caught.value.location_id, caught.value.attempts) == (call_id, server.location_id, 1)


async def test_promise_7_json_without_a_type_is_parsed() -> None:
    body = b'{"id": "1"}'
    wire = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    async with raw_server(wire) as raw, VoiceAIClient(TOKEN, base_url=raw.url) as client:
        assert (await client.get_call_log(CALL, LOCATION)).id == "1"


@pytest.mark.parametrize("bad", ["", "..", "a/b", "a?b", None, 7])
async def test_promise_23_a_bad_id_is_refused_before_anything_is_sent(server: VoiceAIServer, bad: Any) -> None:
    async with client_of(server) as client:
        with pytest.raises(ghl.InvalidInputError, match="call_id"):
            await client.get_call_log(bad, server.location_id)
        with pytest.raises(ghl.InvalidInputError, match="location_id"):
            await client.get_call_log("abc", bad)
    assert server.seen.requests == 0


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"token": ""}, "the token is empty"),
        ({"token": None}, "the token is empty"),
        ({"token": "pit-marked\r\nX: 1"}, "the token has a space"),
        ({"token": 7}, "token must be a str or a TokenProvider, not int"),
        ({"base_url": "http://example.com"}, "base_url"),
        ({"api_version": ""}, "api_version"),
        ({"timeout": 0}, "timeout must be a finite"),
        ({"timeout": float("nan")}, "timeout must be a finite"),
        ({"timeout": None}, "timeout must be a number"),
        ({"max_connections": 0}, "max_connections must be at least 1"),
        ({"retry": None}, "retry must be a RetryPolicy, not NoneType"),
        ({"rate_limit": 100}, "rate_limit must be a RateLimit, a RateLimiter or None, not int"),
    ],
)
def test_promise_24_bad_settings_are_refused_at_once_and_never_show_the_token(
    settings: dict[str, Any], why: str
) -> None:
    with pytest.raises(ghl.InvalidInputError, match=why) as caught:
        VoiceAIClient(**{"token": TOKEN, **settings})
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in shown.stack if "ghl_voice_async" in frame.filename]
    assert "marked" not in str(caught.value) + repr([frame.locals for frame in ours])


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf"), "5", True])
async def test_a_bad_deadline_is_refused(server: VoiceAIServer, bad: Any) -> None:
    async with client_of(server) as client:
        with pytest.raises(ghl.InvalidInputError, match="deadline"):
            await client.get_call_log("abc", "LOC", deadline=bad)
    assert server.seen.requests == 0


@pytest.mark.parametrize(
    "busy_with",
    [Silence(), Status(503, headers={"Retry-After": "60"}), Status(429)],
    ids=["reading", "backoff", "permit"],
)
def test_promise_27_a_deadline_ends_whatever_was_going_on(busy_with: Any) -> None:
    @virtual_time
    async def scenario() -> None:
        limiter = WindowRateLimiter(ghl.RateLimit())
        async with VoiceAIServer() as server, client_of(server, rate_limit=limiter) as client:
            server.fail(busy_with, times=5)
            started = now()
            with pytest.raises(ghl.DeadlineExceededError, match=r"within the deadline of 5 s") as caught:
                await client.get_call_log(server.call_ids(1)[0], server.location_id, deadline=5.0)
            assert 5.0 <= now() - started < 5.1
            assert caught.value.attempts == server.seen.requests == 1
            assert caught.value.__cause__ is None
            assert caught.value.__context__ is None

    scenario()


@virtual_time
async def test_promise_27_the_callers_own_timeout_is_the_builtin_one() -> None:
    async with VoiceAIServer() as server, client_of(server) as client:
        server.fail(Silence())
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(5.0):
                await client.get_call_log(server.call_ids(1)[0], server.location_id, deadline=60.0)
        assert type(caught.value) is TimeoutError


@virtual_time
async def test_promise_26_a_cancelled_call_ends_at_once_and_leaves_nothing_behind() -> None:
    async with VoiceAIServer(max_requests=None) as server, client_of(server, max_connections=1) as client:
        server.fail(Silence())
        call_id = server.call_ids(1)[0]
        task = asyncio.create_task(client.get_call_log(call_id, server.location_id))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await client.get_call_log(call_id, server.location_id)).id == call_id


async def test_promise_41_a_closed_client_says_so_and_may_be_closed_again(server: VoiceAIServer) -> None:
    client = client_of(server)
    await client.get_call_log(server.call_ids(1)[0], server.location_id)
    await asyncio.gather(client.aclose(), client.aclose())
    await client.aclose()
    with pytest.raises(ghl.ClientClosedError, match="the client is closed") as caught:
        await client.get_call_log("abc", "LOC")
    assert (caught.value.call_id, caught.value.attempts) == ("abc", 0)


@pytest.mark.parametrize(
    "busy_with",
    [Silence(), Status(503, headers={"Retry-After": "60"}), Status(429)],
    ids=["reading", "backoff", "permit"],
)
def test_promise_41_calls_in_flight_at_close_end_with_client_closed(busy_with: Any) -> None:
    @virtual_time
    async def scenario() -> None:
        limiter = WindowRateLimiter(ghl.RateLimit())
        async with VoiceAIServer() as server:
            client = client_of(server, rate_limit=limiter)
            server.fail(busy_with, times=5)
            started = now()
            task = asyncio.create_task(client.get_call_log(server.call_ids(1)[0], server.location_id))
            await asyncio.sleep(1)
            await client.aclose()
            with pytest.raises(ghl.ClientClosedError, match="closed while this call was under way"):
                await task
            assert now() - started < 2

    scenario()


@virtual_time
async def test_a_call_whose_deadline_passes_in_the_turn_of_the_close_ends_too() -> None:
    async with VoiceAIServer() as server:
        client = client_of(server)
        server.fail(Silence())
        task = asyncio.create_task(client.get_call_log(server.call_ids(1)[0], server.location_id, deadline=5.0))
        loop = asyncio.get_running_loop()
        closing: list[asyncio.Task[None]] = []
        await asyncio.sleep(0)
        loop.call_at(loop.time() + 5.0, lambda: closing.append(asyncio.create_task(client.aclose())))
        with pytest.raises(ghl.GHLVoiceError):
            await task
        await client.aclose()
        await asyncio.gather(*closing)


def test_promise_43_a_client_belongs_to_one_event_loop() -> None:
    client = VoiceAIClient(TOKEN, base_url="http://127.0.0.1:9", retry=RetryPolicy(max_attempts=1))

    async def use() -> None:
        await client.get_call_log(CALL, LOCATION)

    async def use_and_close() -> None:
        with pytest.raises(ghl.TransportError):
            await use()
        await client.aclose()

    other = VoiceAIClient(TOKEN, base_url="http://127.0.0.1:9", retry=RetryPolicy(max_attempts=1))

    async def use_other() -> None:
        with pytest.raises(ghl.TransportError):
            await other.get_call_log(CALL, LOCATION)
        await other._session.transport.aclose()

    asyncio.run(use_other())
    with pytest.raises(ghl.ClientClosedError, match="another event loop"):
        asyncio.run(other.get_call_log(CALL, LOCATION))
    asyncio.run(use_and_close())


async def test_promise_43_a_forked_child_is_told_so(server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with client_of(server) as client:
        await client.get_call_log(server.call_ids(1)[0], server.location_id)
        # What a forked child sees: the same objects, and another process id.
        with monkeypatch.context() as child:
            parent = os.getpid()
            child.setattr(os, "getpid", lambda: parent + 1)
            with pytest.raises(ghl.ClientClosedError, match="before a fork"):
                await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert server.seen.requests == 1


async def test_promise_42_a_client_dropped_without_close_warns_and_names_itself(server: VoiceAIServer) -> None:
    client = client_of(server)
    await client.get_call_log(server.call_ids(1)[0], server.location_id)
    session = client._session.transport._session
    clients = [client]
    del client
    with pytest.warns(ResourceWarning, match="unclosed <VoiceAIClient of http://127"):
        clients.clear()
    assert session is not None
    await session.close()


async def test_promise_42_a_borrowed_session_is_used_and_never_closed(server: VoiceAIServer) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer theirs", "X-Theirs": "1"}) as session:
        async with client_of(server, session=session) as client:
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
        assert not session.closed
    headers = server.seen.latest[0].headers
    assert (headers["Authorization"], headers["X-Theirs"]) == (f"Bearer {server.token}", "1")


def test_a_client_can_be_made_without_a_running_loop_and_shows_no_token() -> None:
    assert repr(VoiceAIClient(TOKEN)) == "<VoiceAIClient of https://services.leadconnectorhq.com>"


def chain(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *chain(error.__cause__), *chain(error.__context__)]


ECHO = answer(b'{"message": "bad token %b"}' % TOKEN.encode(), f"X-Echo: Bearer {TOKEN}", status=f"400 {TOKEN}")
MARKED_CALL = b'{"id": 7, "transcript": "marked-transcript", "fromNumber": "+15055550177"}'


@pytest.mark.parametrize(
    "wire",
    [
        ECHO,
        answer(MARKED_CALL),
        answer(MARKED_CALL[:-9]),
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + MARKED_CALL,
        b"garbage\r\n\r\n",
        None,
    ],
    ids=["echo", "mistyped", "half", "cut short", "garbage", "disconnect"],
)
async def test_the_token_and_the_call_are_in_no_error_chain_pickle_frame_or_log(
    wire: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    async with raw_server(wire) as raw, VoiceAIClient(TOKEN, base_url=raw.url, retry=QUICK) as client:
        with pytest.raises(ghl.GHLVoiceError) as caught:
            await client.get_call_log(CALL, LOCATION)
    error = caught.value
    assert not [link for link in chain(error)[1:] if not isinstance(link, ghl.GHLVoiceError)]
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [frame for frame in shown.stack if "test_client" not in frame.filename]
    everything = [str(error), repr(error), repr(vars(error)), str(pickle.dumps(error)), caplog.text]
    everything += [repr(frame.locals) for frame in frames]
    for marked in (TOKEN, "marked-transcript", "+15055550177"):
        assert marked not in "\n".join(everything)
