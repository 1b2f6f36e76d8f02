"""What every process that makes calls has: it makes as many as it is told, and says what that cost.

Nothing but the standard library, since the official SDK lives in an environment of its own. A line of standard
input is a number of calls; the answer is a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

__all__ = ["LOCATION", "Fetch", "FetchAll", "serve", "with_workers"]

LOCATION = "benchmark"

Fetch = Callable[[str], Awaitable[Any]]
FetchAll = Callable[[Sequence[str]], Awaitable[None]]


def with_workers(fetch: Fetch, concurrency: int) -> FetchAll:
    """Make so many calls at a time, with as little as can be."""

    async def fetch_all(call_ids: Sequence[str]) -> None:
        waiting = iter(call_ids)

        async def work() -> None:
            for call_id in waiting:
                await fetch(call_id)

        await asyncio.gather(*(work() for _ in range(concurrency)))

    return fetch_all


async def lines() -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        yield line


async def serve(opened: AbstractAsyncContextManager[FetchAll]) -> None:
    """Make calls as told, until the end of standard input."""
    async with opened as fetch_all:
        async for line in lines():
            call_ids = [f"{number:024x}" for number in range(int(line))]
            cpu, wall = time.process_time(), time.perf_counter()
            await fetch_all(call_ids)
            figures = {
                "cpu": (time.process_time() - cpu) / len(call_ids) * 1e6,
                "calls_a_second": len(call_ids) / (time.perf_counter() - wall),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
            sys.stdout.write(json.dumps(figures) + "\n")
            sys.stdout.flush()
