"""The places of a bulk, shared out among its locations: which one gets the next, and which has enough. Pure."""

from __future__ import annotations

from typing import Final

from attrs import define

from ghl_voice_async.ranking import Ranking

__all__ = ["Location", "Sharing"]

_ACCEPTED: Final = frozenset({400, 404, 409, 410, 422})
"""Failures of requests whose token was accepted."""
_REFUSED: Final = frozenset({401, 403})
_UNKNOWN: Final = 2
"""Places of a location that has not responded yet."""


@define(eq=False)
class Location:
    """A location with calls that are not over, or a location that refused calls."""

    id: str
    limit: int = _UNKNOWN
    """The most places that it gets, until its token is known to be accepted."""
    places: int = 0
    held: int = 0
    """Refused calls without a place that wait for another token. No other call is sent instead."""
    open_calls: int = 0
    heard_at: int = 0
    """The responses of the whole bulk at its own last response, or when it got its only place."""
    is_waiting: bool = False
    """It has calls to begin, and nobody is asking about it."""
    is_returning: bool = False
    """It has calls that have waited and need a place again."""
    is_silent: bool = False
    """It had no response yet, or none to its last attempt, or none while other locations had many."""
    is_tried: bool = False
    is_accepted: bool = False
    """Its token was accepted, and not refused since."""
    was_accepted: bool = False
    is_closed: bool = False
    """It refused two calls, and no more are begun."""
    refused_with: tuple[object, ...] = ()
    """The tokens with which it refused its last call, if it has accepted none since."""


class _Line:
    """The locations that wait for a place for one purpose. Silent ones are behind all others."""

    def __init__(self) -> None:
        self.responsive = Ranking[Location]()
        self.silent = Ranking[Location]()

    def put(self, location: Location) -> None:
        (self.silent if location.is_silent else self.responsive).put(location)

    def drop(self, location: Location) -> None:
        (self.silent if location.is_silent else self.responsive).drop(location)


