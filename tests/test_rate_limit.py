from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast, get_args
from unittest.mock import patch

import pytest
from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st
from traffic import Judge, keep_busy, most_in_any_window, rate
from traffic import request as sending
from virtual_time import jump, now, virtual_time, without_debugging

from ghl_voice_async import (
    ClientClosedError,
    DailyLimitError,
    InvalidInputError,
    Permit,
    RateLimit,
    RateLimiter,
    RateLimitError,
    RateLimitState,
    WindowRateLimiter,
)
from ghl_voice_async.rate_limit import Patience, Unlimited
from ghl_voice_async.testing.window import FixedWindow, LocationLimits, SlidingWindow
from ghl_voice_async.window import Slot, Window


async def request(limiter: WindowRateLimiter, latency: float, sent: list[float], location: str = "A") -> None:
    permit = await limiter.acquire(location)
    sent.append(now())
    await asyncio.sleep(latency)
    permit.release(status=200, headers={})


@virtual_time
async def test_the_limit_is_spent_at_once_and_then_waited_for() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=3, interval=10.0))
    sent: list[float] = []
    await asyncio.gather(*(request(limiter, 0.5, sent) for _ in range(7)))
    assert [round(time - sent[0], 3) for time in sent] == [0, 0, 0, 10.5, 10.5, 10.5, 21.0]


Fate = Literal["answered", "unanswered", "cancelled", "unsent"]


@define
class Plan:
    """A request to come: when it is asked for, how long each way takes, and what becomes of it."""

    begin: float
    there: float
    back: float
    fate: Fate
    leaps: float = 0.0


plans = st.lists(
    st.builds(
        Plan,
        begin=st.floats(0, 60),
        there=st.floats(0, 5),
        back=st.floats(0, 5),
        fate=st.sampled_from(get_args(Fate)),
        leaps=st.sampled_from([0.0] * 9 + [3600.0]),
    ),
    max_size=60,
)


@define
class Sent:
    """A request that arrived, and the permit that it had."""

    permit: Permit
    arrived: float


async def carry_out(plan: Plan, limiter: WindowRateLimiter, judge: Judge, sent: list[Sent]) -> None:
    """Send as planned, and note in `sent` what arrived."""
    await asyncio.sleep(plan.begin)
    if plan.leaps:
        jump(plan.leaps)
    permit = await limiter.acquire("A")
    if plan.fate == "unsent":
        await asyncio.sleep(plan.there)
        permit.cancel()
        return
    try:
        await asyncio.sleep(plan.there)
        status, headers = judge.answer()
        sent.append(Sent(permit, now()))
        if plan.fate == "cancelled":
            asyncio.get_running_loop().call_later(plan.back / 2, current_task().cancel)
        await asyncio.sleep(plan.back)
    except asyncio.CancelledError:
        permit.release(status=None, headers={})
    else:
        answered = plan.fate == "answered"
        permit.release(status=status if answered else None, headers=headers if answered else {})


def slot_of(permit: Permit) -> Slot:
    assert isinstance(permit, Slot)  # the default limiter's
    return permit


def current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


@settings(max_examples=150)
@given(
    plans,
    st.integers(1, 6),
    st.floats(0.5, 20) | st.integers(500, 20_000).map(lambda milliseconds: milliseconds / 1000),
    st.none() | st.floats(0, 20),
    st.booleans(),
)
def test_promise_30_a_sole_consumer_is_never_refused(
    plans: list[Plan], limit: int, interval: float, start: float | None, says_limits: bool
) -> None:
    """Whatever the latencies, whatever becomes of the requests, and when the clock leaps (promise 32)."""

    @virtual_time
    async def scenario() -> None:
        without_debugging()
        limiter = WindowRateLimiter(RateLimit(max_requests=limit, interval=interval))
        window = SlidingWindow(limit, interval) if start is None else FixedWindow(limit, interval, now() + start)
        judge = Judge(window, says_limits=says_limits)
        await asyncio.gather(*(carry_out(plan, limiter, judge, []) for plan in plans))
        assert judge.refused == []
        assert most_in_any_window(judge.admitted, interval) <= limit
        # Nor is anything lost: all that was waited for came, and all that was spent comes back.
        assert len(judge.admitted) == sum(plan.fate != "unsent" for plan in plans)
        state = limiter.rate_limits.get("A")
        assert state is None or (state.waiting == 0 and state.in_use <= limit)

    scenario()


