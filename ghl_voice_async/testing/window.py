"""The server's side of the rate limit: a sliding window and a day's budget for each location."""

from __future__ import annotations

from collections import deque

from attrs import define, field

__all__ = ["SlidingWindow"]


@define
class SlidingWindow:
    """Admits `max_requests` in any `interval` seconds and `daily` in all. Times are the caller's clock."""

    max_requests: int
    interval: float
    daily: int
    admitted: int = 0
    _arrivals: deque[float] = field(factory=deque, init=False)

    def admit(self, now: float) -> bool:
        """Take one request in, or refuse it. A refused one is not counted."""
        while self._arrivals and self._arrivals[0] <= now - self.interval:
            self._arrivals.popleft()
        if len(self._arrivals) >= self.max_requests or self.admitted >= self.daily:
            return False
        self._arrivals.append(now)
        self.admitted += 1
        return True

    def headers(self) -> dict[str, str]:
        """Return HighLevel's headers, as of the last `admit`."""
        return {
            "X-RateLimit-Limit-Daily": str(self.daily),
            "X-RateLimit-Daily-Remaining": str(self.daily - self.admitted),
            "X-RateLimit-Interval-Milliseconds": str(round(self.interval * 1000)),
            "X-RateLimit-Max": str(self.max_requests),
            "X-RateLimit-Remaining": str(self.max_requests - len(self._arrivals)),
        }
