from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import jump, now, virtual_time

from ghl_voice_async import InvalidInputError, RateLimit, RateLimiter, RateLimitError, WindowRateLimiter
from ghl_voice_async.rate_limit import Unlimited


async def request(limiter: WindowRateLimiter, latency: float, sent: list[float], location: str = "A") -> None:
    permit = await limiter.acquire(location)
    sent.append(now())
    await asyncio.sleep(latency)
    permit.release(status=200, headers={})


def most_in_any_window(times: list[float], interval: float) -> int:
    return max(sum(start <= time < start + interval for time in times) for start in times)


@virtual_time
async def test_the_limit_is_spent_at_once_and_then_waited_for() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=3, interval=10.0))
    sent: list[float] = []
    await asyncio.gather(*(request(limiter, 0.5, sent) for _ in range(7)))
    assert [round(time - sent[0], 3) for time in sent] == [0, 0, 0, 10.5, 10.5, 10.5, 21.0]


@settings(max_examples=60)
@given(
    st.integers(1, 5),
    st.floats(0.1, 20),
    st.lists(st.tuples(st.floats(0, 5), st.floats(0, 3), st.booleans()), min_size=1, max_size=40),
)
def test_promise_30_never_more_than_the_limit_arrives_in_any_window(
    limit: int, interval: float, calls: list[tuple[float, float, bool]]
) -> None:
    @virtual_time
    async def scenario() -> None:
        limiter = WindowRateLimiter(RateLimit(max_requests=limit, interval=interval))
        arrived: list[float] = []

        async def call(begin: float, latency: float) -> None:
            await asyncio.sleep(begin)
            permit = await limiter.acquire("A")
            try:
                await asyncio.sleep(latency)
                arrived.append(now())
                await asyncio.sleep(latency / 2)
            finally:
                permit.release(status=200, headers={})

        tasks = []
        for begin, latency, cancelled in calls:
            task = asyncio.create_task(call(begin, latency))
            tasks.append(task)
            if cancelled:
                asyncio.get_running_loop().call_later(begin + latency / 2, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        if arrived:
            # The server's clock and ours differ by rounding, so a window is taken a hair shorter.
            assert most_in_any_window(arrived, interval * (1 - 1e-9)) <= limit

    scenario()


@virtual_time
async def test_those_who_asked_first_go_first() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=1, interval=1.0))
    order: list[int] = []

    async def call(number: int) -> None:
        permit = await limiter.acquire("A")
        order.append(number)
        permit.release(status=200, headers={})

    await asyncio.gather(*(call(number) for number in range(20)))
    assert order == list(range(20))


@virtual_time
async def test_a_newcomer_does_not_take_the_slot_that_has_just_come_free_for_another() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=1, interval=10.0))
    order: list[str] = []

    async def call(name: str) -> None:
        permit = await limiter.acquire("A")
        order.append(name)
        permit.release(status=200, headers={})

    async def newcomer() -> None:
        await asyncio.sleep(5)
        jump(20)  # the slot is free, and the timer that gives it to the first has not run
        await call("newcomer")

    await call("before")
    await asyncio.gather(call("first"), newcomer())
    assert order == ["before", "first", "newcomer"]


@virtual_time
async def test_locations_do_not_wait_for_each_other() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=1, interval=100.0))
    started = now()
    for location in ("A", "B", "C"):
        await request(limiter, 0.0, [], location)
    assert now() - started < 1


@virtual_time
async def test_promise_25_a_cancelled_waiter_leaves_its_permit_to_the_next() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=1, interval=10.0))
    sent: list[float] = []
    await request(limiter, 0.0, sent)
    impatient = asyncio.create_task(request(limiter, 0.0, sent))
    patient = asyncio.create_task(request(limiter, 0.0, sent))
    await asyncio.sleep(1)
    impatient.cancel()
    await patient
    assert impatient.cancelled()
    assert round(sent[1] - sent[0], 3) == 10.0


