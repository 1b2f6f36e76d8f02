"""The calls of a bulk between its input and its results: what to read, to begin and to deliver. Pure.

It knows no event loop and no network: `Bulk` tells it what happens, and asks it what to do.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeAlias, TypeVar

from ghl_voice_async.result import CallRef
from ghl_voice_async.sharing import Location, Sharing

__all__ = ["Item", "Schedule"]


class Result(Protocol):
    """What a call comes to, be it decoded or not."""

    @property
    def index(self) -> int:
        """The position of the call in the input."""
        ...  # pyright takes a docstring alone for a body that returns nothing


R = TypeVar("R", bound=Result)
Item: TypeAlias = tuple[int, CallRef]
"""A call of the input, after its position there."""


class Schedule(Generic[R]):
    """Keeps the calls that are read and not begun, the places of those that are begun, and undelivered results.

    The location with the fewest places gets the next one, see `Sharing`. Each is asked about by one call at a time:
    from `begin` until `allow` the others of that location are passed over. So a location that has to wait holds up
    nobody, and a single call beside the bulk finds one of its calls waiting, not all of them.

    Nothing is read or begun while the consumer has `concurrency` results to take, or while `look_ahead` +
    `concurrency` items are read and not delivered.
    """

    def __init__(self, *, concurrency: int, look_ahead: int, ordered: bool) -> None:
        self._concurrency = concurrency
        self._look_ahead = look_ahead
        self._most_undelivered = look_ahead + concurrency
        self._ordered = ordered
        self._sharing = Sharing(concurrency)
        self._waiting: dict[str, deque[Item]] = {}  # by location, in the order of the input
        self._count = 0  # of these
        self._asking: dict[str, bool] = {}  # and whether it is not known yet that they have to wait
        self._undecided = 0  # of these
        self._in_flight = 0
        self._results: deque[R] = deque()
        self._early: dict[int, R] = {}  # whose turn has not come, where the order is kept
        self._next_in_order = 0
        self._delivered = 0
        self._refused_in_a_row = 0  # items of refused locations, since any other call ended
        self._is_read_up = False
        self._is_stopped = False
        self.read: int = 0
        """Items of the input so far."""

    @property
    def has_room(self) -> bool:
        """Whether another item may be read."""
        return self._may_read and (self._count < 2 * self._concurrency or self._has_idle_places)

    @property
    def is_short(self) -> bool:
        """Whether an item should be read now: there is room for a good many, or nothing else to begin."""
        if self._count > self._concurrency and not self._has_idle_places:
            return False
        return self._may_read

    @property
    def has_just_made_room(self) -> bool:
        """Whether something may be begun or read that could not before the last result was taken."""
        return len(self._results) + 1 == self._concurrency or self.read - self._delivered + 1 == self._most_undelivered

    @property
    def can_begin(self) -> bool:
        """Whether there are a place and a call to begin, and room for its result."""
        if not self._sharing.free or len(self._results) >= self._concurrency or self._is_stopped:
            return False
        return self._next_to_begin() is not None

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more is begun or read."""
        return self._is_stopped

    @property
    def is_over(self) -> bool:
        """Whether there will be no more results than `next_result` has now."""
        return not self._in_flight and (self._is_stopped or (self._is_read_up and not self._count))

    @property
    def is_refused(self) -> bool:
        """Whether all locations have refused their calls, within `look_ahead` or at the end of the input."""
        if self._sharing.open_locations:
            return False
        if self._refused_in_a_row >= self._look_ahead:
            return True
        return self.is_over and self._sharing.are_all_refused()

    def add(self, ref: CallRef) -> None:
        """Take in the next item of the input."""
        location_id = ref.location_id
        location = self._sharing.open(location_id)
        waiting = self._waiting.get(location_id)
        if waiting is None:
            waiting = self._waiting[location_id] = deque()
            if location_id not in self._asking:
                self._sharing.offer(location)
        waiting.append((self.read, ref))
        self._count += 1
        self.read += 1

    def reject(self, result: R, *, is_refused: bool = False) -> None:
        """Record the result of the next item of the input, which is not fetched."""
        self.read += 1
        self._refused_in_a_row += is_refused
        self._keep(result)

    def read_up(self) -> None:
        """Take in that the input has no more items."""
        self._is_read_up = True

    def stop(self) -> None:
        """Begin nothing and read nothing from now on."""
        self._is_stopped = True

    def begin(self) -> Item | None:
        """Return a call to be begun now, which has a place, or None."""
        if len(self._results) >= self._concurrency or self._is_stopped:
            return None
        location = self._next_to_begin()
        if location is None:
            return None
        location_id = location.id
        waiting = self._waiting[location_id]
        item = waiting.popleft()
        if not waiting:
            del self._waiting[location_id]
        self._sharing.withdraw(location)
        self._sharing.take_place(location)
        self._asking[location_id] = True
        self._undecided += 1
        self._count -= 1
        self._in_flight += 1
        return item

    def wait(self, location_id: str) -> None:
        """Take in that the call which asked about a location has to wait."""
        if self._asking[location_id]:
            self._asking[location_id] = False
            self._undecided -= 1

    def allow(self, location_id: str) -> None:
        """Take in that the call which asked about a location has its permit, or is over without one."""
        if self._asking.pop(location_id):
            self._undecided -= 1
        if location_id in self._waiting:
            self._sharing.offer(self._sharing.locations[location_id])

    def leave_place(self, location_id: str) -> None:
        """Take in that a call gives its place up: it waits for its location, or it is over."""
        self._sharing.leave_place(self._sharing.locations[location_id])

    def set_returning(self, location_id: str, *, is_returning: bool) -> None:
        """Record whether calls of a location have waited, and need a place again."""
        self._sharing.set_returning(self._sharing.locations[location_id], is_returning=is_returning)

    def next_to_return(self) -> str | None:
        """Return the location whose returning call gets a place now, or None. `take_place` has to follow."""
        location = self._sharing.next_to_return(others_may_come=self._others_may_come)
        return None if location is None else location.id

    def take_place(self, location_id: str) -> None:
        """Record that a returning call of a location has a place again."""
        self._sharing.take_place(self._sharing.locations[location_id])

    def hear(self, location_id: str, status: int | None) -> None:
        """Record the status of a response, or None for an attempt without one."""
        self._sharing.hear(self._sharing.locations[location_id], status)

    def hold(self, location_id: str, change: int) -> None:
        """Record that refused calls wait for another token, or no longer wait."""
        self._sharing.hold(self._sharing.locations[location_id], change)

    def refuse(self, location_id: str, tokens: tuple[object, ...]) -> list[Item] | None:
        """Record that a location refused a call with these tokens.

        The second refusal with the same token, with no accepted request in between, closes the location. Return its
        calls that have not begun in that case, whose result is the refusal. Return None in all others.
        """
        location = self._sharing.locations[location_id]
        if location.is_closed or not self._sharing.refuse(location, tokens):
            return None
        left = self._waiting.pop(location_id, deque())
        self._count -= len(left)
        self._sharing.close(location, len(left))
        return [*left]

    def keep_refused(self, result: R) -> None:
        """Record the result of a call that `refuse` returned."""
        self._refused_in_a_row += 1
        self._keep(result)

    def end(self, location_id: str, result: R | None) -> None:
        """Take in that a call is over, and its result where it has one."""
        self._in_flight -= 1
        location = self._sharing.locations[location_id]
        if not location.is_closed:
            self._refused_in_a_row = 0
        self._sharing.end(location)
        if result is not None:
            self._keep(result)

    def next_result(self) -> R | None:
        """Return the next result to deliver, or None while there is none."""
        if not self._results:
            if not (self._early and self.is_over):
                return None
            # Those for which the order waited have no result: the bulk was stopped.
            self._results.extend(self._early.pop(index) for index in sorted(self._early))
        self._delivered += 1
        return self._results.popleft()

    @property
    def _may_read(self) -> bool:
        is_held_up = len(self._results) >= self._concurrency or self.read - self._delivered >= self._most_undelivered
        return not is_held_up and not self._is_stopped

    @property
    def _others_may_come(self) -> bool:
        return not self._is_read_up and self._may_read

    @property
    def _has_idle_places(self) -> bool:
        return self._sharing.free > 0 and not self._undecided and self._next_to_begin() is None

    def _next_to_begin(self) -> Location | None:
        return self._sharing.next_to_begin(others_may_come=self._others_may_come)

    def _keep(self, result: R) -> None:
        if not self._ordered:
            self._results.append(result)
            return
        self._early[result.index] = result
        while self._next_in_order in self._early:
            self._results.append(self._early.pop(self._next_in_order))
            self._next_in_order += 1
