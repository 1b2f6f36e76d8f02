"""The server's side of the rate limit: a window that slides or is fixed, and a day's budget, for each location."""

from __future__ import annotations

import math
from collections import deque

from attrs import define, field

__all__ = ["FixedWindow", "LocationLimits", "SlidingWindow", "Window"]


@define
class SlidingWindow:
    """Admits `max_requests` in any `interval` seconds. Times are the caller's clock, and never go back."""

    max_requests: int
    interval: float
    _arrivals: deque[float] = field(factory=deque, init=False)

    def admit(self, now: float) -> bool:
        """Take one request in, or refuse it. A refused one is not counted."""
        if not self.remaining(now):
            return False
        self._arrivals.append(now)
        return True

    def remaining(self, now: float) -> int:
        """Return how many more would be admitted now."""
        while self._arrivals and self._arrivals[0] <= now - self.interval:
            self._arrivals.popleft()
        return self.max_requests - len(self._arrivals)

    def opens_at(self, now: float) -> float:
        """Return when the next request will be admitted, which is now where there is room."""
        return now if self.remaining(now) else self._arrivals[0] + self.interval


@define
class FixedWindow:
    """Admits `max_requests` in each `interval` seconds counted from `start`, forward and back."""

    max_requests: int
    interval: float
    start: float = 0.0
    _number: int | None = field(default=None, init=False)
    _admitted: int = field(default=0, init=False)

    def admit(self, now: float) -> bool:
        """Take one request in, or refuse it. A refused one is not counted."""
        if not self.remaining(now):
            return False
        self._admitted += 1
        return True

    def remaining(self, now: float) -> int:
        """Return how many more would be admitted now."""
        number = math.floor((now - self.start) / self.interval)
        if number != self._number:
            self._number, self._admitted = number, 0
        return self.max_requests - self._admitted

    def opens_at(self, now: float) -> float:
        """Return when the next request will be admitted, which is now where there is room."""
        if self.remaining(now):
            return now
        return self.start + (math.floor((now - self.start) / self.interval) + 1) * self.interval


Window = SlidingWindow | FixedWindow


@define
class LocationLimits:
    """The window of one location, and `daily` requests in all until the next day begins."""

    window: Window
    daily: int
    admitted_today: int = 0

    def admit(self, now: float) -> bool:
        """Take one request in, or refuse it. A refused one is not counted."""
        if self.admitted_today >= self.daily or not self.window.admit(now):
            return False
        self.admitted_today += 1
        return True

    def retry_after(self, now: float) -> int | None:
        """Return the whole seconds after which the window has room, or None when it is the day that has none."""
        if self.admitted_today >= self.daily:
            return None
        return max(1, math.ceil(self.window.opens_at(now) - now))

    def headers(self, now: float) -> dict[str, str]:
        """Return HighLevel's headers."""
        return {
            "X-RateLimit-Limit-Daily": str(self.daily),
            "X-RateLimit-Daily-Remaining": str(self.daily - self.admitted_today),
            "X-RateLimit-Interval-Milliseconds": str(round(self.window.interval * 1000)),
            "X-RateLimit-Max": str(self.window.max_requests),
            "X-RateLimit-Remaining": str(self.window.remaining(now)),
        }