@virtual_time
async def test_promise_25_a_permit_that_races_with_a_cancellation_is_whole() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=1, interval=10.0))
    sent: list[float] = []
    permit = await limiter.acquire("A")
    racing = asyncio.create_task(request(limiter, 0.0, sent))
    patient = asyncio.create_task(request(limiter, 0.0, sent))
    await asyncio.sleep(0)
    permit.release(status=200, headers={})
    # The permit comes by a timer ten seconds from now; the cancellation in the very same turn of the loop.
    asyncio.get_running_loop().call_later(10.0, racing.cancel)
    await patient
    assert racing.cancelled()
    assert len(sent) == 1


@virtual_time
async def test_after_a_thousand_cancellations_the_capacity_is_whole() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=5, interval=1.0))
    permits = await asyncio.gather(*(limiter.acquire("A") for _ in range(5)))
    waiting = [asyncio.create_task(limiter.acquire("A")) for _ in range(1000)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    for permit in permits:
        permit.release(status=200, headers={})
    sent: list[float] = []
    await asyncio.gather(*(request(limiter, 0.0, sent) for _ in range(6)))
    assert [round(time - sent[0], 3) for time in sent] == [0, 0, 0, 0, 0, 1]


@virtual_time
async def test_promise_3_a_429_pauses_the_whole_location_and_no_other() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=100, interval=10.0))
    started = now()
    permit = await limiter.acquire("A")
    permit.release(status=429, headers={})
    sent: list[float] = []
    await asyncio.gather(*(request(limiter, 0.0, sent) for _ in range(3)), request(limiter, 0.0, sent, "B"))
    assert [round(time - started, 3) for time in sent] == [0, 10, 10, 10]


@virtual_time
async def test_a_pause_lasts_for_the_retry_after_where_there_is_one() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=100, interval=10.0))
    started = now()
    permit = await limiter.acquire("A")
    permit.release(status=429, headers={"Retry-After": "2.5"})
    await limiter.acquire("A")
    assert round(now() - started, 3) == 2.5


@virtual_time
async def test_promise_29_a_pause_ends_on_time_though_nobody_waits_through_it() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=100, interval=10.0))
    permit = await limiter.acquire("A")
    permit.release(status=429, headers={})
    waiting = asyncio.create_task(limiter.acquire("A"))
    await asyncio.sleep(1)
    waiting.cancel()
    await asyncio.sleep(9)
    before = now()
    await limiter.acquire("A")
    assert now() == before


@virtual_time
async def test_promise_10_a_pause_that_is_too_long_for_a_waiter_ends_its_wait_and_no_other() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=1, interval=10.0))
    permit = await limiter.acquire("A")
    impatient = [asyncio.create_task(limiter.acquire("A", max_pause=60.0)) for _ in range(3)]
    patient = asyncio.create_task(limiter.acquire("A", max_pause=5000.0))
    await asyncio.sleep(0)
    started = now()
    permit.release(status=429, headers={"Retry-After": "3600"})
    for task in impatient:
        with pytest.raises(RateLimitError, match="asked this location to wait 3600 s") as caught:
            await task
        assert caught.value.retry_after == 3600
    with pytest.raises(RateLimitError):
        await limiter.acquire("A", max_pause=3599.0)
    assert now() == started
    (await patient).cancel()
    assert now() - started == 3600
    (await limiter.acquire("A", max_pause=0.0)).cancel()


@virtual_time
async def test_promise_10_waiters_cancelled_in_the_turn_of_the_pause_are_cancelled() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=1, interval=10.0))
    permit = await limiter.acquire("A")
    before, after = (asyncio.create_task(limiter.acquire("A", max_pause=60.0)) for _ in range(2))
    await asyncio.sleep(0)
    before.cancel()
    permit.release(status=429, headers={"Retry-After": "3600"})
    after.cancel()
    await asyncio.wait([before, after])
    assert before.cancelled()
    assert after.cancelled()
    await limiter.acquire("A")
    one_too_many = asyncio.create_task(limiter.acquire("A"))
    await asyncio.sleep(100)
    assert not one_too_many.done()
    one_too_many.cancel()


