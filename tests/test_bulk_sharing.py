"""How the places of a bulk are shared out among locations, of which some do not respond."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field
from played import acquired, as_async, as_it_is, drained, ids
from virtual_time import now, run_in_virtual_time, virtual_time, without_debugging

from ghl_voice_async import CallLog, CallRef, TransportError
from ghl_voice_async.bulk import Bulk
from ghl_voice_async.rate_limit import Unlimited

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable

    from ghl_voice_async.call import Turn

TIMEOUT = 30.0
HEALTHY = [f"LOC-{number}" for number in range(9)]


@define
class Hanging:
    """Locations of which some respond to nothing from a moment on: each of two attempts runs into its timeout."""

    hang: set[str]
    hangs_from: float = 0.0
    latency: float = 0.02
    places: Counter[str] = field(factory=Counter)
    most: Counter[str] = field(factory=Counter)

    async def fetch(self, ref: CallRef, turn: Turn) -> CallLog:
        for attempt in (1, 2):
            permit = await acquired(turn, ref.location_id)
            hangs = ref.location_id in self.hang and now() >= 1000.0 + self.hangs_from
            self.places[ref.location_id] += 1
            self.most[ref.location_id] = max(self.most[ref.location_id], self.places[ref.location_id])
            try:
                await asyncio.sleep(TIMEOUT if hangs else self.latency)
            finally:
                self.places[ref.location_id] -= 1
                permit.release(status=None if hangs else 200, headers={})
            if not hangs:
                return CallLog(id=ref.call_id)
            if attempt == 1:
                turn.pause()
                await asyncio.sleep(0.3)
        raise TransportError("nothing came")

    async def healthy_done_after(
        self, calls: Iterable[CallRef] | AsyncIterable[CallRef], count: int, *, concurrency: int
    ) -> float:
        without_debugging()
        bulk = Bulk(self.fetch, as_it_is, Unlimited(), concurrency=concurrency, look_ahead=10_000, ordered=False)
        started, done = now(), 0
        async with aclosing(bulk.results(calls, None)) as results:
            async for result in results:
                done += result.location_id not in self.hang
                if done == count:
                    break
        return now() - started


def calls_of(names: list[str], each: int) -> list[CallRef]:
    return [CallRef(f"{name}-{number}", name) for number in range(each) for name in names]


@pytest.mark.parametrize("concurrency", [6, 16, 32, 64])
@pytest.mark.parametrize("order", ["interleaved", "hanging first", "hanging last", "slow input"])
@pytest.mark.parametrize("hanging", [1, 3])
@pytest.mark.parametrize("hangs_from", [0.0, 0.1])
@virtual_time
async def test_locations_that_hang_do_not_stop_the_others(
    concurrency: int, order: str, hanging: int, hangs_from: float
) -> None:
    sick = [f"SICK-{number}" for number in range(hanging)]
    healthy = HEALTHY[: 10 - hanging]
    if order == "hanging first":
        calls = [*calls_of(sick, 300), *calls_of(healthy, 90)]
    elif order == "hanging last":
        calls = [*calls_of(healthy, 45), *calls_of([*sick, *healthy], 45)]
    else:
        calls = calls_of([*sick, *healthy], 90)
    source = as_async(calls, 0.002) if order == "slow input" else calls

    took = await Hanging({*sick}, hangs_from).healthy_done_after(source, 90 * len(healthy), concurrency=concurrency)

    # Nobody knows of the others yet when a location that is alone falls silent with all places.
    unavoidable = TIMEOUT if order == "hanging first" and hangs_from else 0.0
    assert took < unavoidable + 5 * max(90 * len(healthy) * 0.02 / concurrency, 1.0)


@virtual_time
async def test_a_location_alone_uses_all_places() -> None:
    hanging = Hanging(set(), latency=0.5)

    await hanging.healthy_done_after(calls_of(["A"], 200), 200, concurrency=16)

    assert hanging.most["A"] == 16


@virtual_time
async def test_a_location_that_hangs_alone_comes_to_use_all_places() -> None:
    hanging = Hanging({"A"})
    bulk = Bulk(hanging.fetch, as_it_is, Unlimited(), concurrency=16, look_ahead=1000, ordered=False)

    results = await drained(bulk.results(calls_of(["A"], 100), None))

    assert len(results) == 100
    assert hanging.most["A"] == 16


@virtual_time
async def test_places_are_shared_out_evenly_among_locations_that_respond() -> None:
    hanging = Hanging(set(), latency=0.5)
    calls = [*calls_of(["A"], 400), *calls_of(["B", "C", "D"], 100)]

    await hanging.healthy_done_after(calls, 700, concurrency=16)

    assert all(hanging.most[name] >= 4 for name in "ABCD")


def begin_at_once(loop: asyncio.AbstractEventLoop, coroutine: Any, **settings: Any) -> asyncio.Task[Any]:
    """Run the first step of a task as it is made, as `asyncio.eager_task_factory` does."""
    if coroutine.__qualname__.startswith("Bulk."):
        assert coroutine.send(None) is None  # it lets the loop have a turn
    return asyncio.Task(coroutine, loop=loop, **settings)


def run_with(factory: Any) -> list[tuple[int, bool]]:
    async def scenario() -> list[tuple[int, bool]]:
        asyncio.get_running_loop().set_task_factory(factory)
        hanging = Hanging(set())
        bulk = Bulk(hanging.fetch, as_it_is, Unlimited(), concurrency=3000, look_ahead=10_000, ordered=True)
        without_debugging()
        results = [(result.index, result.ok) async for result in bulk.results(ids(9000), "A")]
        assert hanging.most["A"] == 3000
        return results

    return run_in_virtual_time(scenario())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio.eager_task_factory is new in Python 3.12")
def test_an_eager_task_factory_does_not_recurse_and_changes_no_result() -> None:
    assert run_with(getattr(asyncio, "eager_task_factory")) == run_with(None)  # noqa: B009  # mypy looks at 3.11


def test_tasks_that_begin_at_once_do_not_recurse_and_change_no_result() -> None:
    assert run_with(begin_at_once) == run_with(None)


@virtual_time
async def test_a_request_sent_in_place_of_another_keeps_the_place_of_its_call() -> None:
    """It holds a connection, for which a call in its place would wait."""
    sent = []

    class Slow(Unlimited):
        def acquire_at_once(self, location_id: str, *, max_pause: float) -> None:  # type: ignore[override]  # never
            pass

        async def acquire(self, location_id: str, *, max_pause: float) -> Unlimited:
            await asyncio.sleep(1.0)
            return self

    async def fetch(ref: CallRef, turn: Turn) -> CallLog:
        for _ in range(2):
            permit = await acquired(turn, ref.location_id)
            sent.append(ref.call_id)
            permit.release(status=None, headers={})
        return CallLog(id=ref.call_id)

    bulk = Bulk(fetch, as_it_is, Slow(), concurrency=1, look_ahead=100, ordered=False)

    await drained(bulk.results(calls_of(["A", "B"], 1), None))

    assert sent == ["A-0", "A-0", "B-0", "B-0"]