@settings(max_examples=150)
@given(
    plans,
    st.lists(st.tuples(st.floats(0, 100), st.integers(1, 6)), max_size=4),
    st.lists(st.tuples(st.floats(0, 100), st.sampled_from([1000, 5000, 10_000, 20_000])), max_size=4),
)
def test_promise_12_no_window_holds_more_than_the_limit_that_its_last_request_knew(
    plans: list[Plan], limits: list[tuple[float, int]], intervals: list[tuple[float, int]]
) -> None:
    @virtual_time
    async def scenario() -> None:
        without_debugging()
        limiter = WindowRateLimiter(RateLimit(max_requests=4, interval=10.0))
        judge = Judge(SlidingWindow(10**6, 10.0))  # which says what it is told to, and refuses nothing
        started = now()

        def headers(_: LocationLimits, moment: float) -> dict[str, str]:
            limit = max((change for change in limits if change[0] <= moment - started), default=(0, 4))[1]
            interval = max((change for change in intervals if change[0] <= moment - started), default=(0, 10_000))[1]
            return {
                "X-RateLimit-Max": str(limit),
                "X-RateLimit-Remaining": str(limit),
                "X-RateLimit-Interval-Milliseconds": str(interval),
            }

        taken: list[Slot] = []  # in the order in which they were
        known: list[int] = []  # the limit that was in force for each
        take = Window.take

        def take_and_note(window: Window[Slot], moment: float) -> Slot | None:
            limit = window.limit(moment)
            slot = cast("Slot | None", take(window, moment))
            if slot is not None:
                taken.append(slot)
                known.append(limit)
            return slot

        sent: list[Sent] = []
        with patch.object(LocationLimits, "headers", headers), patch.object(Window, "take", take_and_note):
            await asyncio.gather(*(carry_out(plan, limiter, judge, sent) for plan in plans))
        for last in sent:
            inside = [other.permit for other in sent if last.arrived - 10.0 < other.arrived <= last.arrived]
            assert len(inside) <= 4
            if not intervals:
                assert len(inside) <= known[max(taken.index(slot_of(permit)) for permit in inside)]

    scenario()


@pytest.mark.parametrize("is_fixed", [False, True])
@pytest.mark.parametrize("latency", [0.05, 0.5, 3.0])
def test_promise_30_the_limit_is_used_in_full(is_fixed: bool, latency: float) -> None:
    @virtual_time
    async def scenario() -> None:
        without_debugging()
        dice = random.Random(1)
        limiter = WindowRateLimiter(RateLimit(max_requests=100, interval=10.0))
        judge = Judge(FixedWindow(100, 10.0, 3.3) if is_fixed else SlidingWindow(100, 10.0))
        latencies: list[float] = []

        def jittered() -> float:
            latencies.append(latency * dice.uniform(0.2, 1.8))
            return latencies[-1]

        await keep_busy(limiter, judge, jittered, until=now() + 200.0)
        assert judge.refused == []
        # From the first request to the one that uses the last slot again for the tenth time.
        taken = judge.admitted[1000] - judge.admitted[0]
        best = 100 / (10.0 + sum(latencies) / len(latencies))
        assert 1000 / taken >= 0.98 * best

    scenario()


@virtual_time
async def test_promise_31_fifty_locations_go_at_full_speed_each() -> None:
    without_debugging()
    limiter = WindowRateLimiter(RateLimit(max_requests=20, interval=10.0))
    sent: dict[str, list[float]] = {f"L{number}": [] for number in range(50)}
    await asyncio.gather(*(request(limiter, 0.5, sent[location], location) for location in sent for _ in range(60)))
    for times in sent.values():
        assert [round(time - times[0], 3) for time in times] == [0.0] * 20 + [10.5] * 20 + [21.0] * 20


