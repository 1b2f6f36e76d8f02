from __future__ import annotations

import io
import tracemalloc
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from ghl_voice_async import CallLogResult, CallRef
from ghl_voice_async.cli.call_list import CallList, read_call_list
from ghl_voice_async.cli.feed import Feed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


def call_list(**counts: int) -> CallList:
    calls = CallList()
    for location_id, count in counts.items():
        for number in range(count):
            calls.add(f"{location_id}{number}", location_id)
    return calls


async def take_back(feed: Feed, *refs: CallRef) -> None:
    async def results() -> AsyncGenerator[CallLogResult, None]:
        for ref in refs:
            yield CallLogResult(0, ref)

    async for _ in feed.results(results()):
        pass


def names(refs: list[CallRef]) -> list[str]:
    return [ref.call_id for ref in refs]


def test_the_calls_of_one_location_keep_their_order() -> None:
    feed = Feed(call_list(A=5))

    assert names([*feed.calls()]) == ["A0", "A1", "A2", "A3", "A4"]


def test_locations_take_turns_until_each_has_no_more() -> None:
    feed = Feed(call_list(A=3, B=1, C=2))

    assert names([*feed.calls()]) == ["A0", "B0", "C0", "A1", "C1", "A2"]


async def test_a_location_that_waits_gets_no_more_than_the_others() -> None:
    feed = Feed(call_list(A=100, B=100, C=100))
    calls = feed.calls()
    first = [*islice(calls, 3)]

    given: list[CallRef] = []
    for ref in first[1:] * 20:
        await take_back(feed, ref)  # of A, nothing comes back
        given += islice(calls, 1)

    assert {ref.location_id for ref in given} == {"B", "C"}


async def test_once_it_goes_on_it_has_its_turn() -> None:
    feed = Feed(call_list(A=3, B=3))
    calls = feed.calls()
    first = [*islice(calls, 2)]

    await take_back(feed, *first)

    assert names([*calls]) == ["A1", "B1", "A2", "B2"]


async def test_results_pass_and_their_source_is_closed() -> None:
    closed = []

    async def results() -> AsyncGenerator[CallLogResult, None]:
        try:
            yield CallLogResult(0, CallRef("A0", "A"))
            pytest.fail("nobody asked for it")
        finally:
            closed.append(True)

    feed = Feed(call_list(A=1))
    [*feed.calls()]
    passed = feed.results(results())

    result = await anext(passed)
    await passed.aclose()

    assert result.call_id == "A0"
    assert closed == [True]


def test_the_bulk_looks_ahead_far_enough_to_know_every_location() -> None:
    assert Feed(call_list(A=1)).look_ahead == 10_000
    assert Feed(call_list(**{f"L{number}": 1 for number in range(20_000)})).look_ahead == 40_000


@pytest.mark.parametrize("locations", [1, 50])
def test_many_calls_take_little_memory_from_the_file_to_the_last(locations: int) -> None:
    count = 50_000
    lines = "".join(f"{number:024},location-{number % locations:015}\n" for number in range(count))
    file = io.BytesIO(lines.encode())

    tracemalloc.start()
    try:
        calls = read_call_list(file, None)
        calls.remove(CallRef(f"{number:024}", f"location-{number % locations:015}") for number in range(0, count, 10))
        feed = Feed(calls)
        given = 0
        for ref in feed.calls():
            given += 1
            feed._take_back(ref.location_id)
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert given == count * 9 // 10
    assert peak / count < 150
    assert left / count < 20
