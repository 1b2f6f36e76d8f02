from __future__ import annotations

import asyncio
import gzip
import pickle
import tracemalloc
from typing import Any

import pytest
from aioresponses import aioresponses
from virtual_time import now, virtual_time, without_debugging
from watched import check_clean, client_of, until
from wire import CALL, LOCATION, TOKEN, raw_server

import ghl_voice_async as ghl
from ghl_voice_async import RateLimit, RetryPolicy, VoiceAIClient, WindowRateLimiter, encode_call_log
from ghl_voice_async.testing import (
    BadJSON,
    Fault,
    Oversized,
    Raw,
    Status,
    VoiceAIServer,
    VoiceAIServerProcess,
    WithHeaders,
)

URL = f"https://services.leadconnectorhq.com/voice-ai/dashboard/call-logs/{CALL}?locationId={LOCATION}"


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


async def test_a_mocked_body_of_no_stated_length_that_is_half_of_one_is_told_to_be_cut_short() -> None:
    async with VoiceAIClient(TOKEN, retry=ghl.RetryPolicy(max_attempts=1)) as client:
        with aioresponses() as mocked:
            mocked.get(URL, body=b'{"id": "ca')
            with pytest.raises(ghl.TransportError, match="cut short"):
                await client.get_call_log(CALL, LOCATION)


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


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 530])
@pytest.mark.parametrize("body", ["<html>Bad Gateway</html>", ""], ids=["HTML", "no body"])
async def test_promise_4_a_status_that_may_pass_is_retried_whatever_its_body(
    server: VoiceAIServer, status: int, body: str
) -> None:
    server.fail(Status(status, body, {"Content-Type": "text/html"}), times=5)
    async with client_of(server) as client:
        with pytest.raises(ghl.ServerError if status >= 500 else ghl.StatusError) as caught:
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert (caught.value.status, caught.value.body, caught.value.attempts) == (status, body, 5)
    assert caught.value.message
    assert server.seen.requests == 5


@pytest.mark.parametrize("status", [501, 505, 507, 511])
async def test_promise_4_other_server_errors_are_not_retried(server: VoiceAIServer, status: int) -> None:
    server.fail(Status(status), times=5)
    async with client_of(server) as client:
        with pytest.raises(ghl.ServerError):
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert server.seen.requests == 1


def test_promise_3_a_429_without_headers_makes_the_whole_location_wait_and_no_other() -> None:
    @virtual_time
    async def scenario() -> None:
        async with VoiceAIServer(max_requests=None) as server:
            limiter = WindowRateLimiter(RateLimit(max_requests=50, interval=10.0))
            async with client_of(server, rate_limit=limiter) as client:
                started = now()
                took: dict[str, float] = {}

                async def fetch(name: str, call_id: str, location_id: str) -> None:
                    await client.get_call_log(call_id, location_id)
                    took[name] = round(now() - started, 1)

                here, there = server.call_ids(1)[0], server.call_ids(1, "elsewhere")[0]
                server.fail(Status(429), location_id=server.location_id)
                first = asyncio.create_task(fetch("refused", here, server.location_id))
                await until(lambda: server.seen.statuses[429])
                await asyncio.sleep(0.01)
                await asyncio.gather(
                    first, fetch("beside", here, server.location_id), fetch("elsewhere", there, "elsewhere")
                )
        assert took.pop("elsewhere") < 1
        assert all(10 <= seconds < 10.2 for seconds in took.values()), took
        assert server.seen.requests == 4

    scenario()


def test_promise_5_an_outage_is_not_answered_with_a_storm_and_successes_make_retries_possible_again() -> None:
    @virtual_time
    async def scenario() -> None:
        without_debugging()
        async with VoiceAIServer(max_requests=None) as server, client_of(server) as client:
            ids = server.call_ids(1000)
            server.fail(Status(503), times=1_000_000)
            outcomes = await asyncio.gather(
                *(client.get_call_log(call_id, server.location_id) for call_id in ids), return_exceptions=True
            )
            assert all(isinstance(outcome, ghl.ServerError) for outcome in outcomes)
            assert server.seen.requests <= 1200
            assert server.seen.requests == sum(outcome.attempts for outcome in outcomes)  # type: ignore[union-attr]
            with pytest.raises(ghl.ServerError) as caught:
                await client.get_call_log(ids[0], server.location_id)
            assert caught.value.attempts == 1
            assert str(caught.value).endswith("that its budget of retries is used up.")
            assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)

            server._ordered.clear()
            for call_id in ids[:5]:
                await client.get_call_log(call_id, server.location_id)
            server.fail(Status(503))
            await client.get_call_log(ids[0], server.location_id)

    scenario()