@pytest.mark.parametrize("says_daily", [False, True])
def test_promise_31_ten_thousand_idle_locations_are_forgotten(says_daily: bool) -> None:
    @virtual_time
    async def scenario() -> None:
        without_debugging()
        limiter = WindowRateLimiter(RateLimit())
        headers = {"X-RateLimit-Daily-Remaining": "199999", "X-RateLimit-Limit-Daily": "200000"} if says_daily else {}
        for number in range(10_000):
            permit = await limiter.acquire(f"L{number}")
            permit.release(status=200, headers=headers)
        assert len(limiter.rate_limits) == 10_000
        await asyncio.sleep(20.1)
        assert limiter.rate_limits == {}
        # Where the server does not count the day we have to.
        assert len(limiter._days) == (0 if says_daily else 10_000)
        await asyncio.sleep(25 * 3600)
        (await limiter.acquire("L0")).release(status=200, headers={})
        await asyncio.sleep(30)
        assert list(limiter._days) == ["L0"]

    scenario()


@virtual_time
async def test_nothing_is_kept_of_a_location_beside_one_whose_day_is() -> None:
    limiter = WindowRateLimiter(RateLimit())
    (await limiter.acquire("A")).release(status=200, headers={})
    (await limiter.acquire("B")).release(status=200, headers=day(199_999))
    await asyncio.sleep(60)
    assert list(limiter._days) == ["A"]


@virtual_time
async def test_a_forgotten_location_knows_its_day() -> None:
    limiter = WindowRateLimiter(RateLimit(daily=2))
    for _ in range(2):
        (await limiter.acquire("A")).release(status=200, headers={})
        await asyncio.sleep(60)
        assert limiter.rate_limits == {}
    with pytest.raises(DailyLimitError):
        await limiter.acquire("A")
    await asyncio.sleep(60)
    assert limiter.rate_limits == {}


@virtual_time
async def test_a_location_with_a_request_under_way_is_not_forgotten() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=1))
    permit = await limiter.acquire("A")
    await asyncio.sleep(1000)
    waiting = asyncio.create_task(limiter.acquire("A"))
    await asyncio.sleep(1000)
    assert not waiting.done()
    permit.release(status=200, headers={})
    (await waiting).cancel()


@virtual_time
async def test_promise_32_the_wall_clock_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=1, interval=10.0))
    sent: list[float] = []
    tasks = [asyncio.create_task(request(limiter, 0.0, sent)) for _ in range(3)]
    for seconds in (3600.0, -3600.0):
        await asyncio.sleep(5)
        real = time.time
        monkeypatch.setattr(time, "time", lambda real=real, seconds=seconds: real() + seconds)
    await asyncio.gather(*tasks)
    assert [round(moment - sent[0], 3) for moment in sent] == [0, 10, 20]


@virtual_time
async def test_promise_32_a_machine_that_slept_sends_no_more_than_the_limit_at_once() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=5, interval=10.0))
    sent: list[float] = []
    tasks = [asyncio.create_task(request(limiter, 0.5, sent)) for _ in range(20)]
    await asyncio.sleep(2)
    jump(3600)
    await asyncio.gather(*tasks)
    assert [round(moment - sent[0], 3) for moment in sent] == [0] * 5 + [3602] * 5 + [3612.5] * 5 + [3623] * 5


@pytest.mark.parametrize("kind", ["sliding", "fixed"])
def test_promise_34_half_of_the_budget_taken_by_others_is_left_to_them_within_three_windows(kind: str) -> None:
    @virtual_time
    async def scenario() -> None:
        without_debugging()
        dice = random.Random(1)
        started = now()
        limiter = WindowRateLimiter(RateLimit(max_requests=100, interval=10.0))
        window = SlidingWindow(100, 10.0) if kind == "sliding" else FixedWindow(100, 10.0, started + 3.0)
        ours, theirs = Judge(window), Judge(window)

        async def others() -> None:
            await asyncio.sleep(50.0)
            while now() < started + 200.0:
                theirs.answer()
                await asyncio.sleep(0.2)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(others())
            tasks.create_task(keep_busy(limiter, ours, lambda: dice.uniform(0.02, 0.18), until=started + 200.0))
        assert rate(ours.admitted, started, started + 50.0) == 10.0
        assert ours.refused[0] > started + 50.0
        settled, end = started + 80.0, started + 200.0
        assert 4.8 <= rate(ours.admitted, settled, end) <= 6.0
        assert rate(ours.refused, settled, end) <= 0.1
        assert rate(theirs.admitted, settled, end) >= 4.0

    scenario()


