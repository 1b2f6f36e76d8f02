"""One location's window: which requests may be sent now, and when the next may. Pure: no clock and no event loop.

A slot that a request took becomes free one interval after its answer came, not after it was sent: then each
slot lands at most one request in any window of the server's, however that window is aligned and however
long the way takes. The page *Rate limits* of the documentation has the proof.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final

from attrs import define, frozen

from ghl_voice_async.response import daily_headers, retry_after, window_headers

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


@frozen
class _Seen:
    at: float
    count: int


class _Others:
    """Requests that others sent on the same budget, at their highest over some time."""

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque()  # later ones are lower, or they would be the highest

    def saw(self, count: int, now: float) -> None:
        while self._seen and self._seen[-1].count <= count:
            self._seen.pop()
        self._seen.append(_Seen(now, count))

    def most(self, since: float) -> int:
        while self._seen and self._seen[0].at < since:
            self._seen.popleft()
        return self._seen[0].count if self._seen else 0


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
        self._server_max = max_requests
        self.remaining: int | None = None
        """What the server last said."""
        self.under_way = 0
        self._released: deque[float] = deque()  # when each slot that is not free yet was released, in order
        self._last_release = -inf
        self._others = _Others()
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
        return max(self.paused_until, self._released[too_many] + self.interval + self._resolution)

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
        self._heed(slot, now, headers)
        if status == 429:
            self._pause(now, retry_after(headers))
        else:
            self._speed_up(slot, 1 if status is None else 2)

    def cancel(self, slot: Slot) -> None:
        """Give back a slot whose request was not sent."""
        self.under_way -= 1
        self._speed_up(slot, 1)
        if slot.is_probe:
            self.day.probe_again()

    def limit(self, now: float) -> int:
        """Return how many slots there are: what we were given, and what others leave of what the server allows."""
        others = self._others.most(now - 2 * self.interval)
        return max(1, min(self._configured_max, self._server_max - others))

    def in_use(self, now: float) -> int:
        """Count the slots that are not free."""
        since = now - self.interval - self._resolution
        while self._released and self._released[0] <= since:
            self._released.popleft()
        return self.under_way + len(self._released)

    def new_at(self, now: float) -> float:
        """Return when there will be nothing to remember of this window, as far as is known by now."""
        if self.under_way:
            return now + self.interval
        is_lower = self._server_max < self._configured_max or self.interval > self._configured_interval
        idle = _REMEMBERED if is_lower else 2 * self.interval + self._resolution
        return max(self._last_release + idle, self.paused_until)

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
            others = said.max_requests - said.remaining - ours
            if others > 0:
                self._others.saw(others, now)
        if slot.number > self._newest_heard:
            self._newest_heard = slot.number
            if said.max_requests is not None:
                self._server_max = said.max_requests
            if said.interval is not None:
                self.interval = max(self._configured_interval, said.interval)
            if said.remaining is not None:
                self.remaining = said.remaining

    def _pause(self, now: float, asked: float | None) -> None:
        self.paused_until = max(self.paused_until, now + (asked or self.interval))
        if asked is not None:
            self.asked_to_wait_until = max(self.asked_to_wait_until, now + asked)
        self._credit = 1
        self._sent_before_pause = self._sent

    def _speed_up(self, slot: Slot, credit: int) -> None:
        if self._credit is not None and slot.number > self._sent_before_pause:
            self._credit += credit
            if self._credit >= self._configured_max:
                self._credit = None
