"""What is left of a location's day. Pure: no clock and no event loop; times are seconds on a monotonic clock."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final

from attrs import define

from ghl_voice_async.response import DailyHeaders

__all__ = ["PROBE_INTERVAL", "DailyBudget"]

PROBE_INTERVAL: Final = 15 * 60.0
_DAY: Final = 24 * 3600.0
_QUARTER: Final = 15 * 60.0


@define
class _Quarter:
    """Some requests of the same quarter of an hour."""

    end: float
    spent: int = 0


class DailyBudget:
    """The day of one location: as the server counts it, or as we do where it does not or where we were given less.

    Nobody says when the server's day begins. Once it says that nothing remains, one request each quarter of
    an hour goes through, and its answer tells whether the day has turned. Our own count is of the last 24
    hours, whenever they began, by quarters of an hour; a request is in it from when it ended, as with a slot.
    """

    def __init__(self, limit: int, *, burst: int) -> None:
        self._limit = limit
        self._burst = burst  # requests that may go before the first of them is answered
        self._spent = 0
        self._quarters: deque[_Quarter] = deque()
        self._quarter = _Quarter(-inf)  # the last of these, once there is one
        self._counts = True  # whether our own count matters: the server has none, or allows more than we were given
        self.server_remaining: float = inf
        """What the server last said remains, or infinity where it did not say."""
        self._heard_at = 0.0
        self._next_probe = 0.0

    def used_up_for(self, now: float, under_way: int) -> float | None:
        """Return the seconds until a request may be sent again, or None while there are requests left."""
        if self.server_remaining == 0 and now < self._next_probe:
            return self._next_probe - now
        # What is over is only looked for when it matters.
        if self._counts and self._spent + under_way >= self._limit and self._spent_by(now) + under_way >= self._limit:
            return self._quarters[0].end + _DAY - now if self._quarters else _DAY
        return None

    def probe(self, now: float) -> None:
        """Take in that a request goes which looks whether the day has turned, since nothing remains of it."""
        self._next_probe = now + PROBE_INTERVAL

    def probe_again(self) -> None:
        """Let the next request look, since the one that was to look never went."""
        self._next_probe = 0.0

    def spend(self, now: float) -> None:
        """Take in the end of a request that was sent."""
        if now >= self._quarter.end:
            self._spent_by(now)
            self._quarter = _Quarter(now + _QUARTER)
            self._quarters.append(self._quarter)
        self._quarter.spent += 1
        self._spent += 1

    def hear(self, said: DailyHeaders, now: float, *, is_newest: bool, is_probe: bool) -> None:
        """Take in what the server says, whether to the newest request that was heard of and to one that looked.

        Answers overtake each other, as requests do. Within a day there is never more left than before, so that a
        little more was said before; and what an older request is told, if it is far off, is of another day.
        """
        limit, remaining = said
        rise = remaining - self.server_remaining
        if (rise > 0 or not is_newest) and not is_probe and rise > -inf:
            is_older = 0 < rise <= self._burst
            is_of_another_day = not is_newest and abs(rise) > self._burst
            if is_older or is_of_another_day:
                return
        if remaining == 0 and rise != 0:
            self._next_probe = now + PROBE_INTERVAL
        self._counts = limit is None or limit > self._limit
        self.server_remaining = remaining
        self._heard_at = now

    def hear_nothing(self) -> None:
        """Take in that a request which looked was served without a word on the day, so that it must have turned."""
        self.server_remaining = inf

    def remaining(self, now: float, *, under_way: int) -> int:
        """Return how many requests are left, as far as anyone knows."""
        own = max(0, self._limit - self._spent_by(now) - under_way)
        if self.server_remaining == inf:
            return own
        remaining = int(self.server_remaining)
        return min(own, remaining) if self._counts else remaining

    def is_as_new(self, now: float) -> bool:
        """Tell whether there is nothing to remember."""
        if self._counts and self._spent_by(now):
            return False
        # A burst that knew nothing of it would overspend what remains.
        return self.server_remaining >= self._burst or now >= self._heard_at + _DAY

    def _spent_by(self, now: float) -> int:
        while self._quarters and self._quarters[0].end + _DAY <= now:
            self._spent -= self._quarters.popleft().spent
        return self._spent