@virtual_time
async def test_promise_34_what_others_took_is_ours_again_two_windows_after_they_left() -> None:
    without_debugging()
    started = now()
    limiter = WindowRateLimiter(RateLimit(max_requests=10, interval=10.0))
    judge = Judge(SlidingWindow(10, 10.0))
    for _ in range(6):
        judge.limits.admit(now())
    assert await sending(limiter, judge, 0.0, 0.0) == 200
    assert limiter.rate_limits["A"].limit == 4
    await keep_busy(limiter, judge, lambda: 0.1, until=started + 60.0, at_once=20)
    assert judge.refused == []
    assert rate(judge.admitted, started + 30.0, started + 60.0) > 0.9


@virtual_time
async def test_promise_35_a_single_call_waits_for_one_permit_of_a_bulk() -> None:
    """A bulk that asks for one permit at a time, as `fetch_call_logs` is to, with 10,000 requests to send."""
    without_debugging()
    limiter = WindowRateLimiter(RateLimit(max_requests=100, interval=10.0))
    given: list[float] = []

    async def send(permit: Permit) -> None:
        await asyncio.sleep(0.1)
        permit.release(status=200, headers={})

    async with asyncio.TaskGroup() as tasks:

        async def bulk() -> None:
            for _ in range(10_000):
                permit = await limiter.acquire("A")
                given.append(now())
                tasks.create_task(send(permit))

        feeding = tasks.create_task(bulk())
        dice = random.Random(1)
        for _ in range(50):
            await asyncio.sleep(dice.uniform(0, 18))
            before = len(given)
            permit = await limiter.acquire("A")
            assert now() == given[before]  # when the bulk had its next one
            tasks.create_task(send(permit))
        await feeding
    assert len(given) == 10_000


@virtual_time
async def test_the_calls_that_wait_for_a_location_have_one_timer_between_them() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=2, interval=10.0))
    sent: list[float] = []
    loop = asyncio.get_running_loop()
    with patch.object(loop, "call_at", wraps=loop.call_at) as set_timer:
        tasks = []
        for _ in range(4):
            tasks += [asyncio.create_task(request(limiter, 0.0, sent)) for _ in range(100)]
            await asyncio.sleep(10.1)
            scheduled: list[asyncio.TimerHandle] = vars(loop)["_scheduled"]
            assert sum(not timer.cancelled() for timer in scheduled) == 1
    # One for each window, and the four of this test, besides some that came too early by rounding.
    assert set_timer.call_count <= 20
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


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
async def test_after_ten_thousand_random_cancellations_the_capacity_is_exact() -> None:
    without_debugging()
    dice = random.Random(1)
    limiter = WindowRateLimiter(RateLimit(max_requests=50, interval=1.0))
    judge = Judge(SlidingWindow(50, 1.0))
    ended: Counter[str] = Counter()

    async def call() -> None:
        """Begin, wait for a permit, and give it back unsent, answered or not: cancelled at any of these."""
        permit = None
        stage = "waiting"
        try:
            permit = await limiter.acquire("A")
            stage = "unsent"
            await asyncio.sleep(0.01)
            stage = "sent"
            judge.answer()
            await asyncio.sleep(0.1)
            stage = "answered"
        finally:
            ended[stage] += 1
            if permit is not None:
                if stage == "unsent":
                    permit.cancel()
                else:
                    permit.release(status=200 if stage == "answered" else None, headers={})

    for _ in range(100):
        tasks = [asyncio.create_task(call()) for _ in range(130)]
        loop = asyncio.get_running_loop()
        for task in dice.sample(tasks, 100):
            loop.call_at(
                now() + dice.choice([0.0, 0.005, 0.05, 1.0, 1.115, 1.15]) + dice.choice([0.0, 0.001]), task.cancel
            )
        await asyncio.wait(tasks)
    assert sum(ended.values()) == 13_000
    assert 5_000 < ended.total() - ended["answered"] <= 10_000
    assert min(ended[stage] for stage in ("waiting", "unsent", "sent")) > 500, ended
    assert judge.refused == []
    await asyncio.sleep(1.1)
    assert limiter.rate_limits["A"].in_use == 0
    sent: list[float] = []
    await asyncio.gather(*(request(limiter, 0.0, sent) for _ in range(51)))
    assert [round(moment - sent[0], 3) for moment in sent] == [0] * 50 + [1]


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
    first, before, after = (asyncio.create_task(limiter.acquire("A", max_pause=60.0)) for _ in range(3))
    await asyncio.sleep(0)
    before.cancel()
    permit.release(status=429, headers={"Retry-After": "3600"})
    after.cancel()
    await asyncio.wait([first, before, after])
    assert isinstance(first.exception(), RateLimitError)
    assert before.cancelled()
    assert after.cancelled()
    await limiter.acquire("A")
    one_too_many = asyncio.create_task(limiter.acquire("A"))
    await asyncio.sleep(100)
    assert not one_too_many.done()
    one_too_many.cancel()


