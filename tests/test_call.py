from __future__ import annotations

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
