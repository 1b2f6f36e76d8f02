"""One location's window: which requests may be sent now, and when the next may. Pure: no clock and no event loop.

A slot that a request took becomes free one interval after its answer came, not after it was sent: then each
slot lands at most one request in any window of the server's, however that window is aligned and however
long the way takes. The page *Rate limits* of the documentation has the proof.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final

from attrs import define

from ghl_voice_async.response import daily_headers, retry_after, window_headers
from ghl_voice_async.shared_budget import SharedBudget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghl_voice_async.daily import DailyBudget

__all__ = ["Slot", "Window"]

_REMEMBERED: Final = 24 * 3600.0  # seconds for which a lower limit of the server's outlasts the last request


@define(eq=False)
class Slot:
    """A request that may be sent, or has been."""

    number: int
    """Requests of a window may be sent in the order of their numbers."""
    held: int
    """Slots in use when it was taken, its own included."""
    is_probe: bool
    """Whether it looks if the day has turned."""


class Window:
    """The slots of one location. Times are seconds on one monotonic clock, whose steps are `resolution` long.

    It follows the server's headers, and never goes above `max_requests` in an `interval`. After a 429 it
    pauses, and then lets one request go, and for each answer that is not another 429 two more, until the
    slots are the limit again: what the first answers say is known before the rest goes.
    """

    def __init__(self, *, max_requests: int, interval: float, resolution: float, day: DailyBudget) -> None:
        self._configured_max = max_requests
        self._configured_interval = interval
        self._resolution = resolution
        self.day = day
        self.interval = interval
        self.budget = SharedBudget(max_requests)
        self.under_way = 0
        self._released: deque[float] = deque()  # when each slot that is not free yet was released, in order
        self._last_release = -inf
        self.paused_until = -inf
        self.asked_to_wait_until = -inf
        """The end of the longest `Retry-After`, which is a pause, too."""
        self._credit: int | None = None  # requests that may go now, while it finds its pace again after a pause
        self._sent = 0
        self._sent_before_pause = 0
        self._newest_heard = 0
        self._newest_heard_of_day = 0

    def may_send(self, now: float) -> bool:
        """Tell whether a request may be sent."""
        return self.in_use(now) < self.limit(now) and now >= self.paused_until and not self._awaits_answer()

    def free_at(self, now: float) -> float | None:
        """Return when a request may be sent at the earliest, or None when that is known once an answer comes."""
        if self._awaits_answer():
            return None
        too_many = self.in_use(now) - self.limit(now)
        if too_many < 0:
            return self.paused_until
        if too_many >= len(self._released):
            return None
        return max(self.paused_until, self._released[too_many] + self._hold())

    def take(self, now: float) -> Slot:
        """Take a slot, having asked whether a request may be sent."""
        self.under_way += 1
        self._sent += 1
        if self._credit is not None:
            self._credit -= 1
        return Slot(self._sent, self.under_way + len(self._released), self.day.take(now))

    def release(self, slot: Slot, now: float, *, status: int | None, headers: Mapping[str, str]) -> None:
        """Take in how a request ended: its status and headers, or None and none where no answer came."""
        self.under_way -= 1
        self._released.append(now)
        self._last_release = now
        self.day.spend(now)
        if headers:
            self._heed(slot, now, headers)
        if status == 429:
            self._pause(slot, now, retry_after(headers))
        elif self._credit is not None:
            self._speed_up(slot, 1 if status is None else 2)

    def cancel(self, slot: Slot) -> None:
        """Give back a slot whose request was not sent."""
        self.under_way -= 1
        if self._credit is not None:
            self._speed_up(slot, 1)
        if slot.is_probe:
            self.day.probe_again()

    def limit(self, now: float) -> int:
        """Return how many slots there are: what we were given, and what others leave of what the server allows."""
        return min(self._configured_max, self.budget.room(now, self.interval))

    def in_use(self, now: float) -> int:
        """Count the slots that are not free."""
        if self._released:
            hold = self._hold()
            while self._released and self._released[0] + hold <= now:
                self._released.popleft()
        return self.under_way + len(self._released)

    def new_at(self, now: float) -> float:
        """Return when there will be nothing to remember of this window, as far as is known by now."""
        if self.under_way:
            return now + self.interval
        is_lower = self.budget.max_requests < self._configured_max or self.interval > self._configured_interval
        idle = _REMEMBERED if is_lower else 2 * self._hold()
        return max(self._last_release + idle, self.paused_until)

    def _hold(self) -> float:
        """Return for how long a slot stays in use after its release."""
        return self.interval + self._resolution

    def _awaits_answer(self) -> bool:
        """Tell whether what is under way has to be answered first: to find the pace again, or as the day's last."""
        if self._credit == 0:
            return True
        return self.under_way > 0 and self.day.may_run_out(self._sent - self._newest_heard_of_day)

    def _heed(self, slot: Slot, now: float, headers: Mapping[str, str]) -> None:
        """Follow the server, by the newest request's word where answers overtake each other."""
        if (day := daily_headers(headers)) is not None and slot.number > self._newest_heard_of_day:
            self._newest_heard_of_day = slot.number
            self.day.hear(day, now)
        said = window_headers(headers)
        if said is None:
            return
        if said.max_requests is not None and said.remaining is not None:
            # At the most, the server has counted for us what was under way or answered less than a window before
            # this request, and what went since: more than that is others'.
            ours = slot.held + self._sent - slot.number
            self.budget.observe(said.max_requests - said.remaining - ours, now)
        if slot.number > self._newest_heard:
            self._newest_heard = slot.number
            if said.max_requests is not None:
                self.budget.max_requests = said.max_requests
            if said.interval is not None:
                self.interval = max(self._configured_interval, said.interval)
            if said.remaining is not None:
                self.budget.remaining = said.remaining

    def _pause(self, slot: Slot, now: float, asked: float | None) -> None:
        if slot.number > self._sent_before_pause:
            self.budget.refuse(self.in_use(now), now, self.interval)
        self.paused_until = max(self.paused_until, now + (asked or self.interval))
        if asked is not None:
            self.asked_to_wait_until = max(self.asked_to_wait_until, now + asked)
        self._credit = 1
        self._sent_before_pause = self._sent

    def _speed_up(self, slot: Slot, credit: int) -> None:
        if slot.number > self._sent_before_pause:
            self._credit = (self._credit or 0) + credit
            if self._credit >= self._configured_max:
                self._credit = None