@virtual_time
async def test_promise_10_patient_calls_are_not_looked_through_at_every_429() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=50, interval=10.0))
    permits = [await limiter.acquire("A") for _ in range(50)]
    queue = limiter._queues["A"]
    impatient = asyncio.create_task(limiter.acquire("A", max_pause=20.0))
    patient = [asyncio.create_task(limiter.acquire("A", max_pause=1000.0)) for _ in range(3)]
    await asyncio.sleep(0)
    with patch.object(queue, "_dismiss_the_impatient", wraps=queue._dismiss_the_impatient) as dismiss:
        for permit in permits:
            jump(0.001)
            permit.release(status=429, headers={"Retry-After": "30"})
        assert dismiss.call_count == 1
    await asyncio.wait([impatient])
    assert isinstance(impatient.exception(), RateLimitError)
    started = now()
    (await patient[0]).cancel()
    assert round(now() - started) == 30
    for task in patient[1:]:
        (await task).cancel()


@virtual_time
async def test_promise_10_a_pause_that_just_fits_is_sat_out() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=1))
    permit = await limiter.acquire("A")
    waiting = asyncio.create_task(limiter.acquire("A", max_pause=30.0))
    await asyncio.sleep(0)
    permit.release(status=429, headers={"Retry-After": "30"})
    (await waiting).cancel()
    assert round(now()) == 1030


@virtual_time
async def test_guarantee_10_a_deadline_counts_the_time_spent_waiting() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=2, interval=100.0))
    permits = [await limiter.acquire("A") for _ in range(2)]
    started = now()
    with_deadline, patient = (
        asyncio.create_task(limiter.acquire("A", max_pause=longest))
        for longest in (Patience(30.0, started + 30.0), 30.0)
    )
    await asyncio.sleep(20.0)

    permits[0].release(status=429, headers={"Retry-After": "10"})
    await asyncio.sleep(0)
    fits = not with_deadline.done()
    permits[1].release(status=429, headers={"Retry-After": "11"})

    with pytest.raises(RateLimitError) as caught:
        await with_deadline
    assert fits
    assert caught.value.retry_after == 11
    assert now() - started == 20
    assert not patient.done()
    patient.cancel()


@virtual_time
async def test_promise_10_a_pause_that_is_over_is_too_long_for_nobody() -> None:
    limiter = WindowRateLimiter(RateLimit())
    (await limiter.acquire("A")).release(status=429, headers={"Retry-After": "2"})
    await asyncio.sleep(3)
    (await limiter.acquire("A", max_pause=-1.0)).cancel()


