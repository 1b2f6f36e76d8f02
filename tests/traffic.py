"""Requests without a network: latencies on the way there and back, and a judge at the far end that counts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from attrs import define, field
from virtual_time import now

from ghl_voice_async.testing.window import LocationLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from ghl_voice_async import RateLimiter
    from ghl_voice_async.testing.window import Window


@define
class Judge:
    """The server of one location: what its window does not admit is refused."""

    window: Window
    daily: int = 10**9
    says_limits: bool = True
    admitted: list[float] = field(factory=list, init=False)
    refused: list[float] = field(factory=list, init=False)
    limits: LocationLimits = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.limits = LocationLimits(self.window, self.daily)

    def answer(self) -> tuple[int, dict[str, str]]:
        is_admitted = self.limits.admit(now())
        (self.admitted if is_admitted else self.refused).append(now())
        return 200 if is_admitted else 429, self.limits.headers(now()) if self.says_limits else {}


async def request(limiter: RateLimiter, judge: Judge, there: float, back: float) -> int:
    """Send one request under a permit, and return its status. Cancelled on the way, it arrives or does not."""
    permit = await limiter.acquire("A", max_pause=1e9)
    try:
        await asyncio.sleep(there)
        status, headers = judge.answer()
        await asyncio.sleep(back)
    except asyncio.CancelledError:
        permit.release(status=None, headers={})
        raise
    permit.release(status=status, headers=headers)
    return status


async def keep_busy(
    limiter: RateLimiter, judge: Judge, latency: Callable[[], float], *, until: float, at_once: int = 200
) -> None:
    """Let so many workers send one request after another until a moment of the clock."""

    async def work() -> None:
        while now() < until:
            await request(limiter, judge, latency() / 2, latency() / 2)

    async with asyncio.timeout_at(until + 1000), asyncio.TaskGroup() as workers:
        for _ in range(at_once):
            workers.create_task(work())


def most_in_any_window(times: list[float], interval: float) -> int:
    """Count the most that lie in any half-open window of this length."""
    times = sorted(times)
    most = first = 0
    for last, time in enumerate(times):
        while times[first] <= time - interval:
            first += 1
        most = max(most, last - first + 1)
    return most


def rate(times: list[float], start: float, end: float) -> float:
    """Return how many a second lie between two moments."""
    return sum(start <= time < end for time in times) / (end - start)
