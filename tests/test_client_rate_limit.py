"""What the client promises of the rate limit, over real sockets: promises 30 to 35."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import pytest
from virtual_time import now, virtual_time, without_debugging
from watched import QUICK, Counting, client_of

from ghl_voice_async import (
    CallEvent,
    DailyLimitError,
    RateLimit,
    ResponseEvent,
    RetryPolicy,
    VoiceAIClient,
    WindowRateLimiter,
)
from ghl_voice_async.testing import (
    CloseAfterAnswer,
    Latency,
    ResetBeforeAnswer,
    ResetWithinAnswer,
    Status,
    VoiceAIServer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghl_voice_async.testing import Fault

FAULTS: dict[Fault, float] = {
    Status(503): 0.1,
    ResetBeforeAnswer(): 0.05,
    ResetWithinAnswer(): 0.05,
    CloseAfterAnswer(): 0.05,
    Latency(0.7): 0.2,
    Latency(4.0): 0.05,
}


async def get_all(client: VoiceAIClient, server: VoiceAIServer, count: int, location: str | None = None) -> list[Any]:
    location = location or server.location_id
    calls = (client.get_call_log(call_id, location) for call_id in server.call_ids(count, location))
    return await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize("says_limits", [False, True])
@pytest.mark.parametrize(("window", "start"), [("sliding", 0.0), ("fixed", 0.0), ("fixed", 3.7), ("fixed", 9.9)])
def test_promise_30_a_sole_consumer_meets_no_429_whatever_goes_wrong(
    window: Literal["sliding", "fixed"], start: float, says_limits: bool
) -> None:
    @virtual_time
    async def scenario() -> None:
        without_debugging()
        limit = RateLimit(max_requests=20, interval=10.0)
        settings: dict[str, Any] = {"window": window, "window_start": start, "limit_headers": says_limits}
        async with (
            VoiceAIServer(max_requests=20, interval=10.0, faults=FAULTS, **settings) as server,
            client_of(server, rate_limit=limit, retry=RetryPolicy(max_attempts=20)) as client,
        ):
            found = await get_all(client, server, 150)
            assert [getattr(call, "id", call) for call in found] == server.call_ids(150)
        assert server.seen.refused == 0
        assert server.seen.requests > 170

    scenario()


@virtual_time
async def test_promise_30_clients_that_share_a_limiter_share_the_limit() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=10, interval=10.0))
    async with (
        VoiceAIServer(max_requests=10, interval=10.0) as server,
        client_of(server, rate_limit=limiter) as one,
        client_of(server, rate_limit=limiter) as other,
    ):
        started = now()
        await asyncio.gather(get_all(one, server, 15), get_all(other, server, 15))
        assert 20 < now() - started < 21
        assert server.seen.refused == 0
        assert one.rate_limits == other.rate_limits
        assert one.rate_limits[server.location_id].in_use == 10


@virtual_time
async def test_promise_31_locations_go_at_full_speed_each() -> None:
    without_debugging()
    async with (
        VoiceAIServer(max_requests=5, interval=10.0) as server,
        client_of(server, rate_limit=RateLimit(max_requests=5, interval=10.0)) as client,
    ):
        started = now()
        await asyncio.gather(*(get_all(client, server, 15, f"location-{number}") for number in range(10)))
        assert 20 < now() - started < 21
        assert server.seen.refused == 0
        assert len(client.rate_limits) == 10
        await asyncio.sleep(21)
        assert client.rate_limits == {}


@virtual_time
async def test_promise_33_a_day_that_is_used_up_is_an_error_at_once_until_it_has_turned() -> None:
    async with (
        VoiceAIServer(daily=5) as server,
        client_of(server, rate_limit=RateLimit()) as client,
    ):
        call_id = server.call_ids(1)[0]
        await client.get_call_log(call_id, server.location_id)
        started = now()
        found = await get_all(client, server, 20)
        used_up = [error for error in found if isinstance(error, DailyLimitError)]
        assert len(used_up) == 16
        assert {(error.status, error.attempts, error.location_id) for error in used_up} == {
            (429, 0, server.location_id)
        }
        assert now() - started < 0.1
        assert (server.seen.requests, server.seen.refused) == (5, 0)
        assert client.rate_limits[server.location_id].daily_remaining == 0

        await asyncio.sleep(900)
        attempts = []
        for _ in range(3):  # one of them looks
            with pytest.raises(DailyLimitError) as caught:
                await client.get_call_log(call_id, server.location_id)
            attempts.append(caught.value.attempts)
        assert attempts == [1, 0, 0]
        server.start_new_day()
        await asyncio.sleep(800)
        with pytest.raises(DailyLimitError, match="tried in 100 s"):
            await client.get_call_log(call_id, server.location_id)
        await asyncio.sleep(101)
        await client.get_call_log(call_id, server.location_id)
        assert [call.id for call in await get_all(client, server, 4)] == server.call_ids(4)


@virtual_time
async def test_promise_33_a_daily_limit_of_the_callers_own_is_kept() -> None:
    async with (
        VoiceAIServer() as server,
        client_of(server, rate_limit=RateLimit(daily=3)) as client,
    ):
        found = await get_all(client, server, 5)
        assert [type(error) for error in found[3:]] == [DailyLimitError] * 2
        assert server.seen.requests == 3
        await asyncio.sleep(25 * 3600)
        assert (await get_all(client, server, 1))[0].id == server.call_ids(1)[0]


@virtual_time
async def test_promise_34_half_of_a_budget_that_others_use_is_left_to_them() -> None:
    without_debugging()
    async with (
        VoiceAIServer(max_requests=20, interval=10.0, faults={Latency(1.1): 1.0}) as server,
        client_of(server, rate_limit=RateLimit(max_requests=20, interval=10.0), retry=RetryPolicy(99)) as ours,
        VoiceAIClient(server.token, base_url=server.url, rate_limit=None, retry=RetryPolicy(1)) as theirs,
    ):
        statuses: dict[str, Counter[int | None]] = {"ours": Counter(), "theirs": Counter()}

        def count(event: CallEvent, whose: str) -> None:
            if isinstance(event, ResponseEvent):
                statuses[whose][event.status] += 1

        ours.add_hook(lambda event: count(event, "ours"))
        theirs.add_hook(lambda event: count(event, "theirs"))
        busy = asyncio.create_task(get_all(ours, server, 1000))
        await asyncio.sleep(12)
        calls = []
        for second in range(150):
            if second == 30:
                for counter in statuses.values():
                    counter.clear()
            call = theirs.get_call_log(server.call_ids(1)[0], server.location_id)
            calls.append(asyncio.create_task(call))
            await asyncio.sleep(1)
        busy.cancel()
        await asyncio.gather(busy, *calls, return_exceptions=True)
    # One a second is half of the budget, and the other half is what a window and the latency leave of it.
    assert statuses["theirs"][200] >= 100
    assert 95 <= statuses["ours"][200] <= 130
    assert statuses["ours"][429] <= 6


@virtual_time
async def test_a_retry_after_of_the_server_is_obeyed_by_all_who_wait() -> None:
    async with (
        VoiceAIServer(max_requests=5, interval=10.0, retry_after=True) as server,
        client_of(server, rate_limit=RateLimit(max_requests=20, interval=10.0)) as client,
    ):
        found = await get_all(client, server, 20)
        assert [call.id for call in found] == server.call_ids(20)
        # The burst that nothing was known before, and after it the server's limit.
        assert server.seen.refused == 15


class Raising(Counting):
    def release(self, *, status: int | None, headers: Mapping[str, str]) -> None:
        super().release(status=status, headers=headers)
        raise LookupError("release")

    def cancel(self) -> None:
        super().cancel()
        raise LookupError("cancel")


@pytest.mark.parametrize("fault", [None, Status(404), Status(503), ResetBeforeAnswer()])
async def test_a_limiter_that_raises_on_a_release_fails_the_call_with_its_own_error(
    server: VoiceAIServer, fault: Fault | None
) -> None:
    limiter = Raising()
    if fault is not None:
        server.fail(fault)
    async with client_of(server, rate_limit=limiter) as client:
        with pytest.raises(LookupError, match="release"):
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
        assert (limiter.taken, limiter.released, limiter.cancelled) == (1, 1, 0)


async def test_a_limiter_that_raises_on_a_cancel_fails_the_call_with_its_own_error(server: VoiceAIServer) -> None:
    limiter = Raising()
    async with (
        client_of(server, rate_limit=limiter, max_connections=1, timeout=60.0) as client,
        asyncio.timeout(30),
    ):
        server.fail(Latency(0.2))
        first, second = (
            asyncio.create_task(client.get_call_log(server.call_ids(1)[0], server.location_id)) for _ in range(2)
        )
        await asyncio.sleep(0.05)  # the second waits for the connection's place, with its permit
        second.cancel()
        with pytest.raises(LookupError, match="cancel"):
            await second
        with pytest.raises(LookupError, match="release"):
            await first
        assert (limiter.taken, limiter.released, limiter.cancelled) == (2, 1, 1)


@pytest.mark.parametrize("rate_limit", [None, Counting()])
async def test_a_client_without_a_window_has_no_rate_limits_to_show(
    server: VoiceAIServer, rate_limit: Counting | None
) -> None:
    async with client_of(server, rate_limit=rate_limit, retry=QUICK) as client:
        await client.get_call_log(server.call_ids(1)[0], server.location_id)
        assert client.rate_limits == {}
