"""How many requests a location may be sent, and who waits until the next one may go.

A slot that a request took becomes free one interval after its answer came, not after it was sent: then each
slot lands at most one request in any window of the server's, however that window is aligned and however
long the way takes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from attrs import define, field, frozen

from ghl_voice_async.errors import RateLimitError
from ghl_voice_async.response import Headers, limit_headers, retry_after
from ghl_voice_async.validation import count_field, seconds_field

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Permit", "RateLimit", "RateLimiter", "Unlimited", "WindowRateLimiter"]

_NO_HEADERS = Headers({})


@frozen
class RateLimit:
    """What the API allows for each app and location. The defaults are the published limits."""

    max_requests: int = field(default=100, validator=count_field)
    """Requests in any interval."""
    interval: float = field(default=10.0, validator=seconds_field)
    """Length of the interval in seconds."""
    daily: int = field(default=200_000, validator=count_field)
    """Requests a day."""


class Permit(Protocol):
    """Leave to send one request. Exactly one of its two methods is called, once, whatever became of the request."""

    def release(self, *, status: int | None, headers: Mapping[str, str]) -> None:
        """Learn how the request ended: its status and headers, or None and none where no answer came."""

    def cancel(self) -> None:
        """Learn that the request was given up before any of it was sent."""


@runtime_checkable
class RateLimiter(Protocol):
    """Decides when a request may be sent to a location.

    The client awaits `acquire` before every request on the wire, retries included. `acquire` may be cancelled,
    and must then leave no permit behind. What it raises reaches the caller as it is.

    ::

        class OneAtATime:
            def __init__(self) -> None:
                self._lock = asyncio.Lock()

            async def acquire(self, location_id: str, *, max_pause: float) -> Permit:
                await self._lock.acquire()
                return self

            def release(self, *, status: int | None, headers: Mapping[str, str]) -> None:
                self._lock.release()

            def cancel(self) -> None:
                self._lock.release()
    """

    async def acquire(self, location_id: str, *, max_pause: float) -> Permit:
        """Return when one request may be sent to this location.

        `max_pause` is what is left of the call's `max_elapsed`, in seconds. Where a `Retry-After` of the server's
        asks for more, a limiter that knows of it raises `RateLimitError` at once.
        """
        ...  # pyright takes a docstring alone for a body that returns nothing


class Unlimited:
    """The limiter of a client with `rate_limit=None`, and its permit."""

    __slots__ = ()

    async def acquire(self, location_id: str, *, max_pause: float) -> Unlimited:  # noqa: ARG002  # the protocol's
        """Return at once."""
        return self

    def release(self, *, status: int | None, headers: Mapping[str, str]) -> None:
        """Do nothing."""

    def cancel(self) -> None:
        """Do nothing."""


class WindowRateLimiter:
    """The default limiter: at most `max_requests` of a location arrive in any `interval`, in order of asking.

    Belongs to one event loop, and may be shared by the clients in it. It follows the server where its headers
    name a smaller limit or a longer interval than `rate_limit` does, and never goes above that. After a 429 the
    whole location waits for the `Retry-After`, or for one interval where there is none. The daily limit is not
    kept here yet.
    """

    def __init__(self, rate_limit: RateLimit) -> None:
        self.rate_limit = rate_limit
        self._windows: dict[str, _Window] = {}

    def __repr__(self) -> str:
        return f"WindowRateLimiter({self.rate_limit!r})"

    async def acquire(self, location_id: str, *, max_pause: float = inf) -> Permit:
        """Return when one request may be sent to this location.

        Raises `RateLimitError` at once where the server asked this location to wait for longer than `max_pause`
        seconds.
        """
        window = self._windows.get(location_id)
        if window is None:
            window = self._windows[location_id] = _Window(self.rate_limit, asyncio.get_running_loop())
        return await window.acquire(max_pause)


@define(eq=False)
class _Slot:
    """A permit. Its slot becomes free one interval after the release, or at once when nothing was sent."""

    window: _Window
    number: int
    """Permits of a window are sent in the order of their numbers."""

    def release(self, *, status: int | None = None, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        self.window.release(self, status, headers)

    def cancel(self) -> None:
        self.window.give_back()


@define(eq=False)
class _Turn:
    """One who waits, and the longest pause asked for by the server that they sit out."""

    slot: asyncio.Future[_Slot]
    max_pause: float


class _Window:
    """The slots of one location, and those who wait for one. Times are the event loop's."""

    def __init__(self, rate_limit: RateLimit, loop: asyncio.AbstractEventLoop) -> None:
        self._configured = rate_limit
        self._max_requests = rate_limit.max_requests
        self._interval = rate_limit.interval
        self._loop = loop
        self._numbers = count(1)
        self._newest_heard = 0
        self._under_way = 0
        self._released: deque[float] = deque()  # when each slot that is not free yet was released, in order
        self._paused_until = 0.0
        self._asked_to_wait_until = 0.0
        self._waiting: deque[_Turn] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def acquire(self, max_pause: float) -> _Slot:
        asked = self._asked_to_wait_until - self._loop.time()
        if asked > max_pause:
            raise _too_long(asked)
        if not self._waiting and self._may_send():
            return self._take()
        turn = _Turn(self._loop.create_future(), max_pause)
        self._waiting.append(turn)
        self._wake()
        try:
            return await turn.slot
        except asyncio.CancelledError:
            if turn.slot.done() and not turn.slot.cancelled() and turn.slot.exception() is None:
                # The permit came and the cancellation won: nothing was sent, so the slot is whole.
                self.give_back()
            raise

    def release(self, slot: _Slot, status: int | None, headers: Mapping[str, str]) -> None:
        self._under_way -= 1
        self._released.append(self._loop.time())
        self._listen(slot, headers)
        if status == 429:
            self._pause(retry_after(headers))
        self._wake()

    def give_back(self) -> None:
        self._under_way -= 1
        self._wake()

    def _listen(self, slot: _Slot, headers: Mapping[str, str]) -> None:
        """Follow the server, by the newest request's word where answers overtake each other."""
        said = limit_headers(headers)
        if said is None or slot.number < self._newest_heard:
            return
        self._newest_heard = slot.number
        if said.max_requests is not None:
            self._max_requests = min(self._configured.max_requests, said.max_requests)
        if said.interval is not None:
            self._interval = max(self._configured.interval, said.interval)

    def _pause(self, asked: float | None) -> None:
        now = self._loop.time()
        self._paused_until = max(self._paused_until, now + (asked or self._interval))
        if asked is not None and now + asked > self._asked_to_wait_until:
            self._asked_to_wait_until = now + asked
            for turn in self._waiting:
                if turn.max_pause < asked and not turn.slot.done():
                    turn.slot.set_exception(_too_long(asked))

    def _may_send(self) -> bool:
        """Tell whether there is a free slot and no pause, having collected the slots that have become free."""
        now = self._loop.time()
        while self._released and self._released[0] + self._interval <= now:
            self._released.popleft()
        return self._under_way + len(self._released) < self._max_requests and now >= self._paused_until

    def _take(self) -> _Slot:
        self._under_way += 1
        return _Slot(self, next(self._numbers))

    def _wake(self) -> None:
        """Hand free slots to those who wait, and set the one timer for the next that may go."""
        while self._waiting and (self._waiting[0].slot.done() or self._may_send()):
            turn = self._waiting.popleft()
            if not turn.slot.done():
                turn.slot.set_result(self._take())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and (at := self._next_free()) is not None:
            self._timer = self._loop.call_at(at, self._wake)

    def _next_free(self) -> float | None:
        """Say when a slot may be free, or None when each is with a request under way, whose release wakes."""
        free_at = self._paused_until
        if self._under_way + len(self._released) >= self._max_requests:
            if not self._released:
                return None
            free_at = max(free_at, self._released[0] + self._interval)
        return free_at


def _too_long(asked: float) -> RateLimitError:
    message = f"the server asked this location to wait {asked:.0f} s, which is longer than the retry policy allows"
    return RateLimitError(message, status=429, retry_after=asked)
