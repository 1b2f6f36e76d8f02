"""A response with absurd headers, seen once, does not stop a location for longer than an hour."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import now, virtual_time, without_debugging

from ghl_voice_async import DailyLimitError, RateLimit, RateLimitError, WindowRateLimiter

if TYPE_CHECKING:
    from collections.abc import Mapping

HOUR = 3600.0
W = 10.0
N = 5
PACE = 5.0
FULL = {"X-RateLimit-Max": str(N), "X-RateLimit-Remaining": str(N), "X-RateLimit-Interval-Milliseconds": "10000"}
FULL_DAY = {"X-RateLimit-Limit-Daily": "200000", "X-RateLimit-Daily-Remaining": "150000"}

HEADERS: dict[str, list[str]] = {
    "X-RateLimit-Max": ["1", "2", "5", "100", "999999999", "0", "-1"],
    "X-RateLimit-Remaining": ["0", "1", "5", "999999999"],
    "X-RateLimit-Interval-Milliseconds": ["1", "10000", "30000", "600000", "3600000", "3600001", "86400000", "x"],
    "X-RateLimit-Limit-Daily": ["1", "5", "200000", "0"],
    "X-RateLimit-Daily-Remaining": ["0", "1", "3", "5", "199999"],
    "Retry-After": ["1", "60", "3600", "7200", "86400", "999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "abc"],
}
responses = st.tuples(
    st.sampled_from([200, 404, 429, 429, 503, None]),
    st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in HEADERS.items()}),
    st.sampled_from([0.0, 0.1, 7.0, 40.0]),
)


async def send(limiter: WindowRateLimiter, status: int | None, headers: Mapping[str, str], latency: float) -> None:
    """Send one request, as soon as it may go."""
    permit = await limiter.acquire("A")
    try:
        await asyncio.sleep(latency)
    except asyncio.CancelledError:
        permit.release(status=None, headers={})
        raise
    permit.release(status=status, headers=headers if status is not None else {})


async def send_until(limiter: WindowRateLimiter, end: float, status: int, headers: Mapping[str, str]) -> None:
    """Send one request after another, once a second, to a server that is well."""
    while now() < end:
        try:
            await send(limiter, status, headers, 0.1)
        except DailyLimitError:
            await asyncio.sleep(60.0)
        await asyncio.sleep(PACE)


async def permits_at_once(limiter: WindowRateLimiter, asked: int) -> int:
    """Count the permits that are given without a wait."""
    permits = []
    for _ in range(asked):
        permit = limiter.acquire_at_once("A")
        if permit is None:
            break
        permits.append(permit)
    for permit in permits:
        permit.cancel()
    return len(permits)


async def seconds_until_sent(limiter: WindowRateLimiter, count: int, headers: Mapping[str, str]) -> float:
    """Return how long it takes until a server that is well has served so many requests, all asked for at once."""
    started = now()
    async with asyncio.timeout(10 * HOUR), asyncio.TaskGroup() as tasks:
        for _ in range(count):
            tasks.create_task(send(limiter, 200, headers, 0.1))
    return now() - started


@settings(max_examples=20, deadline=None)
@given(
    st.lists(responses, min_size=1, max_size=12),
    st.sampled_from([{}, FULL, FULL_DAY, FULL | FULL_DAY]),
    st.sampled_from([200, 404]),
)
def test_guarantee_10_whatever_was_said_an_hour_later_all_is_well(
    said: list[tuple[int | None, dict[str, str], float]], healthy: dict[str, str], status: int
) -> None:
    @virtual_time
    async def scenario() -> None:
        without_debugging()
        limiter = WindowRateLimiter(RateLimit(max_requests=N, interval=W))
        tasks = []
        for answer in said:
            tasks.append(asyncio.create_task(send(limiter, *answer)))
            await asyncio.sleep(3.0)
        # What waits for longer than this is sent after the others, and its response counts as one of a healthy server.
        _, late = await asyncio.wait(tasks, timeout=60.0)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        await send_until(limiter, now() + HOUR + 15 * W, status, healthy)
        await asyncio.sleep(W)

        assert await permits_at_once(limiter, N) == N
        assert limiter.rate_limits["A"].waiting == 0

    scenario()


@pytest.mark.parametrize(
    ("poison", "longest"),
    [
        ({"X-RateLimit-Max": "1"}, 3 * W),
        ({"X-RateLimit-Max": "1", "X-RateLimit-Remaining": "0"}, 3 * W),
        ({"X-RateLimit-Max": "999999999", "X-RateLimit-Remaining": "0"}, 3 * W),
        ({"X-RateLimit-Interval-Milliseconds": "30000"}, 3 * 30.0),
        ({"X-RateLimit-Max": "1", "X-RateLimit-Interval-Milliseconds": "30000"}, 3 * 30.0),
        ({"X-RateLimit-Interval-Milliseconds": "3600000"}, 310.0),
        ({"X-RateLimit-Max": "1", "X-RateLimit-Interval-Milliseconds": "3600000"}, 310.0 + 2 * W),
        ({"X-RateLimit-Interval-Milliseconds": "3600001"}, W),
        ({"X-RateLimit-Interval-Milliseconds": "86400000"}, W),
        ({"X-RateLimit-Max": "1", "X-RateLimit-Interval-Milliseconds": "86400000"}, W),
        ({"X-RateLimit-Daily-Remaining": "1"}, 3 * W),
        ({"X-RateLimit-Daily-Remaining": "4", "X-RateLimit-Limit-Daily": "5"}, 3 * W),
    ],
)
@pytest.mark.parametrize("healthy", [{}, FULL | FULL_DAY], ids=["silent", "talking"])
def test_guarantee_12_a_limit_that_is_said_once_does_not_last(
    poison: dict[str, str], longest: float, healthy: dict[str, str]
) -> None:
    @virtual_time
    async def scenario() -> None:
        limiter = WindowRateLimiter(RateLimit(max_requests=N, interval=W))
        permits = [await limiter.acquire("A") for _ in range(N)]
        for permit in permits[:-1]:
            permit.release(status=200, headers=healthy)
        permits[-1].release(status=200, headers=poison)

        slow = asyncio.create_task(send_until(limiter, now() + longest + 1.0, 200, healthy))
        await slow
        await asyncio.sleep(W)

        assert await permits_at_once(limiter, N) == N

    scenario()


@virtual_time
async def test_guarantee_12_a_much_longer_interval_said_again_is_obeyed() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=N, interval=W))
    hour = {"X-RateLimit-Interval-Milliseconds": "3600000"}

    for _ in range(N):
        await send(limiter, 200, hour, 0.0)

    assert await seconds_until_sent(limiter, 1, hour) == pytest.approx(HOUR, abs=0.2)


@virtual_time
async def test_guarantee_12_a_much_longer_interval_is_checked_by_one_probe() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=N, interval=W))
    hour = {"X-RateLimit-Interval-Milliseconds": "3600000"}
    for _ in range(N - 1):
        await send(limiter, 200, {}, 0.0)
    await send(limiter, 200, hour, 0.0)

    seconds = [await seconds_until_sent(limiter, 1, hour) for _ in range(2)]

    assert seconds[0] == pytest.approx(300.0, abs=0.2)
    assert seconds[1] == pytest.approx(HOUR - seconds[0], abs=0.2)


@virtual_time
async def test_guarantee_12_a_probe_that_fails_is_followed_by_another() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=1, interval=W))
    await send(limiter, 200, {"X-RateLimit-Interval-Milliseconds": "3600000"}, 0.0)
    started = now()

    for status in (None, 503):
        await send(limiter, status, {}, 0.0)
    (await limiter.acquire("A")).cancel()
    cancelled_at = now()
    await send(limiter, 200, {}, 0.0)

    assert cancelled_at - started == pytest.approx(900.0)
    assert now() == cancelled_at
    assert await seconds_until_sent(limiter, 1, {}) == pytest.approx(W + 0.1)


@virtual_time
async def test_guarantee_12_a_429_with_a_much_longer_interval_pauses_until_the_probe() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=N, interval=W))
    await send(limiter, 429, {"X-RateLimit-Interval-Milliseconds": "3600000"}, 0.0)

    assert await seconds_until_sent(limiter, 1, {}) == pytest.approx(300.1)


@virtual_time
async def test_guarantee_12_one_silence_does_not_end_a_limit_that_is_said() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=N, interval=W))
    low = {"X-RateLimit-Max": "2", "X-RateLimit-Interval-Milliseconds": "20000"}
    for said in (low, {}, low, {}, low, {}, low, {}):
        await send(limiter, 200, said, 0.0)

    state = limiter.rate_limits["A"]

    assert (state.limit, state.interval) == (2, 20.0)


@pytest.mark.parametrize("refused", [401, 403, 500, 503, 429])
@virtual_time
async def test_guarantee_12_only_the_api_itself_is_heard_to_say_nothing(refused: int) -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=N, interval=W))
    await send(limiter, 200, {"X-RateLimit-Max": "2", "X-RateLimit-Daily-Remaining": "150000"}, 0.0)

    for _ in range(10):
        await send(limiter, refused, {}, 5.0)

    state = limiter.rate_limits["A"]
    assert state.limit <= 2
    assert state.daily_remaining == 150_000


@pytest.mark.parametrize(
    ("asked", "pause"),
    [
        ("3600", HOUR),
        ("3601", HOUR),
        ("86400", HOUR),
        ("86401", W),
        ("999999999", W),
        ("Fri, 31 Dec 9999 23:59:59 GMT", W),
        ("Sun Nov  6 08:49:37 2094", W),
    ],
)
@virtual_time
async def test_guarantee_10_an_absurd_retry_after_pauses_for_an_hour_at_most(asked: str, pause: float) -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=N, interval=W))
    await send(limiter, 429, {"Retry-After": asked}, 0.0)
    started = now()

    await limiter.acquire("A")

    assert now() - started == pytest.approx(pause)
    assert limiter.acquire_at_once("A") is None  # one probe alone


@virtual_time
async def test_guarantee_10_a_probe_that_is_refused_again_pauses_again() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=N, interval=W))
    started = now()

    for _ in range(3):
        await send(limiter, 429, {"Retry-After": "86400"}, 0.0)

    assert now() - started == pytest.approx(2 * HOUR)
    with pytest.raises(RateLimitError) as caught:
        await limiter.acquire("A", max_pause=HOUR - 1.0)
    assert caught.value.retry_after == pytest.approx(HOUR)


@virtual_time
async def test_guarantee_33_a_small_daily_limit_starts_anew() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=100, interval=W))

    def day(remaining: int) -> dict[str, str]:
        return {"X-RateLimit-Limit-Daily": "50", "X-RateLimit-Daily-Remaining": str(remaining)}

    for remaining in (4, 3, 2, 49):
        await send(limiter, 200, day(remaining), 0.0)

    assert limiter.rate_limits["A"].daily_remaining == 49


@pytest.mark.parametrize("status", [200, 404, 422])
@virtual_time
async def test_guarantee_33_a_probe_served_without_a_word_finds_a_new_day(status: int) -> None:
    limiter = WindowRateLimiter(RateLimit())
    await send(limiter, 200, {"X-RateLimit-Daily-Remaining": "0"}, 0.0)
    await asyncio.sleep(900.0)

    await send(limiter, status, {}, 0.0)

    assert await permits_at_once(limiter, 50) == 50


@virtual_time
async def test_guarantee_33_a_callers_daily_limit_holds_once_the_server_is_silent() -> None:
    limiter = WindowRateLimiter(RateLimit(daily=20))
    await send(limiter, 200, {"X-RateLimit-Limit-Daily": "5", "X-RateLimit-Daily-Remaining": "5"}, 0.0)

    for _ in range(19):
        await send(limiter, 200, {}, 5.0)

    with pytest.raises(DailyLimitError):
        await limiter.acquire("A")


@virtual_time
async def test_guarantee_33_a_count_that_the_server_overruled_does_not_stop_all() -> None:
    limiter = WindowRateLimiter(RateLimit(daily=20))
    for _ in range(30):
        await send(limiter, 200, {"X-RateLimit-Limit-Daily": "20", "X-RateLimit-Daily-Remaining": "20"}, 0.0)

    for _ in range(30):
        await send(limiter, 200, {}, 5.0)

    assert limiter.rate_limits["A"].in_use > 0


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "ghl_voice_async"]


@pytest.mark.parametrize(
    ("headers", "warning"),
    [
        ({"Retry-After": "86400"}, "location 'A': a 429 stops it for 3600 s and asks to wait 86400 s"),
        ({"Retry-After": "999999999"}, "location 'A': a 429 stops it for 10 s and asks to wait 999999999 s"),
        ({"Retry-After": "600"}, "location 'A': a 429 stops it for 600 s and asks to wait 600 s"),
        ({"Retry-After": "60"}, None),
        ({}, None),
    ],
)
@virtual_time
async def test_guarantee_10_a_long_pause_is_logged_once(
    headers: dict[str, str], warning: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=N, interval=W))
    permits = [await limiter.acquire("A") for _ in range(N)]

    for permit in permits:
        permit.release(status=429, headers=headers)
        await asyncio.sleep(1.0)

    assert warnings_of(caplog) == ([] if warning is None else [warning])


@virtual_time
async def test_a_long_interval_of_the_callers_own_is_logged_as_a_pause(caplog: pytest.LogCaptureFixture) -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=N, interval=600.0))

    await send(limiter, 429, {}, 0.0)

    assert warnings_of(caplog) == ["location 'A': a 429 stops it for 600 s"]


@pytest.mark.parametrize(
    ("milliseconds", "end"),
    [("86400000", "86400 s, which is ignored"), ("3600000", "3600 s, which is checked after 300 s")],
)
@virtual_time
async def test_a_very_long_interval_is_logged_once(
    milliseconds: str, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=N, interval=W))

    for _ in range(N):
        await send(limiter, 200, {"X-RateLimit-Interval-Milliseconds": milliseconds}, 0.0)

    assert warnings_of(caplog) == [f"location 'A': the server names an interval of {end}"]


@virtual_time
async def test_guarantee_45_a_logging_handler_that_raises_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=N, interval=W))
    monkeypatch.setattr("ghl_voice_async.rate_limit.logger.warning", lambda *_: 1 / 0)

    await send(limiter, 429, {"Retry-After": "86400"}, 0.0)

    with pytest.raises(RateLimitError):
        await limiter.acquire("A", max_pause=60.0)