@virtual_time
async def test_a_pause_of_thousands_of_years_can_be_seen() -> None:
    limiter = WindowRateLimiter(RateLimit(interval=1e12))
    (await limiter.acquire("A")).release(status=429, headers={})
    paused_until = limiter.rate_limits["A"].paused_until
    assert paused_until is not None
    assert paused_until > datetime.now(UTC) + timedelta(days=3000)


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
    assert now() - started == pytest.approx(15)
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
    assert now() - started == pytest.approx(30)
    await limiter.acquire("A")
    assert now() - started == pytest.approx(31)


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
    assert now() - started == pytest.approx(10)


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


@virtual_time
async def test_after_a_pause_the_waiting_calls_do_not_all_come_at_once() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=100, interval=10.0))
    (await limiter.acquire("A")).release(status=429, headers={})
    started = now()
    sent: list[float] = []
    await asyncio.gather(*(request(limiter, 1.0, sent) for _ in range(50)))
    assert [round(moment - started, 3) for moment in sent] == (
        [10] + [11] * 2 + [12] * 4 + [13] * 8 + [14] * 16 + [15] * 19
    )


def day(remaining: int) -> dict[str, str]:
    return {"X-RateLimit-Limit-Daily": "200000", "X-RateLimit-Daily-Remaining": str(remaining)}


@virtual_time
async def test_promise_33_nothing_more_is_sent_once_nothing_remains_of_the_day() -> None:
    limiter = WindowRateLimiter(RateLimit())
    (await limiter.acquire("A")).release(status=200, headers=day(2))
    permits = [await limiter.acquire("A") for _ in range(2)]
    waiting = [asyncio.create_task(limiter.acquire("A")) for _ in range(3)]
    await asyncio.sleep(1)
    assert not any(task.done() for task in waiting)
    permits[0].release(status=200, headers=day(1))
    started = now()
    permits[1].release(status=200, headers=day(0))
    for task in waiting:
        with pytest.raises(DailyLimitError, match="may be tried in 900 s"):
            await task
    with pytest.raises(DailyLimitError) as caught:
        await limiter.acquire("A")
    assert (caught.value.status, caught.value.retry_after) == (429, None)
    assert now() == started
    (await limiter.acquire("B")).cancel()


@virtual_time
async def test_promise_33_a_day_that_is_used_up_counts_for_more_than_a_retry_after() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=1))
    permit = await limiter.acquire("A")
    waiting = [asyncio.create_task(limiter.acquire("A", max_pause=longest)) for longest in (60.0, 1e9)]
    await asyncio.sleep(0)
    permit.release(status=429, headers=day(0) | {"Retry-After": "7200"})
    for task in waiting:
        with pytest.raises(DailyLimitError):
            await task


async def permits_at_once(limiter: WindowRateLimiter, asked: int) -> int:
    """Count the permits that are given within a second to so many who ask for one."""
    tasks = [asyncio.create_task(limiter.acquire("A")) for _ in range(asked)]
    await asyncio.sleep(1)
    given = sum(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return given


@virtual_time
async def test_promise_33_the_end_of_the_day_is_not_forgotten_with_the_location() -> None:
    limiter = WindowRateLimiter(RateLimit())
    (await limiter.acquire("A")).release(status=200, headers=day(3))
    await asyncio.sleep(3600)
    assert limiter.rate_limits == {}
    assert await permits_at_once(limiter, asked=50) == 3


@virtual_time
async def test_after_a_long_pause_the_waiting_calls_do_not_all_come_at_once_either() -> None:
    limiter = WindowRateLimiter(RateLimit())
    for permit in [await limiter.acquire("A") for _ in range(100)]:
        permit.release(status=429, headers={"Retry-After": "600"})
    await asyncio.sleep(600.1)
    assert await permits_at_once(limiter, asked=100) == 1


@virtual_time
async def test_promise_33_a_look_each_quarter_of_an_hour_finds_the_new_day() -> None:
    limiter = WindowRateLimiter(RateLimit())
    (await limiter.acquire("A")).release(status=200, headers=day(0))
    looks = []
    for minute in range(120):
        try:
            permit = await limiter.acquire("A")
        except DailyLimitError:
            pass
        else:
            looks.append(minute)
            permit.release(status=429 if minute < 60 else 200, headers=day(0 if minute < 60 else 199_999))
        await asyncio.sleep(60)
    assert looks == [15, 30, 45, *range(60, 120)]


@pytest.mark.parametrize("seed", range(10))
def test_promise_33_at_the_end_of_the_day_a_sole_consumer_is_not_refused_either(seed: int) -> None:
    @virtual_time
    async def scenario() -> None:
        dice = random.Random(seed)
        limiter, judge = WindowRateLimiter(RateLimit()), Judge(SlidingWindow(100, 10.0), daily=60)

        async def work() -> None:
            with suppress(DailyLimitError):
                for _ in range(20):
                    await sending(limiter, judge, dice.uniform(0.02, 0.1), dice.uniform(0.02, 0.1))

        await asyncio.gather(*(work() for _ in range(10)))
        assert (len(judge.admitted), len(judge.refused)) == (60, 0)

    scenario()


@virtual_time
async def test_promise_33_the_callers_own_limit_for_a_day_is_kept() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=2, daily=3))
    sent: list[float] = []
    results = await asyncio.gather(*(request(limiter, 0.0, sent) for _ in range(10)), return_exceptions=True)
    assert [isinstance(result, DailyLimitError) for result in results] == [False] * 3 + [True] * 7
    assert len(sent) == 3


