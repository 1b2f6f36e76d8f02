from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ghl_voice_async.semaphore import Semaphore, Waiters

if TYPE_CHECKING:
    from collections.abc import Coroutine


async def waiting(semaphore: Semaphore, count: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(semaphore.acquire()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def done(tasks: list[asyncio.Task[None]]) -> list[bool]:
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return [task.done() and not task.cancelled() for task in tasks]


def test_there_are_as_many_slots_as_said() -> None:
    semaphore = Semaphore(2)

    assert [semaphore.try_acquire() for _ in range(3)] == [True, True, False]

    semaphore.release()
    assert [semaphore.try_acquire() for _ in range(2)] == [True, False]


async def test_a_slot_that_is_free_needs_no_wait() -> None:
    semaphore = Semaphore(1)

    await semaphore.acquire()

    assert not semaphore.free


async def test_a_slot_goes_to_the_coroutine_that_waits_longest() -> None:
    semaphore = Semaphore(1)
    semaphore.try_acquire()
    tasks = await waiting(semaphore, 2)

    semaphore.release()
    assert await done(tasks) == [True, False]
    assert not semaphore.try_acquire()
    semaphore.release()

    assert await done(tasks) == [True, True]
    semaphore.release()
    assert semaphore.try_acquire()


async def test_guarantee_25_a_cancelled_waiter_is_passed_over() -> None:
    semaphore = Semaphore(1)
    semaphore.try_acquire()
    tasks = await waiting(semaphore, 2)

    tasks[0].cancel()
    semaphore.release()

    assert await done(tasks) == [False, True]


async def test_guarantee_25_a_slot_that_meets_a_cancellation_goes_to_the_next() -> None:
    semaphore = Semaphore(1)
    semaphore.try_acquire()
    tasks = await waiting(semaphore, 2)

    semaphore.release()
    tasks[0].cancel()

    assert await done(tasks) == [False, True]
    tasks[1].cancel()
    semaphore.release()
    assert semaphore.free == 1


def begun(semaphore: Semaphore) -> Coroutine[Any, Any, None]:
    """Begin to wait without a task."""
    coroutine = semaphore.acquire()
    coroutine.send(None)
    return coroutine


@pytest.mark.parametrize("error", [GeneratorExit(), KeyboardInterrupt(), asyncio.CancelledError()], ids=repr)
@pytest.mark.parametrize("is_granted", [False, True])
async def test_guarantee_25_a_waiter_that_dies_of_anything_loses_no_slot(
    error: BaseException, is_granted: bool
) -> None:
    semaphore = Semaphore(1)
    semaphore.try_acquire()
    coroutine = begun(semaphore)

    if is_granted:
        semaphore.release()
    with pytest.raises(type(error)):
        coroutine.throw(error)
    if not is_granted:
        semaphore.release()

    assert semaphore.free == 1


def test_guarantee_25_a_loop_closed_under_its_waiters_loses_no_slot() -> None:
    semaphore = Semaphore(1)
    coroutines: list[Coroutine[Any, Any, None]] = []

    async def begin_to_wait() -> None:
        semaphore.try_acquire()
        coroutines.extend(begun(semaphore) for _ in range(3))
        semaphore.release()  # to the first, which is closed with it

    asyncio.run(begin_to_wait())
    for coroutine in coroutines:
        coroutine.close()

    assert semaphore.free == 1


def test_guarantee_25_a_waiter_of_a_closed_loop_is_passed_over() -> None:
    semaphore = Semaphore(1)
    kept: list[Coroutine[Any, Any, None]] = []

    async def begin_to_wait() -> None:
        semaphore.try_acquire()
        kept.append(begun(semaphore))

    asyncio.run(begin_to_wait())
    semaphore.release()

    assert semaphore.free == 1
    kept[0].close()
    assert semaphore.free == 1


async def test_a_waiter_that_is_gone_is_not_ended_with_an_error() -> None:
    waiters = Waiters[str](lambda _: None)
    waiter = waiters.enter()
    task = asyncio.create_task(waiters.wait(waiter))
    await asyncio.sleep(0)

    task.cancel()
    waiters.fail(waiter, ValueError("too late"))

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_that_meets_a_cancellation_is_forgotten() -> None:
    waiters = Waiters[str](lambda _: None)
    waiter = waiters.enter()
    task = asyncio.create_task(waiters.wait(waiter))
    await asyncio.sleep(0)

    waiters.fail(waiter, ValueError("and at once cancelled"))
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


def test_nothing_is_given_where_nobody_waits() -> None:
    assert not Waiters[str](lambda _: None).give("a value")


class Holders(RuleBasedStateMachine):
    """Tasks and bare coroutines that ask for slots and end in any way, several of them in one turn of the loop."""

    SLOTS = 2

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.loop = self.runner.get_loop()
        self.semaphore = Semaphore(self.SLOTS)
        self.held = 0
        self.order: deque[int] = deque()  # of those that wait, and are not known to be gone
        self.asked = 0
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.coroutines: dict[int, Coroutine[Any, Any, None]] = {}

    async def hold(self, number: int) -> None:
        await self.semaphore.acquire()
        while self.order[0] != number:  # those before it are gone, or it would not be its turn
            gone = self.order.popleft()
            assert gone not in self.tasks or self.tasks[gone].cancelling()
            assert gone not in self.coroutines
        self.order.popleft()
        self.held += 1

    @rule()
    def ask(self) -> None:
        self.asked += 1
        self.order.append(self.asked)
        self.tasks[self.asked] = self.loop.create_task(self.hold(self.asked))
        self.turn()

    @rule()
    def ask_without_a_task(self) -> None:
        async def begin() -> None:
            coroutine = self.semaphore.acquire()
            try:
                coroutine.send(None)
            except StopIteration:
                self.held += 1
            else:
                self.asked += 1
                self.coroutines[self.asked] = coroutine

        self.runner.run(begin())

    @rule()
    def try_to_take(self) -> None:
        self.held += self.semaphore.try_acquire()

    @precondition(lambda self: self.held)
    @rule()
    def release(self) -> None:
        self.held -= 1
        self.semaphore.release()

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([*self.tasks]))
        self.tasks[number].cancel()

    @precondition(lambda self: self.coroutines)
    @rule(data=st.data(), error=st.sampled_from([GeneratorExit, asyncio.CancelledError, SystemExit]))
    def end_a_coroutine(self, data: st.DataObject, error: type[BaseException]) -> None:
        number = data.draw(st.sampled_from([*self.coroutines]))
        coroutine = self.coroutines.pop(number)
        with contextlib.suppress(error):
            coroutine.throw(error())

    @rule()
    def turn(self) -> None:
        """Let the loop run, so that the rules since the last time were all in one turn."""

        async def settle() -> None:
            for _ in range(3):
                await asyncio.sleep(0)

        self.runner.run(settle())
        self.tasks = {number: task for number, task in self.tasks.items() if not task.done()}

    @invariant()
    def no_more_slots_are_free_than_are_not_held(self) -> None:
        assert 0 <= self.semaphore.free <= self.SLOTS - self.held

    def teardown(self) -> None:
        self.turn()
        assert not self.semaphore.free or self.semaphore._waiters.first() is None, "one waits while a slot is free"
        for task in self.tasks.values():
            task.cancel()
        self.turn()
        assert not self.tasks
        self.runner.close()
        for coroutine in self.coroutines.values():
            coroutine.close()
        assert self.semaphore.free == self.SLOTS - self.held


TestHolders = Holders.TestCase
TestHolders.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
