from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from watched import Counting

from ghl_voice_async import RetryPolicy
from ghl_voice_async.call import Call
from ghl_voice_async.hooks import Hooks
from ghl_voice_async.rate_limit import immediate
from ghl_voice_async.request import call_log_request, request_headers

if TYPE_CHECKING:
    from collections.abc import Callable


def call_of(limiter: Counting, now: Callable[[], float] = lambda: 0.0) -> Call:
    request = call_log_request("https://example.com", request_headers("v3"), "call", "location")
    return Call(request, immediate(limiter), RetryPolicy(), Hooks(), now)


async def test_a_permit_under_which_nothing_was_sent_comes_back_whole_also_after_another_that_was_spent() -> None:
    limiter = Counting()
    call = call_of(limiter)
    for is_sent in (True, False):
        assert not call.take_permit()
        await call.wait_for_permit()
        if is_sent:
            call.begin()
        call.give_back(None, None)
    assert (limiter.taken, limiter.released, limiter.cancelled) == (2, 1, 1)


async def test_a_limiter_learns_how_long_the_call_may_still_take() -> None:
    clock = iter([0.0, 30.0, 40.0, 40.0, 40.0])
    asked: list[float] = []

    class Asked(Counting):
        def acquire_at_once(self, location_id: str, *, max_pause: float) -> None:
            asked.append(max_pause)

        async def acquire(self, location_id: str, *, max_pause: float) -> Counting:
            asked.append(max_pause)
            return await super().acquire(location_id, max_pause=max_pause)

    call = call_of(Asked(), clock.__next__)
    call.take_permit()
    call.begin()
    call.take_permit()
    await call.wait_for_permit()
    assert asked == [120.0, 90.0, 80.0]


async def test_guarantee_10_a_limiter_is_told_the_lesser_of_policy_and_deadline() -> None:
    time = 0.0
    call = call_of(Counting(), lambda: time)
    call.deadline_at = 100.0
    call.begin()
    asked = []

    for time in (10.0, 50.0, 99.0):
        call.waited_for_permits = time / 2
        asked.append((call.patience(), call.until_deadline()))

    assert asked == [(90.0, 90.0), (50.0, 50.0), (1.0, 1.0)]
    assert call_of(Counting()).until_deadline() == inf
