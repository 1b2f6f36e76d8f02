"""One location's window: which requests may be sent now, and when the next may. Pure: no clock and no event loop.

A slot that a request took becomes free one interval after its answer came, not after it was sent: then each
slot lands at most one request in any window of the server's, however that window is aligned and however
long the way takes. The page *Rate limits* of the documentation has the proof.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from math import inf
from typing import Final, Generic, TypeVar

from attrs import define

from ghl_voice_async.daily import DailyBudget
from ghl_voice_async.response import daily_headers, retry_after, window_headers
from ghl_voice_async.shared_budget import SharedBudget

__all__ = ["Slot", "Window"]

_REMEMBERED: Final = 24 * 3600.0  # seconds for which a lower limit of the server's outlasts the last request


@define(eq=False)
class Slot:
    """A request that may be sent, or has been."""

    number: int
    """Requests of a window may be sent in the order of their numbers."""
    held: int
    """Slots in use when it was taken, its own included."""
    beside: int
    """Requests under way when it was taken."""


class _Ended:
    """When requests ended whose slots are not free yet, in order."""

    def __init__(self, interval: float, resolution: float, moments: Iterable[float] = ()) -> None:
        self.interval = interval
        self.hold = interval + resolution
        """For how long after its end a request holds its slot."""
        self._resolution = resolution
        self._moments = deque(moments)
        self.add = self._moments.append

    def count(self, now: float) -> int:
        moments = self._moments
        while moments and moments[0] + self.hold <= now:
            moments.popleft()
        return len(moments)

    def free_at(self, index: int) -> float:
        return self._moments[index] + self.hold

    def within(self, interval: float) -> _Ended:
        return _Ended(interval, self._resolution, self._moments)


S = TypeVar("S", bound=Slot)  # a permit is a slot, too, since a second object for it takes 1 % of a call


class Window(Generic[S]):
    """The slots of one location. Times are seconds on one monotonic clock, whose steps are `resolution` long.

    There are never more than `max_requests` in an `interval`, nor more than the server's headers allow in the
    interval that they name. After a 429 it pauses, and then lets one request go, and for each answer that is
    not another 429 two more, until the slots are the limit again: what the first answers say is known before
    the rest goes.
    """

    def __init__(
        self, new_slot: type[S], *, max_requests: int, interval: float, resolution: float, day: DailyBudget
    ) -> None:
        self._new_slot = new_slot
        self._max_requests = max_requests
        self._interval = interval
        self.day = day
        self.budget: SharedBudget = SharedBudget(max_requests)
        self.interval: float = interval
        """The server's."""
        self.under_way: int = 0
        self._ended = _Ended(interval, resolution)
        self._ended_at_server = self._ended
        self._counts_twice = False  # where the server's interval is another than ours
        self._last_end = -inf
        self._knows_all_from = -inf  # when our own requests are known for all of the server's interval
        self.paused_until: float = -inf
        self.asked_to_wait_until: float = -inf
        """The end of the longest `Retry-After`, which is a pause, too."""
        self._credit = max_requests  # requests that may go now: fewer than the slots only after a pause
        self._sent = 0
        self._sent_before_pause = 0
        self._newest_heard = 0
        self._newest_heard_of_day = 0
        self._beside_newest_of_day = 0
        self._probe: S | None = None  # the last that looks whether the day has turned

    def take(self, now: float) -> S | None:
        """Take a slot, or return None when no request may be sent now."""
        if now < self.paused_until or self._awaits_answer():
            return None
        in_use = self.in_use(now)
        if in_use >= self.limit(now):
            return None
        if self._counts_twice and self.under_way + self._ended.count(now) >= self._max_requests:
            return None
        self._sent += 1
        self._credit -= 1
        slot = self._new_slot(self._sent, in_use + 1, self.under_way)
        self.under_way += 1
        if self.day.server_remaining == 0:
            self.day.probe(now)
            self._probe = slot
        return slot

    def free_at(self, now: float) -> float | None:
        """Return when a request may be sent at the earliest, or None when that is known once an answer comes."""
        if self._awaits_answer():
            return None
        at = self.paused_until
        for ended, limit in self._limits(now):
            count = ended.count(now)
            too_many = self.under_way + count - limit
            if too_many >= 0:
                at = max(at, ended.free_at(too_many) if too_many < count else inf)
        at = min(at, max(self.paused_until, self.budget.grows_at(now, self.interval)))
        return None if at == inf else at

    def release(self, slot: Slot, now: float, status: int | None, headers: Mapping[str, str]) -> None:
        """Take in how a request ended: its status and headers, or None and none where no answer came."""
        self.under_way -= 1
        self._last_end = now
        self._ended.add(now)
        if self._counts_twice:
            self._ended_at_server.add(now)
        self.day.spend(now)
        if headers:
            self._heed(slot, now, headers)
        if slot is self._probe and slot.number > self._newest_heard_of_day and status is not None and status < 300:
            self.day.hear_nothing()
        if status == 429 and self.day.server_remaining > 0:
            self._pause(slot, now, retry_after(headers))
        elif slot.number > self._sent_before_pause:
            self._credit += 1 if status is None else 2

    def cancel(self, slot: Slot) -> None:
        """Give back a slot whose request was not sent."""
        self.under_way -= 1
        if slot.number > self._sent_before_pause:
            self._credit += 1
        if slot is self._probe:
            self.day.probe_again()

    def limit(self, now: float) -> int:
        """Return how many slots there are in the server's interval: what others leave, and what we were given."""
        room = self.budget.room(now, self.interval)
        return room if room < self._max_requests or self._counts_twice else self._max_requests

    def in_use(self, now: float) -> int:
        """Count the slots that are not free, in the server's interval."""
        return self.under_way + self._ended_at_server.count(now)

    def tightest(self, now: float) -> tuple[int, int, float]:
        """Return how many requests of how many are in use, and in what interval, where the fewest are left."""
        counts = [(self.under_way + ended.count(now), limit, ended.interval) for ended, limit in self._limits(now)]
        return min(counts, key=lambda count: count[1] - count[0])

    def new_at(self, now: float) -> float:
        """Return when there will be nothing to remember of this window, as far as is known by now."""
        if self.under_way:
            return now + self._ended.hold
        is_lower = self.budget.max_requests < self._max_requests or self.interval > self._interval
        hold = max(self._ended.hold, self._ended_at_server.hold)
        return max(self._last_end, self.paused_until) + max(2 * hold, _REMEMBERED if is_lower else 0.0)

    def _limits(self, now: float) -> list[tuple[_Ended, int]]:
        """Return what is counted and its limit: in the one interval, or in ours and in the server's."""
        at_server = (self._ended_at_server, self.limit(now))
        return [(self._ended, self._max_requests), at_server] if self._counts_twice else [at_server]

    def _awaits_answer(self) -> bool:
        """Tell whether what is under way has to be answered first: to find the pace again, or as the day's last."""
        if self._credit == 0:
            return True
        # What was under way beside the newest that was heard of may have been counted after it.
        uncounted = self._sent - self._newest_heard_of_day + self._beside_newest_of_day
        return 0 < self.day.server_remaining <= uncounted and self.under_way > 0

    def _heed(self, slot: Slot, now: float, headers: Mapping[str, str]) -> None:
        """Follow the server, by the newest request's word where answers overtake each other."""
        number = slot.number
        if (day := daily_headers(headers)) is not None:
            is_newest = number > self._newest_heard_of_day
            self.day.hear(day, now, is_newest=is_newest, is_probe=slot is self._probe)
            if is_newest:
                self._newest_heard_of_day = number
                self._beside_newest_of_day = slot.beside
        said = window_headers(headers)
        if said is None:
            return
        max_requests, interval, remaining = said
        if number > self._newest_heard:
            self._newest_heard = number
            if max_requests is not None:
                self.budget.max_requests = max_requests
            if interval is not None and interval != self.interval:
                self._measure_by(interval, now)
            if remaining is not None:
                self.budget.remaining = remaining
        if max_requests is not None and remaining is not None and now >= self._knows_all_from:
            # At the most, the server has counted for us what was under way or answered less than a window before
            # this request, and what went since: more than that is others'.
            ours = slot.held + self._sent - number
            if max_requests - remaining > ours:
                self.budget.observe(max_requests - remaining - ours, now)

    def _measure_by(self, interval: float, now: float) -> None:
        """Count in the server's interval, which is another than before, and in ours where that is another."""
        if interval > self.interval:
            self._knows_all_from = now + interval
        self.interval = interval
        self._counts_twice = interval != self._interval
        longest = max(self._ended, self._ended_at_server, key=lambda ended: ended.hold)
        self._ended_at_server = longest.within(interval) if self._counts_twice else self._ended

    def _pause(self, slot: Slot, now: float, asked: float | None) -> None:
        self.paused_until = max(self.paused_until, now + (asked or self.interval))
        if slot.number > self._sent_before_pause:
            self.budget.refuse(self.in_use(now), now, self.interval, paused_until=self.paused_until)
        if asked is not None:
            self.asked_to_wait_until = max(self.asked_to_wait_until, now + asked)
        self._credit = 1
        self._sent_before_pause = self._sent
