"""Bulks on a virtual clock, with requests that are played."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from attrs import define, field

from ghl_voice_async import AuthenticationError, CallLog, CallLogResult, CallRef
from ghl_voice_async.bulk import Bulk
from ghl_voice_async.rate_limit import Unlimited, immediate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator

    from traffic import Judge

    from ghl_voice_async import Permit, RateLimiter
    from ghl_voice_async.bulk import Calls
    from ghl_voice_async.call import Turn
    from ghl_voice_async.rate_limit import ImmediateRateLimiter

T = TypeVar("T")

LATENCY = 0.1


async def acquired(limiter: ImmediateRateLimiter, location_id: str) -> Permit:
    """Take a permit as a call does."""
    at_once = limiter.acquire_at_once(location_id, max_pause=1e9)
    return at_once or await limiter.acquire(location_id, max_pause=1e9)


def as_it_is(call_log: CallLog) -> CallLog:
    return call_log


@define
class Played:
    """Responds to calls after a latency, and counts."""

    limiter: RateLimiter = field(factory=Unlimited)
    errors: dict[str, Exception] = field(factory=dict)
    latencies: dict[str, float] = field(factory=dict)
    sent: Counter[str] = field(factory=Counter)
    at_once: int = 0
    most_at_once: int = 0
    refused: dict[str, str] = field(factory=dict)
    """Calls and locations, each with the token that it refuses."""
    judges: dict[str, Judge] = field(factory=dict)
    tasks: dict[str, asyncio.Task[Any] | None] = field(factory=dict)

    async def fetch(self, ref: CallRef, turn: Turn) -> CallLog:
        self.tasks[ref.call_id] = asyncio.current_task()
        permit = await acquired(turn, ref.location_id)
        self.sent[ref.call_id] += 1
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        status: int | None = None
        headers: dict[str, str] = {}
        try:
            await asyncio.sleep(self.latencies.get(ref.call_id, LATENCY))
            token = self.refused.get(ref.call_id, self.refused.get(ref.location_id))
            status = 200 if token is None else 401
            if ref.location_id in self.judges:
                status, headers = self.judges[ref.location_id].answer()
        finally:
            self.at_once -= 1
            permit.release(status=status, headers=headers)
        if token is not None:
            turn.refuse(token)
            raise AuthenticationError("no", status=401, call_id=ref.call_id, location_id=ref.location_id, attempts=1)
        if ref.call_id in self.errors:
            raise self.errors[ref.call_id]
        return CallLog(id=ref.call_id)

    def run(
        self,
        calls: Calls,
        location_id: str | None = "A",
        *,
        concurrency: int = 4,
        look_ahead: int = 100,
        ordered: bool = False,
    ) -> AsyncGenerator[CallLogResult, None]:
        bulk = Bulk(
            self.fetch,
            as_it_is,
            immediate(self.limiter),
            concurrency=concurrency,
            look_ahead=look_ahead,
            ordered=ordered,
        )
        return bulk.results(calls, location_id)


def ids(count: int) -> list[str]:
    return [f"call-{number}" for number in range(count)]


def endless_ids(read: list[str]) -> Iterator[str]:
    while True:
        read.append(f"call-{len(read)}")
        yield read[-1]


async def drained(results: AsyncGenerator[CallLogResult, None]) -> list[CallLogResult]:
    return [result async for result in results]


async def drained_until(failure: type[Exception], results: AsyncGenerator[CallLogResult, None]) -> list[int]:
    """Return the positions of the results that came before the failure."""
    got: list[int] = []

    async def take() -> None:
        async for result in results:
            got.append(result.index)  # noqa: PERF401  # a comprehension would lose them

    with pytest.raises(failure):
        await take()
    return got


async def nothing_is_left() -> bool:
    await asyncio.sleep(0)
    return asyncio.all_tasks() == {asyncio.current_task()}


async def as_async(items: Iterable[T], pause: float = 0.0) -> AsyncIterator[T]:
    for item in items:
        await asyncio.sleep(pause)
        yield item
