"""Bulks on a virtual clock. Those over real sockets are in test_client_bulk."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from played import (
    LATENCY,
    Played,
    acquired,
    as_async,
    as_it_is,
    drained,
    drained_until,
    endless_ids,
    ids,
    nothing_is_left,
)
from traffic import Judge
from virtual_time import now, virtual_time, without_debugging

from ghl_voice_async import (
    CallLog,
    CallRef,
    ClientClosedError,
    DailyLimitError,
    GHLVoiceError,
    InvalidInputError,
    NotFoundError,
    RateLimit,
    WindowRateLimiter,
)
from ghl_voice_async.bulk import Bulk
from ghl_voice_async.rate_limit import Unlimited, immediate
from ghl_voice_async.testing.window import SlidingWindow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from ghl_voice_async import Permit
    from ghl_voice_async.call import Turn


@virtual_time
async def test_there_is_one_result_for_each_item_of_the_input() -> None:
    results = await drained(Played().run(ids(50)))
    assert sorted(result.index for result in results) == [*range(50)]
    assert all(result.ok and result.call_id == f"call-{result.index}" == result.unwrap().id for result in results)
    assert await nothing_is_left()


@virtual_time
async def test_results_come_as_they_complete() -> None:
    played = Played(latencies={"call-0": 1.0})
    assert [result.index async for result in played.run(ids(5))] == [1, 2, 3, 4, 0]


@virtual_time
async def test_there_are_no_more_workers_than_places_and_they_fetch_one_call_after_another() -> None:
    played = Played(latencies={call_id: LATENCY + number % 7 / 100 for number, call_id in enumerate(ids(200))})
    most_tasks = 0

    def watched_ids() -> Iterator[str]:
        nonlocal most_tasks
        for call_id in ids(200):
            most_tasks = max(most_tasks, len(asyncio.all_tasks()))
            yield call_id

    async for _ in played.run(watched_ids()):
        most_tasks = max(most_tasks, len(asyncio.all_tasks()))
    assert len(set(played.tasks.values())) < 20
    assert most_tasks <= 4 + 3  # and the consumer, the reader, and a worker that is about to find no place


@virtual_time
async def test_a_result_comes_at_once_while_others_are_under_way() -> None:
    played = Played(latencies={f"call-{number}": 10.0 for number in range(1, 20)})
    started = now()
    async with aclosing(played.run(ids(20))) as results:
        assert (await anext(results)).index == 0
        assert now() - started == pytest.approx(LATENCY)


@virtual_time
async def test_or_in_the_order_of_the_input() -> None:
    played = Played(latencies={"call-0": 1.0})
    assert [result.index async for result in played.run(ids(50), ordered=True)] == [*range(50)]


@virtual_time
async def test_no_more_are_under_way_than_asked_for_and_no_fewer() -> None:
    played = Played()
    started = now()
    await drained(played.run(ids(42), concurrency=8))
    assert played.most_at_once == 8
    # Two at first, until the token is known to be accepted.
    assert now() - started == pytest.approx((1 + 40 / 8) * LATENCY)


@virtual_time
async def test_an_empty_input_has_no_results() -> None:
    assert await drained(Played().run([])) == []
    assert await drained(Played().run(as_async([]))) == []
    assert await nothing_is_left()


@pytest.mark.parametrize("pause", [0.0, 1.0])
@virtual_time
async def test_the_input_may_be_async_and_slow(pause: float) -> None:
    results = await drained(Played().run(as_async(ids(20), pause)))
    assert sorted(result.index for result in results) == [*range(20)]


@virtual_time
async def test_the_input_may_be_an_async_iterator_that_cannot_be_closed() -> None:
    class Countdown:
        left = 3

        def __aiter__(self) -> Countdown:
            return self

        async def __anext__(self) -> str:
            self.left -= 1
            if self.left < 0:
                raise StopAsyncIteration
            return f"call-{self.left}"

    assert len(await drained(Played().run(Countdown()))) == 3


@virtual_time
async def test_a_result_of_a_slow_input_comes_before_the_next_item() -> None:
    results = Played().run(as_async(ids(2), 5.0))
    started = now()
    await anext(results)
    assert now() - started == pytest.approx(5.0 + LATENCY)
    await results.aclose()


@virtual_time
async def test_pairs_name_their_own_location_and_may_be_mixed_with_ids() -> None:
    calls: list[Any] = ["x", ("y", "B"), CallRef("z", "C"), ["w", "D"]]
    results = await drained(Played().run(calls, ordered=True))
    assert [result.ref for result in results] == [("x", "A"), ("y", "B"), ("z", "C"), ("w", "D")]
    assert all(type(result.ref) is CallRef for result in results)


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        (7, "7"),
        (None, "None"),
        (("x", "B", "y"), "('x', 'B', 'y')"),
        (("x", 1), "('x', 1)"),
        (b"xy", "b'xy'"),
        ((1, "x" * 10_000), None),
    ],
)
@virtual_time
async def test_an_item_that_names_no_call_is_a_result_with_an_error(item: Any, shown: str | None) -> None:
    played = Played()
    good, bad = sorted(await drained(played.run(["x", item])), key=lambda result: result.index)
    assert good.ok
    assert isinstance(bad.error, InvalidInputError)
    assert "neither a call id nor a pair" in str(bad.error)
    assert (bad.index, bad.location_id) == (1, "A")
    assert shown is None or bad.call_id == shown
    assert len(bad.call_id) < 100
    assert played.sent.total() == 1


@virtual_time
async def test_an_id_without_a_location_is_a_result_with_an_error() -> None:
    (result,) = await drained(Played().run(["x"], None))
    assert isinstance(result.error, InvalidInputError)
    assert str(result.error).startswith("a call id without a location: pass location_id, or pairs of both [call 'x'")


@virtual_time
async def test_the_same_id_twice_is_two_results() -> None:
    """Promise 38."""
    results = await drained(Played().run(["x", "x"]))
    assert [(result.index, result.call_id) for result in results] == [(0, "x"), (1, "x")]


@virtual_time
async def test_any_error_of_a_call_is_its_result_and_the_others_go_on() -> None:
    """Promise 36."""
    errors = {f"call-{number}": error for number, error in enumerate([NotFoundError(status=404), KeyError("bug")])}
    results = await drained(Played(errors=errors).run(ids(20), ordered=True))
    assert [result.error for result in results[:3]] == [*errors.values(), None]
    assert len(results) == 20


@pytest.mark.parametrize("ordered", [False, True])
@virtual_time
async def test_what_was_fetched_before_the_client_was_closed_is_delivered(ordered: bool) -> None:
    closed = ClientClosedError("closed")
    played = Played(errors={f"call-{number}": closed for number in range(5, 100)}, latencies={"call-4": 1.0})

    got = await drained_until(ClientClosedError, played.run(ids(100), ordered=ordered))

    assert sorted(got) == [0, 1, 2, 3, 4]
    assert await nothing_is_left()


@virtual_time
async def test_the_first_of_several_such_failures_is_raised() -> None:
    first, second = ClientClosedError("first"), ClientClosedError("second")
    played = Played(errors={"call-0": first, "call-1": second}, latencies={"call-1": 1.0})

    with pytest.raises(ClientClosedError, match="first"):
        await drained(played.run(ids(2)))


@virtual_time
async def test_nothing_is_read_after_that_while_the_consumer_is_busy() -> None:
    read: list[str] = []

    async def noted() -> AsyncIterator[str]:
        async for id_ in as_async(ids(100), 1.0):
            read.append(id_)
            yield id_

    results = Played(errors={"call-1": ClientClosedError("closed")}).run(noted())
    await anext(results)
    await asyncio.sleep(50)
    assert read == ids(3)
    with pytest.raises(ClientClosedError):
        await anext(results)


@virtual_time
async def test_what_the_input_raises_comes_after_all_that_was_read() -> None:
    """Promise 38."""

    def broken() -> Iterator[str]:
        yield from ids(10)
        raise LookupError("the cursor is gone")

    assert sorted(await drained_until(LookupError, Played().run(broken()))) == [*range(10)]
    assert await nothing_is_left()


@virtual_time
async def test_an_input_that_raises_at_once_has_no_results() -> None:
    class Broken:
        def __iter__(self) -> Iterator[str]:
            raise LookupError

    with pytest.raises(LookupError):
        await anext(Played().run(Broken()))
    assert await nothing_is_left()


@virtual_time
async def test_a_consumer_that_takes_its_time_bounds_what_is_read_and_sent() -> None:
    """Promise 37."""
    read: list[str] = []
    played = Played()
    async with aclosing(played.run(endless_ids(read), concurrency=4, look_ahead=10)) as results:
        for taken in range(1, 30):
            await anext(results)
            await asyncio.sleep(1)
            assert len(read) - taken <= 10 + 4
            assert played.sent.total() - taken <= 2 * 4


@virtual_time
async def test_a_location_that_waits_bounds_what_is_read_too() -> None:
    """Promise 37."""
    read: list[str] = []
    played = Played(WindowRateLimiter(RateLimit(1, 1000.0)))
    async with aclosing(played.run(endless_ids(read), concurrency=4, look_ahead=10)) as results:
        await anext(results)
        await asyncio.sleep(10)
        assert len(read) - 1 == 10 + 4


@virtual_time
async def test_bad_items_alone_do_not_run_ahead_of_the_consumer() -> None:
    read: list[str] = []

    def endless() -> Iterator[Any]:
        while True:
            read.append("")
            yield None

    async with aclosing(Played().run(endless(), concurrency=4, look_ahead=100)) as results:
        for _ in range(10):
            await anext(results)
        assert len(read) <= 10 + 4


@virtual_time
async def test_a_consumer_whose_results_come_without_a_pause_can_be_cancelled_by_anyio() -> None:
    """It looks at a task once in each turn of the loop, and cancels it where what it waits for has not come."""
    played = Played(latencies=dict.fromkeys(ids(1000), 0.0))
    got = 0
    with anyio.CancelScope() as scope:
        async for _ in played.run(ids(1000)):
            got += 1
            if got == 10:
                scope.cancel()
    assert got < 100
    assert await nothing_is_left()


@virtual_time
async def test_an_input_without_a_pause_leaves_room_for_the_rest_of_the_program() -> None:
    read: list[str] = []
    others_had_a_turn_at: list[int] = []

    def telling_others() -> Iterator[str]:
        for id_ in endless_ids(read):
            if len(read) == 10:
                asyncio.get_running_loop().call_soon(lambda: others_had_a_turn_at.append(len(read)))
            yield id_

    played = Played(WindowRateLimiter(RateLimit(1, 1000.0)))
    async with aclosing(played.run(telling_others(), look_ahead=1000)) as results:
        await anext(results)
        await asyncio.sleep(1)
    assert len(read) > 1000
    assert others_had_a_turn_at[0] <= 10 + 100


def limited(max_requests: int, locations: Iterable[str], interval: float = 10.0) -> Played:
    """Play a server that keeps a limit, and a client that knows it."""
    judges = {name: Judge(SlidingWindow(max_requests, interval)) for name in locations}
    return Played(WindowRateLimiter(RateLimit(max_requests, interval)), judges=judges)


@pytest.mark.parametrize("ordered", [False, True])
@virtual_time
async def test_forty_limited_locations_one_after_another_take_as_long_as_one_alone(ordered: bool) -> None:
    without_debugging()
    names = [f"LOC-{number}" for number in range(40)]

    async def seconds_for(locations: list[str]) -> float:
        played = limited(20, locations)
        calls = [CallRef(f"{name}-{number}", name) for name in locations for number in range(100)]
        started = now()
        results = await drained(played.run(calls, None, concurrency=64, look_ahead=10_000, ordered=ordered))
        assert len(results) == len(calls)
        assert all(judge.refused == [] for judge in played.judges.values())
        assert played.most_at_once <= 64
        return now() - started

    alone = await seconds_for(names[:1])
    assert alone > 40
    assert await seconds_for(names) < 1.05 * alone


@virtual_time
async def test_a_location_that_waits_holds_up_no_other() -> None:
    """With one place only, and although all of its calls come first."""
    played = Played(WindowRateLimiter(RateLimit(1, 1000.0)))
    calls = [CallRef(f"a-{number}", "A") for number in range(50)] + [CallRef("b", "B")]
    started = now()
    async with aclosing(played.run(calls, None, concurrency=1, look_ahead=100)) as results:
        assert (await anext(results)).location_id == "A"
        assert (await anext(results)).location_id == "B"
    assert now() - started < 1


@pytest.mark.parametrize("status", [429, 503, None])
@virtual_time
async def test_a_call_leaves_its_place_while_it_waits_for_its_next_attempt(status: int | None) -> None:
    refused = asyncio.Event()

    async def fetch(ref: CallRef, turn: Turn) -> CallLog:
        permit = await acquired(turn, ref.location_id)
        await asyncio.sleep(LATENCY)
        if ref.location_id == "A" and not refused.is_set():
            refused.set()
            permit.release(status=status, headers={})
            turn.pause()
            await asyncio.sleep(60)
            permit = await acquired(turn, ref.location_id)
        permit.release(status=200, headers={})
        return CallLog(id=ref.call_id)

    bulk = Bulk(fetch, as_it_is, Unlimited(), concurrency=1, look_ahead=100, ordered=False)
    calls = [CallRef("a", "A"), CallRef("b", "B"), CallRef("c", "C")]
    started = now()
    finished = [(result.call_id, round(now() - started)) async for result in bulk.results(calls, None)]
    assert finished == [("b", 0), ("c", 0), ("a", 60)]


@virtual_time
async def test_a_call_that_has_waited_goes_before_those_that_have_not_begun() -> None:
    """And the places are kept to: the one place has another call in it when the permit comes."""
    played = Played(WindowRateLimiter(RateLimit(1, 10.0)), latencies={"b-1": 30.0})
    calls = [*(CallRef(f"a-{number}", "A") for number in range(2)), CallRef("b-1", "B"), CallRef("c-1", "C")]
    order = [result.call_id async for result in played.run(calls, None, concurrency=1)]
    assert order == ["a-0", "b-1", "a-1", "c-1"]
    assert played.most_at_once == 1


class Slow:
    """A limiter whose permits come after a wait, and for the location `closed` an error."""

    async def acquire(self, location_id: str, *, max_pause: float) -> Permit:
        await asyncio.sleep(LATENCY / 10)
        if location_id == "closed":
            raise DailyLimitError("nothing is left", status=429)
        return Unlimited()


@virtual_time
async def test_calls_that_fail_while_they_wait_give_their_place_up_once() -> None:
    played = Played(Slow())
    calls = [CallRef(f"call-{number}", name) for number in range(40) for name in ("closed", "A", "B", "C")]
    results = await drained(played.run(calls, None, concurrency=2))
    assert sum(result.ok for result in results) == 120
    assert played.most_at_once == 2


@virtual_time
async def test_calls_that_wait_after_a_429_give_their_place_up_once() -> None:
    played = Played(Slow())

    async def fetch_twice(ref: CallRef, turn: Turn) -> CallLog:
        permit = await acquired(turn, ref.location_id)
        permit.release(status=429, headers={})
        turn.pause()
        return await played.fetch(ref, turn)

    bulk = Bulk(fetch_twice, as_it_is, immediate(Slow()), concurrency=2, look_ahead=100, ordered=False)
    calls = [CallRef(f"call-{number}", name) for number in range(40) for name in "ABC"]
    assert all([result.ok async for result in bulk.results(calls, None)])
    assert played.most_at_once == 2


@virtual_time
async def test_a_bulk_has_one_call_waiting_for_its_location_and_not_all() -> None:
    """Promise 35."""
    limiter = WindowRateLimiter(RateLimit(10, 10.0))
    async with aclosing(Played(limiter).run(ids(1000), concurrency=64)) as results:
        for _ in range(10):
            await anext(results)
        await asyncio.sleep(1)
        assert limiter.rate_limits["A"].waiting == 1


@virtual_time
async def test_a_day_that_is_used_up_fails_the_calls_of_its_location_and_no_others() -> None:
    """Promise 33."""
    played = Played(WindowRateLimiter(RateLimit(10, 1.0, daily=3)))
    calls = [*(CallRef(f"a-{number}", "A") for number in range(500)), CallRef("b", "B")]
    results = await drained(played.run(calls, None))
    failed = [result for result in results if not result.ok]
    assert len(results) == 501
    assert len(failed) == 497
    assert all(isinstance(result.error, DailyLimitError) for result in failed)


def permits_are_whole(limiter: WindowRateLimiter) -> bool:
    return all(state.waiting == 0 for state in limiter.rate_limits.values())


@pytest.mark.parametrize("moment", [0.0, 0.05, LATENCY, 0.15, 1.0, 10.0, 10.05])
@pytest.mark.parametrize("how", ["cancel", "cancel twice"])
@virtual_time
async def test_leaving_early_ends_all_that_was_begun_and_closes_the_input(moment: float, how: str) -> None:
    """Promises 25, 26 and 36."""
    closed = False

    async def input_() -> AsyncIterator[str]:
        nonlocal closed
        try:
            async for item in as_async(ids(1000), 0.001):
                yield item
        finally:
            closed = True
            await asyncio.sleep(0.5)

    limiter = WindowRateLimiter(RateLimit(10, 10.0))
    played = Played(limiter)
    results = played.run(input_())
    consumer = asyncio.create_task(drained(results))
    await asyncio.sleep(moment)
    consumer.cancel()
    if how == "cancel twice":
        await asyncio.sleep(0.1)
        consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert await nothing_is_left()
    assert closed or moment == 0.0
    assert permits_are_whole(limiter)
    assert played.at_once == 0


@virtual_time
async def test_closing_between_two_results_ends_all_that_was_begun() -> None:
    closed = []

    def input_() -> Iterator[str]:
        try:
            yield from ids(1000)
        finally:
            closed.append(True)

    limiter = WindowRateLimiter(RateLimit(10, 10.0))
    played = Played(limiter)
    source = input_()  # held on to, or it would be closed by being forgotten
    async with aclosing(played.run(source)) as results:
        await anext(results)
    assert closed == [True]
    assert await nothing_is_left()
    assert permits_are_whole(limiter)
    assert 4 <= played.sent.total() <= 8


@virtual_time
async def test_a_cancellation_while_the_end_is_waited_for_is_not_lost() -> None:
    async def slow_to_end() -> AsyncIterator[str]:
        yield "x"
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(10)

    results = Played().run(slow_to_end())
    await anext(results)
    closing = asyncio.create_task(results.aclose())
    await asyncio.sleep(1)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert await nothing_is_left()


@virtual_time
async def test_a_bare_break_ends_all_that_was_begun_when_the_generator_is_collected() -> None:
    played = Played()

    async def look_at_the_first() -> None:
        async for _ in played.run(ids(1000)):
            break

    await look_at_the_first()
    gc.collect()
    await asyncio.sleep(0.01)
    assert await nothing_is_left()
    assert played.at_once == 0


@virtual_time
async def test_a_file_given_as_input_stays_open(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("input") / "ids"
    path.write_text("x\ny\nz\n")
    with path.open() as file:
        async with aclosing(Played().run(file)) as results:
            await anext(results)
        assert not file.closed


@virtual_time
async def test_closing_before_the_first_result_was_asked_for_is_fine() -> None:
    await Played().run(ids(3)).aclose()
    assert await nothing_is_left()


@virtual_time
async def test_an_input_that_does_not_want_to_end_is_read_no_more() -> None:
    async def stubborn() -> AsyncIterator[str]:
        for id_ in ids(100):
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                yield "after the end"
            yield id_

    played = Played()
    async with aclosing(played.run(stubborn())) as results:
        await anext(results)
    assert await nothing_is_left()
    assert "after the end" not in played.sent


@virtual_time
async def test_a_task_of_the_bulk_that_somebody_cancels_is_no_standstill() -> None:
    """As programs do that cancel all tasks before they end."""
    results = Played().run(ids(100))
    consumer = asyncio.create_task(drained(results))
    await asyncio.sleep(0.05)
    for task in asyncio.all_tasks() - {consumer, asyncio.current_task()}:
        task.cancel()
    with pytest.raises(GHLVoiceError, match="cancelled by somebody else"):
        await consumer
    assert await nothing_is_left()


@virtual_time
async def test_what_is_in_flight_when_somebody_cancels_a_task_of_the_bulk_is_still_delivered() -> None:
    """Also by the call whose place the cancelled one was waiting for."""
    played = Played(WindowRateLimiter(RateLimit(1, 10.0)), latencies={"b": 100.0})
    calls = [CallRef("a-0", "A"), CallRef("a-1", "A"), CallRef("b", "B")]
    results = played.run(as_async(calls, pause=2.0), None, concurrency=1)
    await anext(results)
    await asyncio.sleep(50)
    waiting = played.tasks["a-1"]
    assert waiting is not None
    waiting.cancel()
    assert (await anext(results)).call_id == "b"
    with pytest.raises(GHLVoiceError, match="cancelled by somebody else"):
        await anext(results)


@virtual_time
async def test_a_call_cancelled_with_its_permit_in_hand_gives_it_back_whole() -> None:
    """Promise 25."""
    limiter = WindowRateLimiter(RateLimit(1, 10.0))
    played = Played(limiter, latencies={"b": 1000.0})
    calls = [CallRef("a-0", "A"), CallRef("a-1", "A"), CallRef("b", "B")]
    async with aclosing(played.run(as_async(calls, pause=2.0), None, concurrency=1)) as results:
        await anext(results)
        await asyncio.sleep(100)  # a-1 has its permit, and b the place
        assert limiter.rate_limits["A"].in_use == 1
    assert limiter.rate_limits["A"].in_use == 0
