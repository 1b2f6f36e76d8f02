"""What a permit costs that is free: the time this process spends computing, for ours and for other limiters."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from limiters import LeakyBucket, PyrateLimiter, SendTimeLog
from multidict import CIMultiDict, CIMultiDictProxy
from paired import print_paired

from ghl_voice_async import RateLimit, WindowRateLimiter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from limiters import Pacer

PERMITS = 20_000
AMPLE = RateLimit(max_requests=10**8, interval=10.0, daily=10**8)
HEADERS = CIMultiDictProxy(
    CIMultiDict(
        {
            "Content-Type": "application/json",
            "X-RateLimit-Max": "100000000",
            "X-RateLimit-Remaining": "99999999",
            "X-RateLimit-Interval-Milliseconds": "10000",
            "X-RateLimit-Limit-Daily": "100000000",
            "X-RateLimit-Daily-Remaining": "99999999",
        }
    )
)


def measure(pacer: type[Pacer]) -> float:
    async def run() -> float:
        limiter = pacer(AMPLE.max_requests, AMPLE.interval)
        started = time.process_time()
        for _ in range(PERMITS):
            await limiter.wait()
        return (time.process_time() - started) / PERMITS * 1e6

    return asyncio.run(run())


def ours(*, headers: Mapping[str, str], release: bool = True, waiting: int = 0, locations: int = 1) -> float:
    """Take permits of free locations one after another, with so many calls waiting at another."""

    async def run() -> float:
        limiter = WindowRateLimiter(AMPLE)
        names = [f"location-{number}" for number in range(locations)]
        for name in names:
            (await limiter.acquire(name)).release(status=200, headers={})
        (await limiter.acquire("paused")).release(status=429, headers={"Retry-After": "1000"})
        tasks = [asyncio.create_task(limiter.acquire("paused")) for _ in range(waiting)]
        await asyncio.sleep(0)
        started = time.process_time()
        for number in range(PERMITS):
            permit = await limiter.acquire(names[number % locations], max_pause=120.0)
            if release:
                permit.release(status=200, headers=headers)
        spent = time.process_time() - started
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return spent / PERMITS * 1e6

    return asyncio.run(run())


def main() -> None:
    print_paired(
        f"{PERMITS:,} free permits, one after another",
        "µs a permit",
        {
            "aiolimiter": lambda: measure(LeakyBucket),
            "pyrate-limiter": lambda: measure(PyrateLimiter),
            "log of send times": lambda: measure(SendTimeLog),
            "ours, acquire alone": lambda: ours(headers={}, release=False),
            "ours, acquire and release": lambda: ours(headers={}),
            "… with the headers read": lambda: ours(headers=HEADERS),
            "… of 10,000 locations in turn": lambda: ours(headers=HEADERS, locations=10_000),
            "… with 10,000 calls waiting": lambda: ours(headers=HEADERS, waiting=10_000),
        },
        rounds=7,
    )


main()
