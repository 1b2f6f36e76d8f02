"""What is left of a location's day. Pure: no clock and no event loop; times are seconds on a monotonic clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define

if TYPE_CHECKING:
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
        self._quarters: list[_Quarter] = []
        self._server_limit: int | None = None
        self._server_remaining: int | None = None
        self._heard_at = 0.0
        self._next_probe = 0.0

    @property
    def is_over(self) -> bool:
        """Whether the server said that nothing remains."""
        return self._server_remaining == 0

    def used_up_for(self, now: float, *, under_way: int) -> float | None:
        """Return the seconds until a request may be sent again, or None while there are requests left."""
        if self._server_remaining == 0 and now < self._next_probe:
            return self._next_probe - now
        # What is over is only looked for when it matters.
        if self._counts() and self._spent + under_way >= self._limit and self._spent_by(now) + under_way >= self._limit:
            return self._quarters[0].end + _DAY - now if self._quarters else _DAY
        return None

    def may_run_out(self, unheard: int) -> bool:
        """Tell whether the `unheard` requests, which the server may not have counted yet, may be the last."""
        return 0 < (self._server_remaining or 0) <= unheard

    def take(self, now: float) -> bool:
        """Take in that a request may go, and tell whether it is one that looks whether the day has turned."""
        if self._server_remaining != 0:
            return False
        self._next_probe = now + PROBE_INTERVAL
        return True

    def probe_again(self) -> None:
        """Let the next request look, since the one that was to look never went."""
        self._next_probe = 0.0

    def spend(self, now: float) -> None:
        """Take in the end of a request that was sent."""
        if not self._quarters or now >= self._quarters[-1].end:
            self._spent_by(now)
            self._quarters.append(_Quarter(now + _QUARTER))
        self._quarters[-1].spent += 1
        self._spent += 1

    def hear(self, said: DailyHeaders, now: float, *, is_newest: bool, is_probe: bool) -> None:
        """Take in what the server says, whether to the newest request that was heard of and to one that looked.

        Answers overtake each other, as requests do. Within a day there is never more left than before, so that a
        little more was said before; and what an older request is told, if it is far off, is of another day.
        """
        rise = said.remaining - (self._server_remaining or 0)
        if self._server_remaining is not None and not is_probe:
            is_older = 0 < rise <= self._burst
            is_of_another_day = not is_newest and abs(rise) > self._burst
            if is_older or is_of_another_day:
                return
        if said.remaining == 0 and self._server_remaining != 0:
            self._next_probe = now + PROBE_INTERVAL
        self._server_limit, self._server_remaining = said.limit, said.remaining
        self._heard_at = now

    def hear_nothing(self) -> None:
        """Take in that a request which looked was served without a word on the day, so that it must have turned."""
        self._server_remaining = None

    def remaining(self, now: float, *, under_way: int) -> int:
        """Return how many requests are left, as far as anyone knows."""
        own = max(0, self._limit - self._spent_by(now) - under_way)
        if self._server_remaining is None:
            return own
        return min(own, self._server_remaining) if self._counts() else self._server_remaining

    def is_as_new(self, now: float) -> bool:
        """Tell whether there is nothing to remember."""
        if self._counts() and self._spent_by(now):
            return False
        # A burst that knew nothing of it would overspend what remains.
        is_low = self._server_remaining is not None and self._server_remaining < self._burst
        return not is_low or now >= self._heard_at + _DAY

    def _counts(self) -> bool:
        """Tell whether our own count matters: the server keeps none, or allows more than we were given."""
        return self._server_limit is None or self._server_limit > self._limit

    def _spent_by(self, now: float) -> int:
        while self._quarters and self._quarters[0].end + _DAY <= now:
            self._spent -= self._quarters.pop(0).spent
        return self._spent
