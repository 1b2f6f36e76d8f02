"""How far a bulk is, counted and shown: as a bar on a terminal, and as a line now and then elsewhere."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from attrs import define, field
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ghl_voice_async import ResponseEvent, RetryEvent
from ghl_voice_async.cli.estimate import duration, seconds_needed
from ghl_voice_async.cli.streams import OutputLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import Console

    from ghl_voice_async import CallEvent, CallLogResult, CallRef, RateLimit

__all__ = ["Tally", "show_progress"]

_SLOWEST = 5
_FIRST_FAILED = 5
_BETWEEN_FRAMES: Final = 0.2
_BETWEEN_LINES: Final = 5.0


@define
class Tally:
    """Counts what becomes of the calls of one run. It is a hook of the client, and is told of each stored result."""

    remaining: Counter[str]
    """Calls to be fetched, by location."""
    rate_limit: RateLimit | None
    total: int = 0
    fetched: int = 0
    failed: Counter[str] = field(factory=Counter)
    """Failed calls, by the name of the error's class."""
    first_failed: list[CallLogResult] = field(factory=list)
    retried: int = 0
    slowest: list[tuple[float, str, str]] = field(factory=list)
    """The answers that took longest, as a heap: seconds, call and location."""
    clock: Callable[[], float] = time.perf_counter
    _started_at: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._started_at = self.clock()

    @classmethod
    def of(cls, calls: Iterable[CallRef], rate_limit: RateLimit | None) -> Tally:
        """Make the tally of calls that are about to be fetched."""
        remaining = Counter(ref.location_id for ref in calls)
        return cls(remaining, rate_limit, total=remaining.total())

    def see(self, event: CallEvent) -> None:
        """Be the hook."""
        if isinstance(event, RetryEvent):
            self.retried += 1
        elif isinstance(event, ResponseEvent):
            push = heapq.heappush if len(self.slowest) < _SLOWEST else heapq.heappushpop
            push(self.slowest, (event.seconds, event.call_id, event.location_id))

    def add(self, results: Iterable[CallLogResult]) -> None:
        """Count results that are stored."""
        for result in results:
            self.remaining[result.location_id] -= 1
            if result.ok:
                self.fetched += 1
                continue
            self.failed[type(result.error).__name__] += 1
            if len(self.first_failed) < _FIRST_FAILED:
                self.first_failed.append(result)

    @property
    def done(self) -> int:
        """Calls that have a result, of one kind or the other."""
        return self.fetched + self.failed.total()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self.clock() - self._started_at

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.done / max(self.seconds, 1e-9)

    @property
    def time_left(self) -> str:
        """What the limit makes it take at least, or longer where the rate so far says so."""
        if not self.done:
            return "?"
        left = (self.total - self.done) / self.rate
        return duration(max(left, seconds_needed(self.remaining.values(), self.rate_limit)))


async def show_progress(tally: Tally, console: Console) -> None:
    """Show the tally until cancelled, or until nobody reads it any more."""
    show = _show_bar if console.is_interactive else _show_lines
    with suppress(OutputLostError):
        await show(tally, console)


async def _show_lines(tally: Tally, console: Console) -> None:
    while True:
        await asyncio.sleep(_BETWEEN_LINES)
        console.print(_line(tally), soft_wrap=True, highlight=False)


async def _show_bar(tally: Tally, console: Console) -> None:
    columns = BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn("{task.description}", markup=False)
    # Redirected, what others write meanwhile would reach the terminal with its escape codes.
    with Progress(
        *columns, console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as progress:
        task = progress.add_task("", total=tally.total)
        while True:
            progress.update(task, completed=tally.done, description=_state(tally), refresh=True)
            await asyncio.sleep(_BETWEEN_FRAMES)


def _state(tally: Tally) -> str:
    return (
        f"{tally.failed.total():,} failed, {tally.retried:,} retried, {tally.rate:,.1f} a second,"
        f" {tally.time_left} left"
    )


def _line(tally: Tally) -> str:
    return f"{tally.done:,} of {tally.total:,}: {_state(tally)}"
