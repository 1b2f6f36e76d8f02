"""Calls of a location that refuses its token, while they wait for something."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from attrs import define, field
from played import acquired, as_it_is, ids
from virtual_time import now, virtual_time

from ghl_voice_async import AuthenticationError, CallLog, CallRef
from ghl_voice_async.bulk import Bulk
from ghl_voice_async.rate_limit import Unlimited

if TYPE_CHECKING:
    from ghl_voice_async.call import Turn


@define
class Refusing:
    """A location that responds to the first call with a 503, and refuses all others, each after its latency."""

    backoff: float
    latencies: dict[str, float] = field(factory=dict)
    sent: list[str] = field(factory=list)

    async def fetch(self, ref: CallRef, turn: Turn) -> CallLog:
        permit = await acquired(turn, ref.location_id)
        self.sent.append(ref.call_id)
        await asyncio.sleep(self.latencies.get(ref.call_id, 0.1))
        if ref.call_id == "call-0":
            permit.release(status=503, headers={})
            turn.pause()
            await asyncio.sleep(self.backoff)
            await acquired(turn, ref.location_id)
            raise AssertionError
        permit.release(status=401, headers={})
        turn.refuse("the token")
        raise AuthenticationError("no", status=401, call_id=ref.call_id, location_id=ref.location_id, attempts=1)

    async def attempts(self, *, look_ahead: int = 100) -> dict[str, int]:
        """Run a bulk that ends with the refusal, and return the attempts that each result names."""
        bulk = Bulk(self.fetch, as_it_is, Unlimited(), concurrency=2, look_ahead=look_ahead, ordered=False)
        found = {}
        with pytest.raises(AuthenticationError):  # noqa: PT012  # the loop raises
            async for result in bulk.results(ids(12), "A"):
                assert isinstance(result.error, AuthenticationError)
                assert result.call_id not in found
                found[result.call_id] = result.error.attempts
        return found


@virtual_time
async def test_guarantee_40_a_call_in_its_backoff_is_not_sent_again() -> None:
    refusing = Refusing(backoff=5.0)

    attempts = await refusing.attempts()

    assert sorted(attempts) == sorted(ids(12))
    assert refusing.sent == ids(3)


@virtual_time
async def test_guarantee_40_a_call_that_waits_for_a_place_is_not_sent_again() -> None:
    refusing = Refusing(backoff=0.5, latencies={"call-2": 3.0})

    attempts = await refusing.attempts()

    assert sorted(attempts) == sorted(ids(12))
    assert refusing.sent == ids(3)


@virtual_time
async def test_guarantee_40_the_end_of_the_bulk_does_not_wait_for_a_backoff() -> None:
    refusing = Refusing(backoff=3600.0)
    started = now()

    attempts = await refusing.attempts(look_ahead=1)

    assert now() - started < 1
    assert attempts["call-0"] == 1
