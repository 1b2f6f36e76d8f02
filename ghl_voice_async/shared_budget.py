"""What others leave of a window's requests. Pure: no clock and no event loop; times are of a monotonic clock."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final

from attrs import frozen

__all__ = ["SharedBudget"]

_GROWTH: Final = 1.25  # in a window, while a server without headers is felt out


@frozen
class _Seen:
    at: float
    others: int


class SharedBudget:
    """The requests that a server allows in a window, and what we know of others who send on them.

    The others are taken at their highest over the last two windows, since between the bursts of either side
    there is little to be seen of them. Those who are refused are not to be seen at all, so whoever meets a 429
    with more than half of the budget in use makes do with half, until two windows after the pause: by then the
    others have had room, and show.
    """

    def __init__(self, max_requests: int) -> None:
        self.max_requests = max_requests
        self.remaining: int | None = None
        """What the server last said."""
        self._seen: deque[_Seen] = deque()  # later ones are lower, or they would be the highest
        self._share: int | None = None
        self._share_paused_until = -inf

    def observe(self, others: int, now: float) -> None:
        """Take in how many requests of others the server has counted, at the least, which is one or more."""
        while self._seen and self._seen[-1].others <= others:
            self._seen.pop()
        self._seen.append(_Seen(now, others))

    def refuse(self, in_use: int, now: float, interval: float, *, paused_until: float) -> None:
        """Take in a 429 that came while so many were in use, and after which there is a pause."""
        # Without headers there is nothing to go by but how many were too many.
        allowed = self.room(now, interval) if self.remaining is None else self.max_requests
        half = max(1, allowed // 2)
        if in_use > half:
            self._share = half
            self._share_paused_until = paused_until

    def room(self, now: float, interval: float) -> int:
        """Return how many requests are ours to send in a window, which is never less than one."""
        room = self.max_requests
        if self._seen:
            while self._seen and self._seen[0].at + 2 * interval <= now:
                self._seen.popleft()
            if self._seen:
                room = max(1, room - self._seen[0].others)
        if self._share is not None:
            room = min(room, self._share_at(self._share, now, interval))
        return room

    def grows_at(self, now: float, interval: float) -> float:
        """Return when `room` may be more than now without anything having happened, or infinity."""
        moments = [self._share_held_until(interval)] if self._share is not None else []
        if self._seen:
            moments.append(self._seen[0].at + 2 * interval)
        return min((moment for moment in moments if moment > now), default=inf)

    def _share_held_until(self, interval: float) -> float:
        # A window of half the pace, and one to see who comes into it.
        return self._share_paused_until + 2 * interval

    def _share_at(self, share: int, now: float, interval: float) -> int:
        held_until = self._share_held_until(interval)
        if now < held_until:
            return share
        if self.remaining is None:
            windows = min(99.0, (now - held_until) / interval)
            share = int(share * _GROWTH**windows)
        else:
            share = self.max_requests
        if share >= self.max_requests:
            self._share = None
        return share