def test_promise_5_retries_after_a_429_draw_nothing_from_the_budget() -> None:
    @virtual_time
    async def scenario() -> None:
        without_debugging()
        async with VoiceAIServer(max_requests=None) as server, client_of(server) as client:
            ids = server.call_ids(300)
            for call_id in ids:
                server.fail(Status(429), times=2, call_id=call_id)
            await asyncio.gather(*(client.get_call_log(call_id, server.location_id) for call_id in ids))
            assert server.seen.requests == len(ids) * 3

    scenario()


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
async def test_promise_6_a_redirect_is_an_error_and_its_target_is_never_asked(
    server: VoiceAIServer, status: int
) -> None:
    async with VoiceAIServer() as target, client_of(server) as client:
        call_id = server.call_ids(1)[0]
        path = f"/voice-ai/dashboard/call-logs/{call_id}?locationId={server.location_id}"
        server.fail(Status(status, headers={"Location": target.url + path}))
        with pytest.raises(ghl.StatusError) as caught:
            await client.get_call_log(call_id, server.location_id)
    assert type(caught.value) is ghl.StatusError
    assert (caught.value.status, caught.value.attempts, server.seen.requests) == (status, 1, 1)
    assert target.seen.requests == 0


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n<html>\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"<html>"),
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
    ids=["length", "chunks", "gzip", "none"],
)
async def test_promise_7_a_whole_body_that_is_no_json_is_a_decode_error_and_not_retried(wire: bytes) -> None:
    async with raw_server(wire) as raw, client_of(raw) as client:
        with pytest.raises(ghl.DecodeError):
            await client.get_call_log(CALL, LOCATION)
    assert len(raw.requests) == 1


async def test_promise_7_a_204_is_a_decode_error(server: VoiceAIServer) -> None:
    server.fail(Status(204))
    async with client_of(server) as client:
        with pytest.raises(ghl.DecodeError):
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert server.seen.requests == 1


@pytest.mark.parametrize("content_type", ["text/plain; charset=utf-16", "application/octet-stream", "nonsense"])
async def test_promise_7_json_sent_as_something_else_is_parsed(server: VoiceAIServer, content_type: str) -> None:
    server.fail(Status(200, '{"id": "1", "summary": "é"}', {"Content-Type": content_type}))
    async with client_of(server) as client:
        assert (await client.get_call_log(server.call_ids(1)[0], server.location_id)).summary == "é"


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    ],
    ids=["status", "status line", "oversized", "repeated", "not a length", "not a header", "not a chunk"],
)
async def test_promise_8_what_is_not_http_is_retried_and_no_status(server: VoiceAIServer, wire: bytes) -> None:
    server.fail(Raw(wire), times=5)
    async with client_of(server) as client:
        call_id = server.call_ids(1)[0]
        with pytest.raises(ghl.TransportError) as caught:
            await client.get_call_log(call_id, server.location_id)
        assert (caught.value.attempts, server.seen.requests) == (5, 5)
        assert not isinstance(caught.value, ghl.AttemptTimeoutError)
        assert (await client.get_call_log(call_id, server.location_id)).id == call_id


