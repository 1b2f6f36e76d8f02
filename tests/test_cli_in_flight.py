from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from ghl_voice_async import CallLog, CallLogResult, CallRef, RequestEvent, ResponseEvent, RetryEvent
from ghl_voice_async.cli.gate import Gate, GateShutError
from ghl_voice_async.cli.in_flight import InFlightLimiter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghl_voice_async import CallEvent, Permit

A1, A2 = CallRef("a1", "A"), CallRef("a2", "A")


@define
class Counting:
    """A rate limiter that counts its permits."""

    given: Counter[str] = field(factory=Counter)

    async def acquire(self, _: str, *, max_pause: float) -> Permit:
        self.given["acquired"] += 1
        return self

    def release(self, *, status: int | None, headers: Mapping[str, str]) -> None:
        self.given["released"] += 1

    def cancel(self) -> None:
        self.given["cancelled"] += 1


def limiter(concurrency: int = 1) -> InFlightLimiter:
    return InFlightLimiter(Gate(Counting()), concurrency)


def counted(limiter: InFlightLimiter) -> Counter[str]:
    assert isinstance(limiter.gate.limiter, Counting)
    return limiter.gate.limiter.given


async def acquired(limiter: InFlightLimiter) -> Permit:
    return await limiter.acquire("A", max_pause=1)


async def is_full(limiter: InFlightLimiter) -> bool:
    """Return True if no request may go out now."""
    asking = asyncio.create_task(acquired(limiter))
    for _ in range(5):
        await asyncio.sleep(0)
    if asking.done():
        asking.result().cancel()
        return False
    asking.cancel()
    await asyncio.wait([asking])
    return True


def event(kind: Any, ref: CallRef, **details: Any) -> CallEvent:
    made: CallEvent = kind(
        method="GET", path_template="/", call_id=ref.call_id, location_id=ref.location_id, attempt=1, **details
    )
    return made


def respond(limiter: InFlightLimiter, permit: Permit, ref: CallRef, status: int | None) -> None:
    limiter.see(event(ResponseEvent, ref, status=status, error=None, seconds=0.1))
    permit.release(status=status, headers={})


async def test_a_request_in_flight_has_a_slot() -> None:
    limit = limiter()
    limit.see(event(RequestEvent, A1))
    permit = await acquired(limit)

    assert await is_full(limit)
    permit.cancel()
    assert not await is_full(limit)


async def test_guarantee_63_a_call_log_has_its_slot_until_it_is_stored() -> None:
    limit = limiter()
    respond(limit, await acquired(limit), A1, 200)

    limit.end([CallLogResult(0, A2, call_log=CallLog(id="a2"))])
    assert await is_full(limit)
    limit.end([CallLogResult(0, A1, call_log=CallLog(id="a1"))])
    assert not await is_full(limit)


@pytest.mark.parametrize("status", [None, 199, 301, 404, 429, 503])
async def test_a_response_without_a_call_log_gives_its_slot_back(status: int | None) -> None:
    limit = limiter()
    respond(limit, await acquired(limit), A1, status)

    assert not await is_full(limit)


async def test_a_response_that_is_retried_gives_its_slot_back() -> None:
    limit = limiter()
    respond(limit, await acquired(limit), A1, 200)

    limit.see(event(RetryEvent, A1, status=None, error="TransportError", delay=1.0))

    assert not await is_full(limit)


async def test_slots_of_two_responses_to_one_call_come_back_together() -> None:
    limit = limiter(2)
    for _ in range(2):
        respond(limit, await acquired(limit), A1, 200)
    assert await is_full(limit)

    limit.end([CallLogResult(0, A1, error=ValueError())])

    first = await acquired(limit)
    assert not await is_full(limit)
    first.cancel()


async def test_guarantee_25_a_cancelled_wait_for_a_slot_gives_the_permit_back() -> None:
    limit = limiter()
    await acquired(limit)

    assert await is_full(limit)

    assert counted(limit) == {"acquired": 2, "cancelled": 1}


async def test_nothing_is_sent_once_the_gate_is_shut_meanwhile() -> None:
    limit = limiter()
    permit = await acquired(limit)
    waiting = asyncio.create_task(acquired(limit))
    await asyncio.sleep(0)
    limit.gate.shut()
    permit.release(status=404, headers={})

    with pytest.raises(GateShutError):
        await waiting

    assert counted(limit) == {"acquired": 2, "released": 1, "cancelled": 1}


async def test_guarantee_63_in_flight_and_unstored_together_keep_the_bound() -> None:
    """Whatever becomes of the calls, in whatever order they are stored."""
    dice, limit = random.Random(63), limiter(7)
    in_flight, unstored, most = 0, set[CallRef](), 0

    async def call(ref: CallRef) -> None:
        nonlocal in_flight, most
        status = 0
        while status != 200:
            permit = await acquired(limit)
            in_flight += 1
            most = max(most, in_flight + len(unstored))
            for _ in range(dice.randrange(5)):
                await asyncio.sleep(0)
            in_flight -= 1
            status = dice.choice([200, 200, 503])
            respond(limit, permit, ref, status)
        unstored.add(ref)

    async def store() -> None:
        for _ in range(10_000):
            batch = dice.sample(sorted(unstored), dice.randrange(len(unstored) + 1))
            unstored.difference_update(batch)
            limit.end([CallLogResult(0, ref, call_log=CallLog(id="x")) for ref in batch])
            if all(task.done() for task in calls):
                break
            await asyncio.sleep(0)

    calls = [asyncio.create_task(call(CallRef(str(number), "A"))) for number in range(300)]
    await asyncio.gather(store(), *calls)

    assert most == 7
