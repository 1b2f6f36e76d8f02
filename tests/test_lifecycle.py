"""Closing, other loops and forks are tested through the client, in test_client.py; here is what only this decides."""

from __future__ import annotations

import asyncio
import contextlib

from virtual_time import virtual_time

from ghl_voice_async.lifecycle import Lifecycle


@virtual_time
async def test_closing_waits_for_a_call_whose_deadline_has_just_passed() -> None:
    lifecycle = Lifecycle()
    closing: list[asyncio.Task[None]] = []

    async def call() -> None:
        scope = lifecycle.begin(asyncio.get_running_loop(), 1.0)
        with scope:
            try:
                await asyncio.sleep(60)
            finally:
                closing.append(asyncio.create_task(lifecycle.aclose()))
                await asyncio.sleep(0)
                assert not closing[0].done()
        assert scope.is_interrupted
        lifecycle.end(scope)

    await call()
    await closing[0]
    assert lifecycle.closed


@virtual_time
async def test_closing_waits_for_the_last_call() -> None:
    lifecycle = Lifecycle()
    loop = asyncio.get_running_loop()
    first, last = lifecycle.begin(loop, None), lifecycle.begin(loop, None)
    with first, last:
        closing = asyncio.create_task(lifecycle.aclose())
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
    lifecycle.end(first)
    await asyncio.sleep(1)
    assert not closing.done()
    lifecycle.end(last)
    await closing


@virtual_time
async def test_no_timer_outlasts_a_call_with_a_deadline() -> None:
    lifecycle = Lifecycle()
    scope = lifecycle.begin(asyncio.get_running_loop(), 1000.0)
    timer = lifecycle._scopes[scope]
    lifecycle.end(scope)
    assert timer is not None
    assert timer.cancelled()


@virtual_time
async def test_outside_of_a_task_no_call_begins() -> None:
    lifecycle, loop = Lifecycle(), asyncio.get_running_loop()
    tried: asyncio.Future[Exception] = loop.create_future()

    def make() -> None:
        try:
            lifecycle.begin(loop, None)
        except RuntimeError as error:
            tried.set_result(error)

    loop.call_soon(make)
    assert "awaited in a task" in str(await tried)
