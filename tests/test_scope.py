from __future__ import annotations

import asyncio
from typing import Any

import pytest
from virtual_time import now, virtual_time

from ghl_voice_async.scope import Scope, SharedTimeout


def this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def inside(scope_made: asyncio.Future[Scope], *, seconds: float = 60.0) -> str:
    """Sleep in a scope, and tell how it was left."""
    with Scope(this_task()) as scope:
        scope_made.set_result(scope)
        await asyncio.sleep(seconds)
        return "to the end"
    return "interrupted"


async def begun() -> tuple[asyncio.Task[str], Scope]:
    scope_made: asyncio.Future[Scope] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(inside(scope_made))
    return task, await scope_made


@virtual_time
async def test_what_runs_to_its_end_is_left_alone() -> None:
    task, scope = await begun()
    assert await task == "to the end"
    scope.interrupt()
    assert not scope.is_interrupted


@virtual_time
async def test_an_interruption_ends_the_body_and_no_more() -> None:
    task, scope = await begun()
    scope.interrupt()
    scope.interrupt()
    assert await task == "interrupted"
    assert not task.cancelling()


@virtual_time
async def test_somebody_elses_cancellation_passes_through() -> None:
    task, scope = await begun()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not scope.is_interrupted


@pytest.mark.parametrize("is_first", [True, False])
def test_somebody_elses_cancellation_is_not_lost_beside_an_interruption(is_first: bool) -> None:
    @virtual_time
    async def scenario() -> None:
        task, scope = await begun()
        for end in (task.cancel, scope.interrupt) if is_first else (scope.interrupt, task.cancel):
            end()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelling() == 1

    scenario()


async def fails_on_the_way_out() -> None:
    with Scope(this_task()) as scope:
        asyncio.get_running_loop().call_soon(scope.interrupt)
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("on the way out")


@virtual_time
async def test_an_error_on_the_way_out_of_an_interrupted_body_is_the_outcome() -> None:
    with pytest.raises(ValueError, match="on the way out"):
        await fails_on_the_way_out()
    assert not this_task().cancelling()


async def timed(
    shared: SharedTimeout, *, seconds: float, scope_made: asyncio.Future[Scope] | None = None
) -> tuple[bool, float]:
    """Sleep under the timeout, and tell whether it ended that, and after how long."""
    started = now()
    with Scope(this_task()) as scope:
        if scope_made is not None:
            scope_made.set_result(scope)
        shared.start(scope, now())
        is_over_time = False
        try:
            try:
                await asyncio.sleep(seconds)
            finally:
                is_over_time = shared.stop(scope)
        except asyncio.CancelledError:
            if not is_over_time:
                raise
    return is_over_time, round(now() - started, 3)


@virtual_time
async def test_a_timeout_ends_its_part_of_a_scope_and_an_interruption_the_whole() -> None:
    timeout = SharedTimeout(10.0)
    way = []
    with Scope(this_task()) as scope:
        timeout.start(scope, now())
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            assert timeout.stop(scope)
            way.append("the part")
        assert not this_task().cancelling()
        asyncio.get_running_loop().call_soon(scope.interrupt)
        await asyncio.sleep(60)
    assert [*way, "the whole"] == ["the part", "the whole"]
    assert scope.is_interrupted
    assert not this_task().cancelling()


@pytest.mark.parametrize("is_first", [True, False])
def test_an_interruption_is_not_lost_beside_a_timeout(is_first: bool) -> None:
    @virtual_time
    async def scenario() -> None:
        scope_made: asyncio.Future[Scope] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(timed(SharedTimeout(60.0), seconds=600.0, scope_made=scope_made))
        scope = await scope_made
        for end in (scope.interrupt, scope.time_out) if is_first else (scope.time_out, scope.interrupt):
            end()
        assert await task == (False, 0.0)
        assert scope.is_interrupted
        assert not task.cancelling()

    scenario()


@pytest.mark.parametrize("is_first", [True, False])
def test_somebody_elses_cancellation_is_not_lost_beside_a_timeout(is_first: bool) -> None:
    @virtual_time
    async def scenario() -> None:
        scope_made: asyncio.Future[Scope] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(timed(SharedTimeout(60.0), seconds=600.0, scope_made=scope_made))
        scope = await scope_made
        for end in (task.cancel, scope.time_out) if is_first else (scope.time_out, task.cancel):
            end()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelling() == 1

    scenario()


@virtual_time
async def test_a_part_that_is_slow_to_end_is_cancelled_once() -> None:
    timeout = SharedTimeout(10.0)
    with Scope(this_task()) as scope:
        timeout.start(scope, now())
        timeout.start(Scope(this_task()), now() + 1.0)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            scope.time_out()
            assert this_task().cancelling() == 1
            assert timeout.stop(scope)
    assert not this_task().cancelling()
    timeout.cancel()


@virtual_time
async def test_a_part_that_is_paused_may_take_as_long_as_it_likes() -> None:
    timeout = SharedTimeout(10.0)
    scope = Scope(this_task())
    timeout.start(scope, now())
    await asyncio.sleep(9.0)
    timeout.pause(scope)
    await asyncio.sleep(100.0)
    timeout.start(scope, now())
    await asyncio.sleep(9.0)
    assert not timeout.stop(scope)
    timeout.cancel()


@virtual_time
async def test_each_scope_is_interrupted_at_its_own_time() -> None:
    timeout = SharedTimeout(10.0)
    tasks = []
    for seconds in (60.0, 5.0, 60.0, 60.0):
        tasks.append(asyncio.create_task(timed(timeout, seconds=seconds)))
        await asyncio.sleep(2.0)
    assert await asyncio.gather(*tasks) == [(True, 10.0), (False, 5.0), (True, 10.0), (True, 10.0)]


@virtual_time
async def test_scopes_that_begin_at_once_are_interrupted_at_once() -> None:
    timeout = SharedTimeout(10.0)
    outcomes = await asyncio.gather(*(timed(timeout, seconds=60.0) for _ in range(3)))
    assert {outcome[0] for outcome in outcomes} == {True}
    assert not timeout._due
    assert await timed(timeout, seconds=1.0) == (False, 1.0)


@virtual_time
async def test_the_timer_that_outlasts_its_scopes_can_be_cancelled() -> None:
    timeout = SharedTimeout(10.0)
    timeout.cancel()
    await timed(timeout, seconds=1.0)
    assert timeout._timer is not None
    timeout.cancel()
    assert timeout._timer is None
    assert await timed(timeout, seconds=60.0) == (True, 10.0)