@pytest.mark.parametrize(
    ("value", "at_least", "at_most"),
    [("5", 5, 5.5), (" 1.5 ", 1.5, 2.0), ("Sun, 06 Nov 1994 08:49:47 GMT", 10, 10.5), ("0", 0, 0.5), ("abc", 0, 0.5)],
)
def test_promise_9_retry_after_is_waited_for_and_nonsense_is_not(value: str, at_least: float, at_most: float) -> None:
    @virtual_time
    async def scenario() -> None:
        async with VoiceAIServer() as server, client_of(server, retry=RetryPolicy()) as client:
            server.fail(Status(503, headers={"Retry-After": value, "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}))
            started = now()
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
            assert at_least <= now() - started < at_most + 0.1

    scenario()


@pytest.mark.parametrize("when", ["waiting", "later"])
def test_promise_10_a_long_retry_after_ends_the_others_of_that_location_at_once_too(when: str) -> None:
    @virtual_time
    async def scenario() -> None:
        async with VoiceAIServer(max_requests=None) as server:
            limiter = WindowRateLimiter(RateLimit(max_requests=2, interval=10.0))
            async with client_of(server, rate_limit=limiter) as client:
                ids = server.call_ids(8)
                server.fail(Status(429, headers={"Retry-After": "3600"}), location_id=server.location_id)
                started = now()
                tasks = [
                    asyncio.create_task(client.get_call_log(call_id, server.location_id))
                    for call_id in (ids if when == "waiting" else ids[:1])
                ]
                done = await asyncio.gather(*tasks, return_exceptions=True)
                if when == "later":
                    with pytest.raises(ghl.RateLimitError) as caught:
                        await client.get_call_log(ids[1], server.location_id)
                    done.append(caught.value)
                assert now() - started < 0.1
                refused = [error for error in done if isinstance(error, ghl.RateLimitError)]
                # The second of the two that were sent together has its own answer.
                assert len(refused) == len(done) - (when == "waiting")
                assert all(error.retry_after == pytest.approx(3600, abs=0.1) for error in refused)
                assert all(error.status == 429 and error.location_id == server.location_id for error in refused)
                assert sorted(error.attempts for error in refused) == [0] * (len(refused) - 1) + [1]
                assert server.seen.requests == (2 if when == "waiting" else 1)
                # Elsewhere nothing has changed.
                await client.get_call_log(server.call_ids(1, "elsewhere")[0], "elsewhere")

    scenario()


def test_promise_10_a_wait_without_a_retry_after_is_sat_out_however_little_the_policy_allows() -> None:
    @virtual_time
    async def scenario() -> None:
        async with VoiceAIServer(max_requests=None) as server:
            limiter, policy = WindowRateLimiter(RateLimit()), RetryPolicy(max_elapsed=1.0, backoff_base=0.001)
            async with client_of(server, rate_limit=limiter, retry=policy) as client:
                server.fail(Status(429))
                started = now()
                await client.get_call_log(server.call_ids(1)[0], server.location_id)
                assert 10 <= now() - started < 10.1

    scenario()


NONSENSE = [
    {"X-RateLimit-Max": "", "X-RateLimit-Interval-Milliseconds": "", "X-RateLimit-Remaining": ""},
    {"X-RateLimit-Max": "0"},
    {"X-RateLimit-Max": "-1"},
    {"X-RateLimit-Max": "1e2"},
    {"X-RateLimit-Max": "2, 2"},
    {"X-RateLimit-Max": "9" * 5000},
    {"X-RateLimit-Max": "2", "X-RateLimit-Remaining": "3"},
    {"X-RateLimit-Max": "2", "X-RateLimit-Remaining": "-3"},
    {"X-RateLimit-Max": "2", "X-RateLimit-Interval-Milliseconds": "0"},
    {"X-RateLimit-Max": "2", "X-RateLimit-Interval-Milliseconds": "99999999999"},
    {"X-RateLimit-Max": "2", "X-RateLimit-Interval-Milliseconds": "nan"},
    {"X-RateLimit-Daily-Remaining": "abc"},
]


@pytest.mark.parametrize("headers", NONSENSE, ids=str)
def test_promise_11_limit_headers_that_make_no_sense_change_nothing(headers: dict[str, str]) -> None:
    headers = {name: value[:200] for name, value in headers.items()}

    @virtual_time
    async def scenario() -> None:
        async with VoiceAIServer(max_requests=10, interval=10.0) as server:
            limiter = WindowRateLimiter(RateLimit(max_requests=10, interval=10.0))
            async with client_of(server, rate_limit=limiter) as client:
                server.fail(WithHeaders(headers), times=100)
                started = now()
                ids = server.call_ids(20)
                calls = await asyncio.gather(*(client.get_call_log(one, server.location_id) for one in ids))
                assert [call.id for call in calls] == ids
                assert 10 <= now() - started < 10.5

    scenario()


def test_promise_12_the_servers_limit_is_followed_down_and_up_again_and_never_above_ours() -> None:
    @virtual_time
    async def scenario() -> None:
        async with VoiceAIServer(max_requests=None) as server:
            limiter = WindowRateLimiter(RateLimit(max_requests=10, interval=10.0))
            async with client_of(server, rate_limit=limiter) as client:

                async def seconds_for(count: int) -> float:
                    await asyncio.sleep(100)
                    started = now()
                    await asyncio.gather(
                        *(client.get_call_log(one, server.location_id) for one in server.call_ids(count))
                    )
                    return round((now() - started) / 10)

                async def say(headers: dict[str, str]) -> None:
                    await asyncio.sleep(100)
                    server.fail(WithHeaders(headers))
                    await client.get_call_log(server.call_ids(1)[0], server.location_id)

                assert await seconds_for(21) == 2
                await say({"X-RateLimit-Max": "2", "X-RateLimit-Interval-Milliseconds": "10000"})
                assert await seconds_for(5) == 2
                await say({"X-RateLimit-Max": "10", "X-RateLimit-Interval-Milliseconds": "30000"})
                assert await seconds_for(21) == 6
                await say({"X-RateLimit-Max": "1000", "X-RateLimit-Interval-Milliseconds": "1"})
                assert await seconds_for(21) == 2

    scenario()


@pytest.mark.parametrize("fault", [Oversized(100_000_000), Oversized(200_000_000, gzip=True)], ids=["plain", "bomb"])
async def test_promise_20_a_huge_body_is_refused_once_and_takes_little_memory(fault: Fault) -> None:
    with VoiceAIServerProcess(max_requests=None, faults={fault: 1.0}) as server:
        async with VoiceAIClient(server.token, base_url=server.url, rate_limit=None) as client:
            tracemalloc.start()
            try:
                with pytest.raises(ghl.TransportError, match="larger than the limit of 8388608 bytes") as caught:
                    await client.get_call_log(server.twin.call_ids(1)[0], server.twin.location_id)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            await check_clean(client)
        assert peak < 3 * 8 * 1024 * 1024
        assert (caught.value.attempts, caught.value.retryable) == (1, False)
        assert server.stop().requests == 1


@pytest.mark.parametrize(("size", "kept"), [(64 * 1024, 2048), (64 * 1024 + 1, 0)])
async def test_guarantee_20_an_error_body_over_its_limit_is_dropped(
    server: VoiceAIServer, size: int, kept: int
) -> None:
    server.fail(Status(500, b"x" * size), times=5)
    async with client_of(server) as client:
        with pytest.raises(ghl.ServerError) as caught:
            await client.get_call_log(server.call_ids(1)[0], server.location_id)

    assert (len(caught.value.body), caught.value.attempts, server.seen.requests) == (kept, 5, 5)


def test_guarantee_20_a_429_with_a_huge_body_pauses_its_location() -> None:
    @virtual_time
    async def scenario() -> None:
        limiter = WindowRateLimiter(RateLimit(max_requests=50, interval=10.0))
        async with VoiceAIServer(max_requests=None) as server, client_of(server, rate_limit=limiter) as client:
            server.fail(Status(429, b"x" * 100_000, {"Retry-After": "30"}))
            started = now()

            await client.get_call_log(server.call_ids(1)[0], server.location_id)

            assert 30 <= now() - started < 32
            assert server.seen.requests == 2

    scenario()


async def test_guarantee_20_a_401_with_a_huge_body_asks_for_another_token(server: VoiceAIServer) -> None:
    class Tokens:
        refused = 0

        async def get_token(self, location_id: str) -> str:
            return server.token if self.refused else "pit-stale-token"

        async def token_refused(self, location_id: str, token: str) -> None:
            self.refused += 1

    server.fail(Status(401, b"x" * 100_000))
    call_id = server.call_ids(1)[0]
    async with client_of(server, token=Tokens()) as client:
        assert (await client.get_call_log(call_id, server.location_id)).id == call_id


@pytest.mark.parametrize("status", [404, 503])
async def test_an_error_whose_body_cannot_be_unfolded_keeps_its_status(server: VoiceAIServer, status: int) -> None:
    server.fail(Status(status, b"x" * 100, {"Content-Encoding": "br"}), times=5)
    async with client_of(server) as client:
        with pytest.raises(ghl.StatusError) as caught:
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert (caught.value.status, caught.value.body) == (status, "")
