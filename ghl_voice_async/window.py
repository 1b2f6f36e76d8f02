"""One location's window: which requests may be sent now, and when the next may. Pure: no clock and no event loop.

A slot that a request took becomes free one interval after its answer came, not after it was sent: then each
slot lands at most one request in any window of the server's, however that window is aligned and however
long the way takes. The page *Rate limits* of the documentation has the proof.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Final, Generic, TypeVar

from attrs import define

from ghl_voice_async.daily import DailyBudget
from ghl_voice_async.response import WindowHeaders, daily_headers, requested_wait, retry_after, window_headers
from ghl_voice_async.retry import LONGEST_PAUSE
from ghl_voice_async.shared_budget import SharedBudget

__all__ = ["Slot", "Window"]

_REMEMBERED: Final = 24 * 3600.0  # seconds for which a lower limit of the server's outlasts the last request
_LONGEST_INTERVAL: Final = 3600.0  # seconds, or the caller's own interval where that is longer
_DOUBTFUL: Final = 30.0  # times the caller's interval: a longer interval of the server is checked
_LONG_PAUSE: Final = 60.0  # seconds after which a pause is worth a warning
_NOTHING_SAID: Final = WindowHeaders(None, None, None)
_SILENCE: Final = 2.0  # intervals of responses without a word after which the last word is forgotten
_REJECTED_BY_API: Final = frozenset({400, 404, 409, 410, 422})


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


class _Silence:
    """For how long the server has served requests without a word on something."""

    def __init__(self) -> None:
        self._since = -inf

    def seconds(self, now: float, *, said_at: float) -> float:
        """Record another response without a word, and return the seconds since the first after the last word."""
        if self._since < said_at:
            self._since = now
        return now - self._since


S = TypeVar("S", bound=Slot)  # a permit is a slot, too, since a second object for it takes 1 % of a call


class Window(Generic[S]):
    """The slots of one location. Times are seconds on one monotonic clock, whose steps are `resolution` long.

    There are never more than `max_requests` in an `interval`, nor more than the server's headers allow in the
    interval that they name. After a 429 it pauses, and then lets one request go, and for each answer that is
    not another 429 two more, until the slots are the limit again: what the first answers say is known before
    the rest goes.

    No single response stops a location for longer than an hour. A limit that the responses of two intervals do not
    repeat is forgotten. A much longer interval that one response alone has named is checked by a probe.
    `warn` is called with what the server did when it stops the location for long, or says what makes no sense.
    """

    def __init__(
        self,
        new_slot: type[S],
        *,
        max_requests: int,
        interval: float,
        resolution: float,
        day: DailyBudget,
        warn: Callable[[str], None],
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
        self._sent_when_day_heard = 0
        self._silence_about_day = _Silence()
        self._probe: S | None = None  # the last that looks whether the day has turned
        self._max_said_at = -inf
        self._silence_about_max = _Silence()
        self._interval_said_at = -inf
        self._silence_about_interval = _Silence()
        self._doubted_until = inf  # when the next request may go to check a doubtful interval
        self._interval_probe: S | None = None  # the last such request
        self._warn = warn
        self._warned_until = -inf

    def take(self, now: float) -> S | None:
        """Take a slot, or return None when no request may be sent now."""
        if now < self.paused_until or self._awaits_answer():
            return None
        in_use = self.in_use(now)
        checks_interval = in_use >= self.limit(now)
        if checks_interval and now < self._doubted_until:
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
        if checks_interval:
            self._interval_probe = slot
            self._doubted_until = now + _DOUBTFUL * self._interval
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
                free_at = ended.free_at(too_many) if too_many < count else inf
                at = max(at, min(free_at, self._doubted_until) if ended is self._ended_at_server else free_at)
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
        if status is not None:
            self._hear_of_day(slot, now, status, headers)
            self._hear_of_window(slot, now, status, headers)
        if status == 429 and self.day.server_remaining > 0:
            self._pause(slot, now, headers)
        elif slot.number > self._sent_before_pause:
            self._credit += 1 if status is None else 2

    def cancel(self, slot: Slot) -> None:
        """Give back a slot whose request was not sent."""
        self.under_way -= 1
        if slot.number > self._sent_before_pause:
            self._credit += 1
        if slot is self._probe:
            self.day.probe_again()
        if slot is self._interval_probe:
            self._doubted_until = -inf

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

    def _hear_of_day(self, slot: Slot, now: float, status: int, headers: Mapping[str, str]) -> None:
        """Follow what the server says of its day."""
        if (day := daily_headers(headers)) is not None:
            number = slot.number
            is_newest = number > self._newest_heard_of_day
            is_later = number > self._sent_when_day_heard or slot is self._probe
            if self.day.hear(day, now, is_newest=is_newest, is_later=is_later):
                self._sent_when_day_heard = self._sent
            if is_newest:
                self._newest_heard_of_day = number
                self._beside_newest_of_day = slot.beside
        elif self.day.server_remaining < inf:
            self._hear_silence_about_day(slot, now, status)

    def _hear_silence_about_day(self, slot: Slot, now: float, status: int) -> None:
        """Forget what the server said of the day once it serves requests without another word."""
        if not _is_served(status) or slot.number <= self._newest_heard_of_day:
            return
        if slot is self._probe:
            self.day.hear_nothing()
        elif slot.number > self._sent_when_day_heard:
            silence = self._silence_about_day.seconds(now, said_at=self.day.heard_at)
            if silence >= _SILENCE * self._interval:
                self.day.forget_server(now)

    def _hear_of_window(self, slot: Slot, now: float, status: int, headers: Mapping[str, str]) -> None:
        """Follow what the server says of its window. When responses overtake each other, the newest request's wins."""
        number = slot.number
        said = window_headers(headers) or _NOTHING_SAID
        is_another = said.interval is not None and said.interval != self.interval
        if is_another:
            said = self._without_absurd(said, now)
        max_requests, _, remaining = said
        if number > self._newest_heard:
            self._newest_heard = number
            if max_requests is not None:
                self.budget.max_requests = max_requests
            if remaining is not None:
                self.budget.remaining = remaining
            if is_another or self._counts_twice or self.budget.max_requests != self._max_requests:
                self._follow(said, slot, now, status)
        if max_requests is not None and remaining is not None and now >= self._knows_all_from:
            # At the most, the server has counted for us what was under way or answered less than a window before
            # this request, and what went since: more than that is others'.
            ours = slot.held + self._sent - number
            if max_requests - remaining > ours:
                self.budget.observe(max_requests - remaining - ours, now)

    def _without_absurd(self, said: WindowHeaders, now: float) -> WindowHeaders:
        """Return what the server says of its window, or nothing where its interval is too long to be one."""
        if said.interval is None or said.interval <= max(self._interval, _LONGEST_INTERVAL):
            return said
        text = f"the server names an interval of {said.interval:.0f} s, which is ignored"
        self._warn_once(text, now, now + LONGEST_PAUSE)
        return _NOTHING_SAID

    def _follow(self, said: WindowHeaders, slot: Slot, now: float, status: int) -> None:
        """Follow what the newest response says of the window, and forget what the responses no longer say."""
        if said.interval is not None:
            self._interval_said_at = now
            if said.interval != self.interval:
                self._measure_by(said.interval, now)
            else:
                self._doubted_until = inf
        elif _is_served(status) and self._interval_is_over(slot, now):
            self._measure_by(self._interval, now)
        if said.max_requests is not None:
            self._max_said_at = now
        elif _is_served(status):
            silence = self._silence_about_max.seconds(now, said_at=self._max_said_at)
            if silence >= _SILENCE * max(self.interval, self._interval):
                self.budget.max_requests = self._max_requests

    def _interval_is_over(self, slot: Slot, now: float) -> bool:
        """Return True if the server, which does not name its interval now, named it too long ago."""
        said_at = self._interval_said_at
        if self.interval > _DOUBTFUL * self._interval:
            return slot is self._interval_probe or now >= said_at + self.interval
        silence = self._silence_about_interval.seconds(now, said_at=said_at)
        return silence >= _SILENCE * max(self.interval, self._interval)

    def _measure_by(self, interval: float, now: float) -> None:
        """Count in the server's interval, which may be another than before, and in ours where that is another."""
        self._knows_all_from = now + interval if interval > self.interval else min(self._knows_all_from, now + interval)
        self.interval = interval
        self._counts_twice = interval != self._interval
        longest = max(self._ended, self._ended_at_server, key=lambda ended: ended.hold)
        self._ended_at_server = longest.within(interval) if self._counts_twice else self._ended
        doubtful = _DOUBTFUL * self._interval
        self._interval_probe = None
        self._doubted_until = inf
        if interval > doubtful:
            self._doubted_until = now + doubtful
            text = f"the server names an interval of {interval:.0f} s, which is checked after {doubtful:.0f} s"
            self._warn_once(text, now, self._doubted_until)

    def _pause(self, slot: Slot, now: float, headers: Mapping[str, str]) -> None:
        """Send nothing for as long as a 429 asks, at most for an hour, or else for one interval."""
        asked = retry_after(headers)
        if asked is not None:
            asked = min(asked, LONGEST_PAUSE)
            self.asked_to_wait_until = max(self.asked_to_wait_until, now + asked)
        is_doubted = self._doubted_until < inf
        interval = min(self.interval, _DOUBTFUL * self._interval) if is_doubted else self.interval
        pause = asked or interval
        self.paused_until = max(self.paused_until, now + pause)
        if slot.number > self._sent_before_pause:
            self.budget.refuse(self.in_use(now), now, self.interval, paused_until=self.paused_until)
        self._credit = 1
        self._sent_before_pause = self._sent
        requested = requested_wait(headers) or 0.0
        if pause > _LONG_PAUSE or requested > LONGEST_PAUSE:
            wish = f" and asks to wait {requested:.0f} s" if requested else ""
            self._warn_once(f"a 429 stops it for {pause:.0f} s{wish}", now, self.paused_until)

    def _warn_once(self, text: str, now: float, until: float) -> None:
        """Pass a warning on, unless one was given for a time that is not over."""
        if now >= self._warned_until:
            self._warned_until = until
            self._warn(text)


def _is_served(status: int) -> bool:
    """Return True if the API itself has responded, after the request was counted."""
    return status < 300 or status in _REJECTED_BY_API