@virtual_time
async def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=10, interval=10.0))
    first, second = await limiter.acquire("A"), await limiter.acquire("A")
    started = now()
    first.release(status=429, headers={"Retry-After": "100"})
    second.release(status=429, headers={"Retry-After": "20"})
    with pytest.raises(RateLimitError):
        await limiter.acquire("A", max_pause=50.0)
    await limiter.acquire("A", max_pause=200.0)
    assert now() - started == 100


LIMIT_2 = {"X-RateLimit-Max": "2"}


@virtual_time
async def test_promise_12_a_lowered_limit_is_in_force_before_the_next_send() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=5, interval=10.0))
    permits = [await limiter.acquire("A") for _ in range(4)]
    started = now()
    permits[0].release(status=200, headers=LIMIT_2)
    late = asyncio.create_task(limiter.acquire("A"))
    await asyncio.sleep(5)
    permits[1].release(status=200, headers=LIMIT_2)
    permits[2].release(status=200, headers=LIMIT_2)
    await late
    assert now() - started == 15
    permits[3].cancel()


@virtual_time
async def test_promise_12_a_longer_interval_holds_the_slots_that_are_used_already() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=2, interval=10.0))
    first, second = await limiter.acquire("A"), await limiter.acquire("A")
    first.release(status=200, headers={})
    started = now()
    await asyncio.sleep(1)
    second.release(status=200, headers={"X-RateLimit-Interval-Milliseconds": "30000"})
    await limiter.acquire("A")
    assert now() - started == 30
    await limiter.acquire("A")
    assert now() - started == 31


@virtual_time
async def test_promise_12_the_newest_sent_request_has_the_last_word() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=5, interval=10.0))
    older, newer = await limiter.acquire("A"), await limiter.acquire("A")
    newer.release(status=200, headers={"X-RateLimit-Max": "5"})
    older.release(status=200, headers={"X-RateLimit-Max": "1"})
    started = now()
    for _ in range(3):
        await limiter.acquire("A")
    assert now() == started


@virtual_time
async def test_promise_12_the_server_cannot_raise_what_the_caller_configured() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=2, interval=10.0))
    first, second = await limiter.acquire("A"), await limiter.acquire("A")
    headers = {"X-RateLimit-Max": "100", "X-RateLimit-Interval-Milliseconds": "1"}
    started = now()
    first.release(status=200, headers=headers)
    second.release(status=200, headers=headers)
    await limiter.acquire("A")
    assert now() - started == 10


@virtual_time
async def test_a_permit_given_back_unused_is_free_for_the_next_at_once() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=1, interval=10.0))
    permit = await limiter.acquire("A")
    waiting = asyncio.create_task(limiter.acquire("A"))
    await asyncio.sleep(0)
    started = now()
    permit.cancel()
    await waiting
    assert now() == started


def test_the_defaults_are_the_published_limits() -> None:
    assert RateLimit() == RateLimit(max_requests=100, interval=10.0, daily=200_000)
    assert repr(WindowRateLimiter(RateLimit())) == (
        "WindowRateLimiter(RateLimit(max_requests=100, interval=10.0, daily=200000))"
    )


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"max_requests": 0}, "max_requests must be at least 1"),
        ({"max_requests": 1.5}, "max_requests must be a whole number"),
        ({"interval": 0}, "interval must be a finite number of seconds above 0"),
        ({"interval": float("nan")}, "interval must be a finite"),
        ({"daily": -1}, "daily must be at least 1"),
    ],
)
def test_promise_24_a_limit_that_cannot_be_right_is_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        RateLimit(**settings)


async def test_no_limit_is_a_limiter_too() -> None:
    limiter = Unlimited()
    assert isinstance(limiter, RateLimiter)
    permit = await limiter.acquire("A", max_pause=0.0)
    permit.release(status=429, headers={})
    permit.cancel()
