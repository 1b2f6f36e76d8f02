"""How many requests a location may be sent, and who waits until the next one may go."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf
from typing import Final, Protocol, Self, runtime_checkable

from attrs import define, field, frozen

from ghl_voice_async.daily import DailyBudget
from ghl_voice_async.errors import ClientClosedError, DailyLimitError, InvalidInputError, RateLimitError
from ghl_voice_async.response import NO_HEADERS
from ghl_voice_async.semaphore import Waiters
from ghl_voice_async.validation import count_field, seconds_field
from ghl_voice_async.window import Slot, Window

__all__ = [
    "ImmediateRateLimiter",
    "Patience",
    "Permit",
    "RateLimit",
    "RateLimitState",
    "RateLimiter",
    "Unlimited",
    "WindowRateLimiter",
    "immediate",
]

logger: Final = logging.getLogger("ghl_voice_async")
_LONGEST_PAUSE: Final = 10 * 365 * 24 * 3600.0  # seconds that are shown, lest the date overflow
# On some systems the clock moves in steps of 16 ms: a time read from it may be that much too early.
_CLOCK_RESOLUTION: Final = time.get_clock_info("monotonic").resolution


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
    and must then leave no permit behind. What it raises reaches the caller as it is. A limiter that has an
    `acquire_at_once`, too, as `WindowRateLimiter` has, is asked by that first.

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

        `max_pause` is what is left of the call's `max_elapsed` or of its deadline, whichever is less, in seconds.
        A limiter that knows of a longer `Retry-After` raises `RateLimitError` at once.
        """
        ...  # pyright takes a docstring alone for a body that returns nothing


@runtime_checkable
class ImmediateRateLimiter(RateLimiter, Protocol):
    """A `RateLimiter` that tells without a coroutine that a request may go, which most of them may: 3 µs a call."""

    def acquire_at_once(self, location_id: str, *, max_pause: float) -> Permit | None:
        """Return a permit where one is free, or None where there would be a wait. Raises what `acquire` raises."""


class Patience(float):
    """The seconds that a call with a deadline can wait, and when that deadline passes.

    A wait for a permit does not count towards `max_elapsed`, and does count towards a deadline. So our limiter looks
    at both. Any other limiter sees a number.
    """

    __slots__ = ("deadline_at",)

    deadline_at: float

    def __new__(cls, seconds: float, deadline_at: float) -> Self:
        """Make it from the seconds that are left now, and a time of the event loop."""
        patience = super().__new__(cls, seconds)
        patience.deadline_at = deadline_at
        return patience


def _deadline_of(max_pause: float) -> float:
    return max_pause.deadline_at if isinstance(max_pause, Patience) else inf


def immediate(rate_limiter: RateLimiter) -> ImmediateRateLimiter:
    """Return a limiter of the same permits that can be asked for one at once, be it in vain."""
    return rate_limiter if isinstance(rate_limiter, ImmediateRateLimiter) else _NeverAtOnce(rate_limiter)


@frozen
class _NeverAtOnce:
    rate_limiter: RateLimiter

    def acquire_at_once(self, location_id: str, *, max_pause: float) -> None:
        pass

    async def acquire(self, location_id: str, *, max_pause: float) -> Permit:
        return await self.rate_limiter.acquire(location_id, max_pause=max_pause)


class Unlimited:
    """The limiter of a client with `rate_limit=None`, and its permit."""

    __slots__ = ()

    async def acquire(self, location_id: str, *, max_pause: float) -> Unlimited:  # noqa: ARG002  # the protocol's
        """Return at once."""
        return self

    def acquire_at_once(self, location_id: str, *, max_pause: float) -> Unlimited:  # noqa: ARG002  # likewise
        """Return at once."""
        return self

    def release(self, *, status: int | None, headers: Mapping[str, str]) -> None:
        """Do nothing."""

    def cancel(self) -> None:
        """Do nothing."""


@frozen
class RateLimitState:
    """What a `WindowRateLimiter` knows of one location at one moment."""

    limit: int
    """Requests that may be sent in any `interval`: less than was given where the server or others leave less."""
    interval: float
    """Seconds: what was given, or what the server last said, whichever leaves fewer requests now."""
    in_use: int
    """Requests of the limit that are spent: under way, or answered less than an `interval` ago."""
    waiting: int
    """Calls that wait for a permit."""
    remaining: int | None
    """What the server last said remains of its own window, or None where it did not say."""
    paused_until: datetime | None
    """When the pause after a 429 ends, in UTC, or None without one."""
    daily_remaining: int
    """What remains of the day, as the server last said, or by our own count."""