class Sharing:
    """Gives each free place to the location that has the fewest: max-min fairness.

    A place cannot be taken back, so a location that does not respond would hold all of them in time. Therefore it
    comes after all others and gets no more than its share, and such locations together get half of the places. These
    bounds end where no other location has calls.

    A location gets few places until its token is known to be accepted: two at first, one more for each attempt that
    leaves it open, and a single one after a refusal. So a token that is refused from the start costs two requests.
    """

    def __init__(self, places: int) -> None:
        self.free: int = places
        self.locations: dict[str, Location] = {}
        self.open_locations: int = 0
        """Locations with calls that are not over, except those that are closed."""
        self._places = places
        self._responses = 0
        self._is_any_fine = False
        self._silent = 0
        self._silent_places = 0
        self._to_begin = _Line()
        self._to_return = _Line()

    def open(self, location_id: str) -> Location:
        """Return the location of a call that was read."""
        location = self.locations.get(location_id)
        if location is None:
            location = self.locations[location_id] = Location(location_id)
        if not location.open_calls:
            self.open_locations += 1
            self._silent += location.is_silent
        location.open_calls += 1
        return location

    def end(self, location: Location) -> None:
        """Record that a call is over, and forget the location after its last one unless it refused calls."""
        location.open_calls -= 1
        if location.open_calls:
            return
        if not location.is_closed:
            self.open_locations -= 1
            self._silent -= location.is_silent
        if not location.refused_with:
            self._is_any_fine = self._is_any_fine or location.is_tried
            del self.locations[location.id]

    def offer(self, location: Location) -> None:
        """Record that a call of this location may begin."""
        location.is_waiting = True
        self._line_up(location)

    def withdraw(self, location: Location) -> None:
        """Record that no call of this location may begin."""
        self._to_begin.drop(location)
        location.is_waiting = False

    def set_returning(self, location: Location, *, is_returning: bool) -> None:
        """Record whether calls of this location need a place again."""
        self._to_return.drop(location)
        location.is_returning = is_returning
        self._line_up(location)

    def take_place(self, location: Location) -> None:
        """Give a free place to a location."""
        self.free -= 1
        if not location.places:
            location.heard_at = self._responses
        location.places += 1
        self._silent_places += location.is_silent
        self._line_up(location)

    def leave_place(self, location: Location) -> None:
        """Take a place back."""
        self.free += 1
        location.places -= 1
        self._silent_places -= location.is_silent
        self._line_up(location)

    def next_to_begin(self, *, others_may_come: bool) -> Location | None:
        """Return the location whose call begins next, or None if there is no place for one."""
        return self._first(self._to_begin, others_may_come=others_may_come)

    def next_to_return(self, *, others_may_come: bool) -> Location | None:
        """Return the location whose returning call gets the next place, or None if there is no place for one."""
        return self._first(self._to_return, others_may_come=others_may_come)

    def hear(self, location: Location, status: int | None) -> None:
        """Record the status of a response, or None for an attempt without one."""
        location.is_tried = True
        if status is None:
            self._set_silent(location, is_silent=True)
        else:
            self._responses += 1
            location.heard_at = self._responses
            if location.is_silent:
                self._set_silent(location, is_silent=False)
        if location.is_accepted or status in _REFUSED:
            return
        if status is not None and (status < 300 or status in _ACCEPTED):
            location.is_accepted = location.was_accepted = True
            location.refused_with = ()
            location.limit = self._places
        elif not location.refused_with:
            location.limit += 1
        self._line_up(location)

    def hold(self, location: Location, change: int) -> None:
        """Record a change in how many refused calls wait for another token."""
        location.held += change
        self._line_up(location)

    def refuse(self, location: Location, tokens: tuple[object, ...]) -> bool:
        """Record that a call was refused. Return True if it is the second with one of these tokens in a row."""
        is_second = any(token in location.refused_with for token in tokens)
        location.refused_with = tokens
        location.is_accepted = False
        location.limit = 1
        self._line_up(location)
        return is_second

    def close(self, location: Location, left: int) -> None:
        """Give a location no more places to begin with, and forget its calls that have not begun."""
        self._set_silent(location, is_silent=False)
        self.withdraw(location)
        location.is_closed = True
        location.open_calls -= left
        self.open_locations -= 1

    def are_all_refused(self) -> bool:
        """Return True if calls were refused, and no location that was tried accepted any, or has since refused all."""
        if self._is_any_fine or not self.locations:
            return False
        return all(location.is_closed or not location.was_accepted for location in self.locations.values())

    def _first(self, line: _Line, *, others_may_come: bool) -> Location | None:
        if not self.free:
            return None
        while (location := line.responsive.first()) is not None:
            is_heard = location.is_tried and self._responses - location.heard_at < self._places
            if is_heard or not location.places:
                return location
            self._set_silent(location, is_silent=True)
        location = line.silent.first()
        if location is None or (self._silent == self.open_locations and not others_may_come):
            return location
        share = max(1, self._places // self.open_locations)
        is_too_much = location.places >= share or self._silent_places >= max(1, self._places // 2)
        return None if is_too_much else location

    def _set_silent(self, location: Location, *, is_silent: bool) -> None:
        if is_silent == location.is_silent or location.is_closed:
            return
        self._to_begin.drop(location)
        self._to_return.drop(location)
        location.is_silent = is_silent
        change = 1 if is_silent else -1
        self._silent += change
        self._silent_places += change * location.places
        self._line_up(location)

    def _line_up(self, location: Location) -> None:
        """Put a location where it waits for a place, or away if it has as many as it gets."""
        if location.places + location.held < location.limit:
            if location.is_waiting:
                self._to_begin.put(location)
            if location.is_returning:
                self._to_return.put(location)
        else:
            self._to_begin.drop(location)
            self._to_return.drop(location)
