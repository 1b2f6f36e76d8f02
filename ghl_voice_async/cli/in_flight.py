"""Bounds what a kill can lose: calls in flight, and call logs that came and are not stored yet."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from attrs import define, field

from ghl_voice_async import CallRef, ResponseEvent, RetryEvent
from ghl_voice_async.cli.gate import GateShutError
from ghl_voice_async.semaphore import Semaphore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ghl_voice_async import CallEvent, CallLogResult, Permit
    from ghl_voice_async.cli.gate import Gate

__all__ = ["InFlightLimiter"]


@define(eq=False)
class InFlightLimiter:
    """A rate limiter that lets no request out while `concurrency` calls are in flight or wait to be stored.

    A request takes a slot for as long as it is in flight. After a response with a call log, the slot is kept until
    `end` is told of the result. It is a hook of the client, too, which tells it whose response that is.
    """

    gate: Gate
    concurrency: int
    _slots: Semaphore = field(init=False)
    _unstored: Counter[CallRef] = field(factory=Counter, init=False)
    """Slots kept by calls whose response has come."""

    def __attrs_post_init__(self) -> None:
        self._slots = Semaphore(self.concurrency)

    async def acquire(self, location_id: str, *, max_pause: float) -> Permit:
        """Return when one request may be sent. Raise `GateShutError` as soon as the gate is shut."""
        permit = await self.gate.acquire(location_id, max_pause=max_pause)
        # Not before: a call that waits for its location must not take a slot from the others.
        try:
            await self._slots.acquire()
        except BaseException:
            permit.cancel()
            raise
        if self.gate.is_shut:
            self._slots.release()
            permit.cancel()
            raise GateShutError
        return _PermitWithSlot(permit, self._slots)

    def see(self, event: CallEvent) -> None:
        """Be the hook."""
        ref = CallRef(event.call_id, event.location_id)
        if isinstance(event, ResponseEvent):
            if _is_success(event.status):
                self._unstored[ref] += 1
        elif isinstance(event, RetryEvent):  # what came was no call log after all
            self._end(ref)

    def end(self, results: Iterable[CallLogResult]) -> None:
        """Give back the slots of results that are stored."""
        for result in results:
            self._end(result.ref)

    def _end(self, ref: CallRef) -> None:
        for _ in range(self._unstored.pop(ref, 0)):
            self._slots.release()


@define(eq=False)
class _PermitWithSlot:
    permit: Permit
    slots: Semaphore

    def release(self, *, status: int | None, headers: Mapping[str, str]) -> None:
        self.permit.release(status=status, headers=headers)
        if not _is_success(status):
            self.slots.release()

    def cancel(self) -> None:
        self.permit.cancel()
        self.slots.release()


def _is_success(status: int | None) -> bool:
    return status is not None and 200 <= status < 300
