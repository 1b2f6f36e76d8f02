"""How a bulk ends when its tasks, its input or its calls are ended from outside, or raise what is no `Exception`."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from played import Played, acquired, as_async, as_it_is, drained, ids, nothing_is_left
from virtual_time import now, run_in_virtual_time, virtual_time

from ghl_voice_async import CallLog, CallLogResult, CallRef, GHLVoiceError, RateLimit, WindowRateLimiter
from ghl_voice_async.bulk import Bulk
from ghl_voice_async.rate_limit import Unlimited

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from ghl_voice_async.call import Turn

NO_EXCEPTIONS = [
    pytest.fail.Exception("failed"),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    BaseException("whatever"),
]


async def collect(results: AsyncGenerator[CallLogResult, None]) -> tuple[list[CallLogResult], BaseException | None]:
    """Return the results, and what the loop over them raised."""
    got = []
    try:
        async for result in results:
            got.append(result)  # noqa: PERF401  # a comprehension would lose them
    except BaseException as error:  # noqa: BLE001  # which is looked at
        return got, error
    return got, None


def delivered_once(got: list[CallLogResult], played: Played) -> bool:
    """Return True if each call that was sent has its one result, and no other call has."""
    return sorted(result.call_id for result in got) == sorted(played.sent)


@pytest.mark.parametrize("error", NO_EXCEPTIONS, ids=repr)
@pytest.mark.parametrize("is_async", [False, True])
@virtual_time
async def test_guarantee_37_an_input_that_raises_no_exception_ends_the_bulk(
    error: BaseException, is_async: bool
) -> None:
    def broken() -> Iterator[str]:
        yield from ids(10)
        raise error

    async def broken_later() -> AsyncIterator[str]:
        async for id_ in as_async(ids(10), 0.03):
            yield id_
        raise error

    played = Played()

    got, raised = await collect(played.run(broken_later() if is_async else broken()))

    assert raised is error
    assert delivered_once(got, played)
    assert await nothing_is_left()


@virtual_time
async def test_an_input_whose_own_wait_is_cancelled_raises_an_error() -> None:
    async def cancelled() -> AsyncIterator[str]:
        yield "x"
        query = asyncio.get_running_loop().create_future()
        query.cancel()
        await query

    got, raised = await collect(Played().run(cancelled()))

    assert [result.call_id for result in got] == ["x"]
    assert "the input waited for was cancelled" in str(raised)


@pytest.mark.parametrize("error", NO_EXCEPTIONS, ids=repr)
@pytest.mark.parametrize("when", ["token", "acquire", "sent"])
@virtual_time
async def test_guarantee_37_a_call_that_raises_no_exception_ends_the_bulk(error: BaseException, when: str) -> None:
    played = Played(latencies=dict.fromkeys(ids(100)[7:], 1.0))

    class Limiter(Unlimited):
        def acquire_at_once(self, location_id: str, *, max_pause: float) -> Unlimited:
            if when == "acquire" and len(played.sent) == 6:
                raise error
            return super().acquire_at_once(location_id, max_pause=max_pause)

    async def fetch(ref: CallRef, turn: Turn) -> CallLog:
        if when == "token" and ref.call_id == "call-6":
            raise error
        call_log = await played.fetch(ref, turn)
        if when == "sent" and ref.call_id == "call-6":
            raise error
        return call_log

    bulk = Bulk(fetch, as_it_is, Limiter(), concurrency=4, look_ahead=100, ordered=False)

    got, raised = await collect(bulk.results(ids(100), "A"))

    assert raised is error
    assert delivered_once(got, played)
    assert len(got) < 20
    assert [result.call_id for result in got if not result.ok] == (["call-6"] if when == "sent" else [])
    assert await nothing_is_left()


@virtual_time
async def test_a_call_whose_own_wait_is_cancelled_fails_alone() -> None:
    async def fetch(ref: CallRef, turn: Turn) -> CallLog:
        await acquired(turn, ref.location_id)
        if ref.call_id == "call-3":
            raise asyncio.CancelledError
        return CallLog(id=ref.call_id)

    bulk = Bulk(fetch, as_it_is, Unlimited(), concurrency=4, look_ahead=100, ordered=True)

    got, raised = await collect(bulk.results(ids(10), "A"))

    assert raised is None
    assert [result.call_id for result in got if not result.ok] == ["call-3"]
    assert "was cancelled" in str(got[3].error)


def workers() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "ghl-voice-async bulk"]


async def cancelled_by_a_watchdog(*, at: float, times: int, which: int, input_pause: float) -> None:
    """Run a bulk over two locations that wait for each other's place, and cancel some of its tasks."""
    limiter = WindowRateLimiter(RateLimit(1, 1.0))
    played = Played(limiter, latencies=dict.fromkeys(ids(100), 0.4))
    calls = [CallRef(id_, "AB"[number // 2 % 2]) for number, id_ in enumerate(ids(12))]
    consumer = asyncio.create_task(collect(played.run(as_async(calls, input_pause), None, concurrency=1)))

    await asyncio.sleep(at)
    was_cancelled = False
    for _ in range(times):
        for task in sorted(workers(), key=id)[which:]:
            was_cancelled = task.cancel() or was_cancelled
        await asyncio.sleep(0.05)
    got, raised = await consumer

    assert delivered_once(got, played)
    assert isinstance(raised, GHLVoiceError) is was_cancelled
    assert "cancelled by somebody else" in str(raised) or not was_cancelled
    assert await nothing_is_left()
    assert all(state.waiting == 0 for state in limiter.rate_limits.values())
    assert not was_cancelled or now() < 1000 + at + 3.0


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("input_pause", [0.0, 0.3])
def test_guarantee_37_tasks_that_somebody_cancels_at_any_moment_are_no_hang(
    which: int, times: int, input_pause: float
) -> None:
    for tenths in range(1, 30):
        scenario = cancelled_by_a_watchdog(at=tenths / 10, times=times, which=which, input_pause=input_pause)
        run_in_virtual_time(scenario)


@virtual_time
async def test_a_worker_cancelled_before_it_has_begun_is_no_hang() -> None:
    def watchdog() -> Iterator[str]:
        yield "call-0"
        for task in workers():
            if task is not asyncio.current_task():
                task.cancel()
        yield "call-1"

    played = Played()

    got, raised = await collect(played.run(watchdog()))

    assert got == []
    assert "cancelled by somebody else" in str(raised)
    assert await nothing_is_left()


@virtual_time
async def test_a_call_that_waits_long_does_not_hold_up_the_end() -> None:
    """Neither one that was never sent, nor one that waits for its next attempt."""

    async def fetch(ref: CallRef, turn: Turn) -> CallLog:
        if ref.call_id == "call-0":
            await asyncio.sleep(3600)  # for its token
        permit = await acquired(turn, ref.location_id)
        if ref.call_id == "call-2":
            await asyncio.sleep(5)
            raise KeyboardInterrupt
        permit.release(status=503, headers={})
        turn.pause()
        await asyncio.sleep(3600)
        raise AssertionError

    bulk = Bulk(fetch, as_it_is, Unlimited(), concurrency=4, look_ahead=100, ordered=False)
    calls = [CallRef(id_, id_) for id_ in ids(3)]
    started = now()

    got, raised = await collect(bulk.results(calls, None))

    assert now() - started < 6
    assert isinstance(raised, KeyboardInterrupt)
    assert {result.call_id: getattr(result.error, "attempts", 0) for result in got} == {"call-1": 1, "call-2": 1}


class Stubborn:
    """An input that is slow to end: each of its cleanups takes an hour, unless it is cancelled."""

    def __init__(self) -> None:
        self.cancelled = 0

    async def items(self, *, wait: float) -> AsyncIterator[str]:
        try:
            for id_ in ids(100):
                yield id_
                await asyncio.sleep(wait)
        finally:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise


@pytest.mark.parametrize("wait", [0.0, 1000.0])
@virtual_time
async def test_an_input_whose_cleanup_hangs_is_cancelled_after_a_while(
    wait: float, caplog: pytest.LogCaptureFixture
) -> None:
    stubborn = Stubborn()
    started = now()

    async with aclosing(Played().run(stubborn.items(wait=wait), look_ahead=1, concurrency=1)) as results:
        await anext(results)

    assert now() - started < 60
    assert stubborn.cancelled == 1
    assert await nothing_is_left()
    assert wait or "did not close" in caplog.text


@pytest.mark.parametrize("wait", [0.0, 1000.0])
@virtual_time
async def test_a_consumer_cancelled_while_the_input_is_closed_ends_at_once(wait: float) -> None:
    stubborn = Stubborn()
    results = Played().run(stubborn.items(wait=wait), look_ahead=1, concurrency=1)
    await anext(results)
    closing = asyncio.ensure_future(results.aclose())
    await asyncio.sleep(1)
    started = now()

    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing

    assert now() - started < 0.01
    assert stubborn.cancelled == 1
    assert await nothing_is_left()


@virtual_time
async def test_a_task_that_never_ends_is_left_alone_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    is_over = asyncio.Event()

    async def deaf() -> AsyncIterator[str]:
        yield "x"
        while not is_over.is_set():
            try:
                await is_over.wait()
            except asyncio.CancelledError:
                continue

    async with aclosing(Played().run(deaf())) as results:
        await anext(results)

    assert "1 tasks of a bulk did not end within 20 s" in caplog.text
    is_over.set()
    await asyncio.sleep(0.01)
    assert await nothing_is_left()


@virtual_time
async def test_a_task_that_never_ends_is_left_alone_by_a_consumer_cancelled_often() -> None:
    """As anyio cancels: in each turn of the loop, until the consumer has ended."""
    is_over = False

    async def deaf() -> AsyncIterator[str]:
        yield "x"
        while not is_over:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(1.0)

    consumer = asyncio.create_task(drained(Played().run(deaf())))
    await asyncio.sleep(0.5)
    for _ in range(300):
        consumer.cancel()
        await asyncio.sleep(0.1)

    is_over = True
    was_cancelled = consumer.cancelled()
    await asyncio.sleep(1.0)

    assert was_cancelled
    assert await nothing_is_left()


async def raises_when_closed() -> AsyncIterator[str]:
    try:
        for id_ in ids(1000):
            yield id_
    finally:
        raise LookupError("the cursor is gone")


@virtual_time
async def test_what_an_input_raises_when_it_is_closed_reaches_the_consumer() -> None:
    results = Played().run(raises_when_closed())
    await anext(results)

    with pytest.raises(LookupError):
        await results.aclose()

    assert await nothing_is_left()


@virtual_time
async def test_a_cancellation_is_not_replaced_by_what_the_input_raises(caplog: pytest.LogCaptureFixture) -> None:
    consumer = asyncio.create_task(drained(Played(latencies=dict.fromkeys(ids(10), 10.0)).run(raises_when_closed())))
    await asyncio.sleep(1)

    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer

    assert "the input of a bulk raised when it was closed" in caplog.text


@virtual_time
async def test_what_an_input_raises_as_its_reading_is_cancelled_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def slow() -> AsyncIterator[str]:
        yield "x"
        try:
            await asyncio.sleep(1000)
        finally:
            raise LookupError("the cursor is gone")

    async with aclosing(Played().run(slow())) as results:
        await anext(results)

    assert "the cursor is gone" in caplog.text


@virtual_time
async def test_a_timeout_of_the_inputs_own_is_not_taken_for_that_of_the_bulk() -> None:
    class Input:
        def __aiter__(self) -> Input:
            return self

        async def __anext__(self) -> str:
            return "x"

        async def aclose(self) -> None:
            raise TimeoutError("the database")

    results = Played().run(Input())
    await anext(results)

    with pytest.raises(TimeoutError, match="the database"):
        await results.aclose()


@pytest.mark.parametrize("concurrency", [1, 5])
def test_guarantee_25_a_loop_closed_under_a_bulk_leaves_all_permits_whole(concurrency: int) -> None:
    limiter = WindowRateLimiter(RateLimit(1, 1.0))
    played = Played(limiter, latencies={"call-1": 100.0, "call-3": 100.0})
    calls = [CallRef(id_, "AABBAAAABBBB"[number]) for number, id_ in enumerate(ids(12))]
    loop = asyncio.new_event_loop()
    bulks = [played.run(calls, None, concurrency=concurrency)]

    async def begin() -> None:
        await anext(bulks[0])
        await asyncio.sleep(0.2)

    loop.run_until_complete(begin())
    tasks = asyncio.all_tasks(loop)
    loop.close()
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # what asyncio would complain of
        task.get_coro().close()
    tasks.clear()

    assert limiter._queues["A"].window.under_way + limiter._queues["B"].window.under_way == 0
    bulks.clear()
    gc.collect()
