"""A `Retry-After` and a deadline, over real sockets: guarantee 10."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from virtual_time import now, virtual_time
from watched import client_of

import ghl_voice_async as ghl
from ghl_voice_async import RateLimit, RetryPolicy, WindowRateLimiter
from ghl_voice_async.testing import Status, VoiceAIServer, WithHeaders

if TYPE_CHECKING:
    from ghl_voice_async.testing import Fault

MINUTE = Status(429, headers={"Retry-After": "60"})


def limiter_of(max_requests: int = 100) -> WindowRateLimiter:
    return WindowRateLimiter(RateLimit(max_requests=max_requests, interval=10.0))


@pytest.mark.parametrize("limiter", [None, "window"])
@virtual_time
async def test_guarantee_10_the_deadline_of_the_call_that_met_the_429_decides_at_once(limiter: str | None) -> None:
    rate_limit = None if limiter is None else limiter_of()
    async with VoiceAIServer(max_requests=None) as server, client_of(server, rate_limit=rate_limit) as client:
        server.fail(MINUTE, times=5)
        started = now()

        with pytest.raises(ghl.RateLimitError) as caught:
            await client.get_call_log(server.call_ids(1)[0], server.location_id, deadline=5.0)

        assert now() - started < 0.1
        assert (caught.value.retry_after, caught.value.attempts, server.seen.requests) == (60, 1, 1)


@virtual_time
async def test_guarantee_10_a_call_that_begins_in_the_pause_ends_at_once() -> None:
    async with VoiceAIServer(max_requests=None) as server, client_of(server, rate_limit=limiter_of()) as client:
        call_id = server.call_ids(1)[0]
        server.fail(MINUTE)
        patient = asyncio.create_task(client.get_call_log(call_id, server.location_id))
        await asyncio.sleep(20.0)
        started = now()

        with pytest.raises(ghl.RateLimitError) as caught:
            await client.get_call_log(call_id, server.location_id, deadline=39.0)

        assert now() - started < 0.1
        assert caught.value.retry_after == pytest.approx(40, abs=0.1)
        assert caught.value.attempts == 0
        assert (await client.get_call_log(call_id, server.location_id, deadline=45.0)).id == call_id
        assert (await patient).id == call_id


@virtual_time
async def test_guarantee_10_calls_that_wait_for_a_permit_end_at_once() -> None:
    async with VoiceAIServer(max_requests=None) as server, client_of(server, rate_limit=limiter_of(2)) as client:
        server.fail(MINUTE)
        started = now()

        calls = (client.get_call_log(one, server.location_id, deadline=15.0) for one in server.call_ids(6))
        done = await asyncio.gather(*calls, return_exceptions=True)

        refused = [error for error in done if isinstance(error, ghl.RateLimitError)]
        assert now() - started < 0.1
        assert sorted(error.attempts for error in refused) == [0, 0, 0, 0, 1]
        assert server.seen.requests == 2


@virtual_time
async def test_guarantee_10_a_retry_after_that_fits_the_deadline_is_sat_out() -> None:
    async with VoiceAIServer(max_requests=None) as server, client_of(server, rate_limit=limiter_of()) as client:
        call_id = server.call_ids(1)[0]
        server.fail(MINUTE)
        started = now()

        await client.get_call_log(call_id, server.location_id, deadline=61.0)

        assert 60 <= now() - started < 61


@virtual_time
async def test_guarantee_27_a_backoff_that_does_not_fit_ends_at_the_deadline() -> None:
    policy = RetryPolicy(backoff_base=50.0, backoff_cap=50.0)
    async with VoiceAIServer(max_requests=None) as server, client_of(server, retry=policy) as client:
        server.fail(Status(503), times=5)
        started = now()

        with pytest.raises(ghl.DeadlineExceededError, match="the last failure was 503"):
            await client.get_call_log(server.call_ids(1)[0], server.location_id, deadline=0.001)

        assert now() - started < 0.1


@virtual_time
async def test_guarantee_10_a_call_with_time_survives_a_retry_after_of_a_day() -> None:
    policy = RetryPolicy(max_elapsed=1e6)
    async with (
        VoiceAIServer(max_requests=None) as server,
        client_of(server, rate_limit=limiter_of(), retry=policy) as client,
    ):
        server.fail(Status(429, headers={"Retry-After": "86400"}))
        started = now()

        ids = server.call_ids(10)
        calls = await asyncio.gather(*(client.get_call_log(one, server.location_id) for one in ids))

        assert [call.id for call in calls] == ids
        assert 3600 <= now() - started < 3610


@pytest.mark.parametrize(
    ("fault", "longest"),
    [
        (Status(429, headers={"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}), 75.0),
        (Status(429, headers={"Retry-After": "999999999"}), 75.0),
        (WithHeaders({"X-RateLimit-Interval-Milliseconds": "86400000"}), 32.0),
        (WithHeaders({"X-RateLimit-Max": "1", "X-RateLimit-Interval-Milliseconds": "3600000"}), 350.0),
        (WithHeaders({"X-RateLimit-Daily-Remaining": "1"}), 62.0),
    ],
)
def test_guarantee_10_a_bulk_goes_on_after_absurd_headers(fault: Fault, longest: float) -> None:
    @virtual_time
    async def scenario() -> None:
        async with (
            VoiceAIServer(max_requests=None) as server,
            client_of(server, rate_limit=limiter_of(5)) as client,
        ):
            server.fail(fault)
            started = now()

            ids = server.call_ids(20)
            results = [result async for result in client.fetch_call_logs(ids, server.location_id)]

            assert sorted(result.unwrap().id for result in results) == sorted(ids)
            assert now() - started < longest

    scenario()
