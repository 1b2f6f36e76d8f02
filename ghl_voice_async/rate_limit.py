"""How many requests a location may be sent, and who waits until the next one may go.

A slot that a request took becomes free one interval after its answer came, not after it was sent: then each
slot lands at most one request in any window of the server's, however that window is aligned and however
long the way takes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from attrs import field, frozen

from ghl_voice_async.response import Headers, retry_after
from ghl_voice_async.validation import count_field, seconds_field

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RateLimit", "RateLimiter", "Unlimited", "WindowRateLimiter"]

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


@runtime_checkable
class RateLimiter(Protocol):
    """Decides when a request may be sent to a location.

    The client awaits `acquire` before every request, retries included, and calls `release` once for every
    `acquire` that returned, whatever became of the request. `acquire` may be cancelled, and must then leave
    no permit behind. What it raises reaches the caller as it is.

    ::

        class OneAtATime:
            def __init__(self) -> None:
                self._lock = asyncio.Lock()

            async def acquire(self, location_id: str) -> None:
                await self._lock.acquire()

            def release(self, location_id: str, *, status: int | None, headers: Mapping[str, str]) -> None:
                self._lock.release()
    """

    async def acquire(self, location_id: str) -> None:
        """Return when one request may be sent to this location."""

    def release(self, location_id: str, *, status: int | None, headers: Mapping[str, str]) -> None:
        """Learn how that request ended: its status and headers, or None and none where no answer came."""


class Unlimited:
    """The limiter of a client with `rate_limit=None`."""

    __slots__ = ()

    async def acquire(self, location_id: str) -> None:
        """Return at once."""

    def release(self, location_id: str, *, status: int | None, headers: Mapping[str, str]) -> None:
        """Do nothing."""


class WindowRateLimiter:
    """The default limiter: at most `max_requests` of a location arrive in any `interval`, in order of asking.

    Belongs to one event loop, and may be shared by the clients in it. After a 429 the whole location waits
    for the `Retry-After`, or for one interval where there is none. The daily limit is not kept here yet.
    """

    def __init__(self, rate_limit: RateLimit) -> None:
        self.rate_limit = rate_limit
        self._windows: dict[str, _Window] = {}

    def __repr__(self) -> str:
        return f"WindowRateLimiter({self.rate_limit!r})"

    async def acquire(self, location_id: str) -> None:
        """Return when one request may be sent to this location."""
        window = self._windows.get(location_id)
        if window is None:
            window = self._windows[location_id] = _Window(self.rate_limit, asyncio.get_running_loop())
        await window.acquire()

    def release(self, location_id: str, *, status: int | None = None, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """Let the permit's slot become free one interval from now, and pause the location after a 429."""
        window = self._windows[location_id]
        if status == 429:
            window.pause(retry_after(headers) or self.rate_limit.interval)
        window.release()


class _Window:
    """The slots of one location, and those who wait for one."""

    def __init__(self, rate_limit: RateLimit, loop: asyncio.AbstractEventLoop) -> None:
        self._interval = rate_limit.interval
        self._loop = loop
        self._free = rate_limit.max_requests
        self._returning: deque[float] = deque()  # when each used slot becomes free, in order
        self._paused_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def acquire(self) -> None:
        self._collect()
        if self._may_send() and not self._waiting:
            self._free -= 1
            return
        turn = self._loop.create_future()
        self._waiting.append(turn)
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # The permit came and the cancellation won: nothing was sent, so the slot is whole.
                self._free += 1
                self._wake()
            raise

    def release(self) -> None:
        self._returning.append(self._loop.time() + self._interval)
        self._wake()

    def pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._loop.time() + seconds)

    def _may_send(self) -> bool:
        return self._free > 0 and self._loop.time() >= self._paused_until

    def _collect(self) -> None:
        now = self._loop.time()
        while self._returning and self._returning[0] <= now:
            self._returning.popleft()
            self._free += 1

    def _wake(self) -> None:
        """Hand free slots to those who wait, and set the one timer for the next that may go."""
        self._collect()
        while self._waiting and self._may_send():
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free -= 1
                turn.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            if self._free:
                self._timer = self._loop.call_at(self._paused_until, self._wake)
            elif self._returning:
                self._timer = self._loop.call_at(max(self._returning[0], self._paused_until), self._wake)
            # Otherwise every slot is with a request under way, whose release comes here.