@virtual_time
async def test_what_is_known_of_a_location_can_be_seen() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=3, interval=10.0))
    assert limiter.rate_limits == {}
    permits = [await limiter.acquire("A") for _ in range(3)]
    headers = {"X-RateLimit-Max": "2", "X-RateLimit-Remaining": "0", "X-RateLimit-Interval-Milliseconds": "20000"}
    permits[0].release(status=200, headers=headers | day(150_000))
    permits[1].release(status=429, headers={"Retry-After": "60"})
    waiting = asyncio.create_task(limiter.acquire("A"))
    await asyncio.sleep(0)
    state = limiter.rate_limits["A"]
    assert state.paused_until is not None
    assert timedelta(seconds=59) < state.paused_until - datetime.now(UTC) < timedelta(seconds=61)
    assert state == RateLimitState(
        limit=1,
        interval=20.0,
        in_use=3,
        waiting=1,
        remaining=0,
        paused_until=state.paused_until,
        daily_remaining=150_000,
    )
    waiting.cancel()
    await asyncio.wait([waiting])
    await asyncio.sleep(60)
    permits[2].cancel()
    assert limiter.rate_limits["A"] == RateLimitState(
        limit=1, interval=20.0, in_use=0, waiting=0, remaining=0, paused_until=None, daily_remaining=150_000
    )


def test_a_limiter_belongs_to_the_loop_that_used_it_first() -> None:
    limiter = WindowRateLimiter(RateLimit())

    async def use() -> None:
        (await limiter.acquire("A")).cancel()

    asyncio.run(use())
    with pytest.raises(ClientClosedError, match="belongs to another event loop; make one for each loop"):
        asyncio.run(use())


def test_a_limiter_takes_nothing_but_a_rate_limit() -> None:
    with pytest.raises(InvalidInputError, match="rate_limit must be a RateLimit, not int"):
        WindowRateLimiter(100)  # type: ignore[arg-type]


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


def test_guarantee_25_a_wait_for_a_permit_that_is_closed_loses_no_slot() -> None:
    """Also when the event loop was closed before it."""
    limiter = WindowRateLimiter(RateLimit(1, 10.0))
    coroutines = []

    async def begin_to_wait() -> None:
        permit = await limiter.acquire("A")
        for _ in range(3):
            coroutine = limiter.acquire("A")
            coroutine.send(None)
            coroutines.append(coroutine)
        permit.cancel()  # the first has its permit, and none has run since
        coroutines.pop().close()

    asyncio.run(begin_to_wait())
    for coroutine in coroutines:
        coroutine.close()

    queue = limiter._queues["A"]
    assert (queue.window.under_way, len(queue.waiting)) == (0, 0)