class WindowRateLimiter:
    """The default limiter: at most `max_requests` of a location arrive in any `interval`, in order of asking.

    It may be shared by the clients of one app in one event loop, to which it belongs from its first use. It
    keeps to the server's window, too, where its headers name a smaller limit or another interval, and takes
    less where they show that others send on the same budget. After a 429 the whole location waits for
    the `Retry-After`, at most for an hour, or for one interval where there is none. It then finds its pace again
    from one request on. A pause of more than a minute is logged as a warning, and so is a header that asks for
    more than an hour. When nothing remains of the day, one request each 15 minutes goes through to see whether it
    has turned.

    A bulk stays out of the way of single calls by asking for one permit at a time: permits are given in the
    order of asking. Locations that are not used any more are forgotten.

    Raises `InvalidInputError` for a `rate_limit` that is none.
    """

    def __init__(self, rate_limit: RateLimit) -> None:
        if not isinstance(rate_limit, RateLimit):
            raise InvalidInputError(f"rate_limit must be a RateLimit, not {type(rate_limit).__name__}")
        self.rate_limit = rate_limit
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queues: dict[str, _Queue] = {}
        self._days: OrderedDict[str, DailyBudget] = OrderedDict()  # of locations that are otherwise forgotten

    def __repr__(self) -> str:
        return f"WindowRateLimiter({self.rate_limit!r})"

    @property
    def rate_limits(self) -> dict[str, RateLimitState]:
        """What is known of each location in use, as of now."""
        return {location_id: queue.state() for location_id, queue in self._queues.items()}

    async def acquire(self, location_id: str, *, max_pause: float = inf) -> Permit:
        """Return when one request may be sent to this location.

        Raises `RateLimitError` at once where the server asked this location to wait for longer than `max_pause`
        seconds, `DailyLimitError` at once where nothing remains of the day, and `ClientClosedError` in another
        event loop than before.
        """
        queue = self._queue(location_id)
        return queue.acquire_at_once(max_pause) or await queue.acquire(max_pause)

    def acquire_at_once(self, location_id: str, *, max_pause: float = inf) -> Permit | None:
        """Return a permit where one is free, or None where there would be a wait. Raises what `acquire` raises."""
        return self._queue(location_id).acquire_at_once(max_pause)

    def _queue(self, location_id: str) -> _Queue:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._bind(loop)
        return self._queues.get(location_id) or self._open(location_id, loop)

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None:
            raise ClientClosedError("the rate limiter belongs to another event loop; make one for each loop")
        self._loop = loop

    def _open(self, location_id: str, loop: asyncio.AbstractEventLoop) -> _Queue:
        day = self._days.pop(location_id, None)
        window = Window(
            _Permit,
            max_requests=self.rate_limit.max_requests,
            interval=self.rate_limit.interval,
            resolution=_CLOCK_RESOLUTION,
            day=DailyBudget(self.rate_limit.daily, burst=self.rate_limit.max_requests) if day is None else day,
            warn=partial(_warn, location_id),
        )
        queue = self._queues[location_id] = _Queue(window, loop, partial(self._forget, location_id))
        return queue

    def _forget(self, location_id: str, now: float) -> None:
        """Drop a location that is as good as new, but for its day where that has to be remembered."""
        day = self._queues.pop(location_id).window.day
        if not day.is_as_new(now):
            self._days[location_id] = day
        # In the order in which they were forgotten, and so in the order in which their days end.
        while self._days and next(iter(self._days.values())).is_as_new(now):
            self._days.popitem(last=False)


@define(eq=False)
class _Permit(Slot):
    """A slot that goes back to its queue."""

    queue: _Queue = field(init=False)

    def release(self, *, status: int | None = None, headers: Mapping[str, str] = NO_HEADERS) -> None:
        queue = self.queue
        now = queue.now()
        queue.window.release(self, now, status, headers)
        if queue.waiting:
            queue.serve_after_answer(now)

    def cancel(self) -> None:
        queue = self.queue
        queue.window.cancel(self)
        if queue.waiting:
            queue.serve(queue.now())


