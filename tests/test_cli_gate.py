from __future__ import annotations

import asyncio

import pytest
from virtual_time import now, virtual_time

from ghl_voice_async import RateLimit, RateLimiter, WindowRateLimiter
from ghl_voice_async.cli.gate import Gate, GateShutError


async def acquire(gate: Gate) -> None:
    permit = await gate.acquire("A", max_pause=1e9)
    permit.release(status=200, headers={})


@virtual_time
async def test_an_open_gate_passes_on_the_permits_of_its_limiter() -> None:
    gate = Gate(WindowRateLimiter(RateLimit(1, 10.0)))
    assert isinstance(gate, RateLimiter)
    started = now()
    await acquire(gate)
    await acquire(gate)
    assert now() - started == pytest.approx(10.0)


@virtual_time
async def test_without_a_limiter_there_is_no_waiting() -> None:
    gate = Gate(None)
    started = now()
    for _ in range(1000):
        await acquire(gate)
    (await gate.acquire("A", max_pause=1.0)).cancel()
    assert now() == started


@virtual_time
async def test_a_shut_gate_sends_away_those_who_wait_and_those_who_come() -> None:
    limiter = WindowRateLimiter(RateLimit(1, 10.0))
    gate = Gate(limiter)
    await acquire(gate)
    waiting = [asyncio.create_task(acquire(gate)) for _ in range(3)]
    await asyncio.sleep(1)
    started = now()
    gate.shut()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [GateShutError] * 3
    with pytest.raises(GateShutError):
        await acquire(gate)
    assert now() - started < 0.001
    assert limiter.rate_limits["A"].waiting == 0


@virtual_time
async def test_a_timeout_of_the_limiters_own_is_not_taken_for_the_gates() -> None:
    class Impatient:
        async def acquire(self, location_id: str, *, max_pause: float) -> Impatient:
            raise TimeoutError("after so long")

        def release(self, **_: object) -> None:
            """Never called."""

        def cancel(self) -> None:
            """Never called."""

    with pytest.raises(TimeoutError, match="after so long"):
        await acquire(Gate(Impatient()))
