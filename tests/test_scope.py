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


@virtual_time
async def test_of_two_scopes_one_within_the_other_each_ends_its_own() -> None:
    way = []
    with Scope(this_task()) as outer:
        with Scope(this_task()) as inner:
            asyncio.get_running_loop().call_soon(inner.interrupt)
            await asyncio.sleep(60)
        way.append("inner")
        asyncio.get_running_loop().call_soon(outer.interrupt)
        await asyncio.sleep(60)
    assert [*way, "outer"] == ["inner", "outer"]
    assert inner.is_interrupted
    assert outer.is_interrupted


async def timed(shared: SharedTimeout, *, seconds: float) -> tuple[bool, float]:
    """Sleep under the timeout, and tell whether it was interrupted, and after how long."""
    started = now()
    with Scope(this_task()) as scope:
        shared.start(scope, now())
        try:
            await asyncio.sleep(seconds)
        finally:
            shared.stop(scope)
    return scope.is_interrupted, round(now() - started, 3)


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