class _Queue:
    """One location: its window, those who wait for it in the order of asking, and the one timer that wakes them."""

    def __init__(
        self, window: Window[_Permit], loop: asyncio.AbstractEventLoop, forget: Callable[[float], None]
    ) -> None:
        self.window = window
        self.now = loop.time
        self._loop = loop
        self._forget = forget
        self._waiters = Waiters[_Permit](_Permit.cancel)
        self.waiting = self._waiters.pending
        self._least_patient = inf  # no more than the shortest of these
        self._first_deadline = inf  # no later than the first of their deadlines
        self._wakes_at = loop.time() + window.interval
        self._timer = loop.call_at(self._wakes_at, self._tick)

    def acquire_at_once(self, max_pause: float) -> _Permit | None:
        """Return a permit that is free, or None when it has to be waited for. Raises what the limiter raises."""
        window, now = self.window, self.now()
        used_up_for = window.day.used_up_for(now, window.under_way)
        if used_up_for is not None:
            raise _day_used_up(used_up_for)
        asked = window.asked_to_wait_until - now
        if asked > 0.0 and asked > max_pause:
            raise _too_long(asked)
        if self.waiting or (permit := window.take(now)) is None:
            return None
        permit.queue = self
        return permit

    async def acquire(self, max_pause: float) -> _Permit:
        """Wait for a permit."""
        waiter = self._waiters.enter(max_pause)
        self._least_patient = min(self._least_patient, max_pause)
        self._first_deadline = min(self._first_deadline, _deadline_of(max_pause))
        self.serve(self.now())
        return await self._waiters.wait(waiter)

    def serve_after_answer(self, now: float) -> None:
        """Hand out what an answer left free, and tell of a longer pause those who cannot wait for its end."""
        self.serve(now)
        asked = self.window.asked_to_wait_until - now
        if asked > self._least_patient or now + asked > self._first_deadline:
            self._dismiss_the_impatient(asked, now)

    def state(self) -> RateLimitState:
        window, now = self.window, self.now()
        in_use, limit, interval = window.tightest(now)
        pause = min(window.paused_until - now, _LONGEST_PAUSE)
        return RateLimitState(
            limit=limit,
            interval=interval,
            in_use=in_use,
            waiting=len(self.waiting),
            remaining=window.budget.remaining,
            paused_until=datetime.now(UTC) + timedelta(seconds=pause) if pause > 0 else None,
            daily_remaining=window.day.remaining(now, under_way=window.under_way),
        )

    def serve(self, now: float) -> None:
        """Hand permits to those who wait, as far as there are any, and set the timer for the next."""
        if self._loop.is_closed():  # what is collected after that gives its permit back
            return
        while (waiter := self._waiters.first()) is not None:
            used_up_for = self.window.day.used_up_for(now, self.window.under_way)
            if used_up_for is not None:
                self._waiters.fail(waiter, _day_used_up(used_up_for))
            elif (permit := self.window.take(now)) is not None:
                permit.queue = self
                self._waiters.give(permit)
            else:
                break
        at = self.window.free_at(now) if self.waiting else None
        if at is None:
            at = self.window.new_at(now)
        if at < self._wakes_at:
            self._timer.cancel()
            self._timer = self._loop.call_at(at, self._tick)
            self._wakes_at = at

    def _tick(self) -> None:
        now = self.now()
        if not self.waiting and self.window.new_at(now) <= now:
            self._forget(now)
            return
        self._wakes_at = inf
        self.serve(now)

    def _dismiss_the_impatient(self, asked: float, now: float) -> None:
        """End the waits of those who cannot wait for as long as the server asks."""
        for waiter in [*self.waiting]:
            if waiter.patience < asked or _deadline_of(waiter.patience) < now + asked:
                self._waiters.fail(waiter, _too_long(asked))
        self._least_patient = min((waiter.patience for waiter in self.waiting), default=inf)
        self._first_deadline = min((_deadline_of(waiter.patience) for waiter in self.waiting), default=inf)


def _too_long(asked: float) -> RateLimitError:
    message = f"the server asked this location to wait {asked:.0f} s, which is longer than this call may take"
    return RateLimitError(message, status=429, retry_after=asked)


def _day_used_up(seconds: float) -> DailyLimitError:
    message = f"nothing is left of this location's requests for the day; the next one may be tried in {seconds:.0f} s"
    return DailyLimitError(message, status=429)


def _warn(location_id: str, text: str) -> None:
    # A logging handler of the caller's that raises must not change how the call ends.
    with suppress(Exception):
        logger.warning("location %r: %s", location_id, text)
