"""A bulk that is stored while it comes, counted, shown, and ended in good order by a signal."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final

from attrs import define, field

from ghl_voice_async import CallLogResult
from ghl_voice_async.cli.gate import Gate, GateShutError
from ghl_voice_async.cli.progress import Tally, show_progress
from ghl_voice_async.cli.signals import call_when_asked_to_stop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from rich.console import Console

    from ghl_voice_async import CallRef
    from ghl_voice_async.cli.in_flight import InFlightLimiter
    from ghl_voice_async.cli.outputs import Failures, Output

__all__ = ["Storing"]

_AT_ONCE: Final = 64  # results that wait to be stored, before no more are taken
_GRACE: Final = 5.0  # seconds, for what is under way when a signal comes


@define(eq=False)
class Storing:
    """Stores the results of one bulk.

    That runs in a thread, with all that came during the last write, so that results are on disk as soon as the disk
    allows. After a first SIGINT or SIGTERM nothing more is sent, and what is under way has a few seconds; a second one
    ends that, too.
    """

    results: AsyncGenerator[CallLogResult, None]
    gate: Gate
    output: Output
    failures: Failures
    tally: Tally
    in_flight: InFlightLimiter | None = None
    """Bounds what is fetched and not stored, where that matters."""
    _pending: list[CallLogResult] = field(factory=list, init=False)
    _news: asyncio.Event = field(factory=asyncio.Event, init=False)
    _room: asyncio.Event = field(factory=asyncio.Event, init=False)

    async def run(self, console: Console | None) -> None:
        """Return when all is stored, or when a signal has ended it; raise what the results raise, once they are."""
        collector = asyncio.create_task(self._collect())
        collector.add_done_callback(lambda _: self._news.set())
        tasks = [collector]
        if console is not None:
            tasks.append(asyncio.create_task(show_progress(self.tally, console)))
        try:
            call_when_asked_to_stop(partial(self._stop, collector))
            while self._pending or not collector.done():
                await self._store_what_came()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        if not collector.cancelled():
            collector.result()

    async def _collect(self) -> None:
        async with aclosing(self.results):
            async for result in self.results:
                if isinstance(result.error, GateShutError):
                    continue
                self._pending.append(result)
                self._news.set()
                if len(self._pending) >= _AT_ONCE:
                    self._room.clear()
                    await self._room.wait()

    async def _store_what_came(self) -> None:
        await self._news.wait()
        self._news.clear()
        while self._pending:
            batch, self._pending = self._pending, []
            self._room.set()
            self.tally.add(await asyncio.to_thread(self._store, batch))
            if self.in_flight is not None:
                self.in_flight.end(batch)

    def _store(self, batch: Sequence[CallLogResult]) -> Sequence[CallLogResult]:
        """Store results, and return them: a call log that the output cannot hold has become a failure."""
        refused = self.output.write([(result.ref, result.unwrap()) for result in batch if result.ok])
        if refused:
            batch = [_failed(result, refused) for result in batch]
        self.failures.write(result for result in batch if not result.ok)
        return batch

    def _stop(self, collector: asyncio.Task[None]) -> None:
        if self.gate.is_shut:
            collector.cancel()
        else:
            self.gate.shut()
            asyncio.get_running_loop().call_later(_GRACE, collector.cancel)


def _failed(result: CallLogResult, refused: Mapping[CallRef, Exception]) -> CallLogResult:
    error = refused.get(result.ref) if result.ok else result.error
    return result if error is None else CallLogResult(result.index, result.ref, error=error)
