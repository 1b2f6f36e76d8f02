from __future__ import annotations

import asyncio

from ghl_voice_async.places import Places


async def waiting(places: Places, count: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(places.wait()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def done(tasks: list[asyncio.Task[None]]) -> list[bool]:
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return [task.done() and not task.cancelled() for task in tasks]


def test_there_are_as_many_places_as_said() -> None:
    places = Places(2)
    assert [places.take() for _ in range(3)] == [True, True, False]
    places.leave()
    assert [places.take() for _ in range(2)] == [True, False]


async def test_a_place_goes_to_whoever_waits_longest() -> None:
    places = Places(1)
    places.take()
    tasks = await waiting(places, 2)
    places.leave()
    assert await done(tasks) == [True, False]
    assert not places.take()
    places.leave()
    assert await done(tasks) == [True, True]
    places.leave()
    assert places.take()


async def test_promise_25_who_is_cancelled_while_waiting_is_passed_over() -> None:
    places = Places(1)
    places.take()
    tasks = await waiting(places, 2)
    tasks[0].cancel()
    places.leave()
    assert await done(tasks) == [False, True]


async def test_promise_25_a_place_that_came_together_with_a_cancellation_goes_to_the_next() -> None:
    places = Places(1)
    places.take()
    tasks = await waiting(places, 2)
    places.leave()
    tasks[0].cancel()
    assert await done(tasks) == [False, True]
    tasks[1].cancel()
    places.leave()
    assert places.free == 1
