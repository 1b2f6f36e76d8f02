"""The order in which the calls of many locations are fetched, and what is left of them."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from ghl_voice_async import CallRef

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from ghl_voice_async import CallLogResult
    from ghl_voice_async.cli.call_list import CallList

__all__ = ["Feed"]

_LOOK_AHEAD: Final = 10_000


class Feed:
    """Gives the calls of a list to a bulk, and lets go of each.

    The next call is one of the location that has fewest calls with the bulk. So a location that waits, for however
    long, takes up no more of the bulk's look-ahead than any other.
    """

    def __init__(self, calls: CallList) -> None:
        self.look_ahead: int = max(_LOOK_AHEAD, 2 * len(calls.ids))
        """How many calls a bulk has to read ahead, so that it knows calls of every location."""
        self._left: dict[str, list[str]] = {}  # the ids of each location, the next one last
        self._with_bulk = dict.fromkeys(calls.ids, 0)
        # The locations with calls left, by how many of their calls are with the bulk; each of these in turn.
        self._levels: list[OrderedDict[str, None]] = [OrderedDict.fromkeys(calls.ids)]
        self._lowest = 0  # where the first of them can be
        while calls.ids:
            location_id, ids = calls.ids.popitem()
            self._left[location_id] = [*reversed(ids)]

    def calls(self) -> Iterator[CallRef]:
        """Give each call, as one is asked for."""
        while self._left:
            yield self._next()

    async def results(self, results: AsyncGenerator[CallLogResult, None]) -> AsyncGenerator[CallLogResult, None]:
        """Pass the results of the bulk on, and take note of what is not with it any more."""
        async with aclosing(results):
            async for result in results:
                self._take_back(result.location_id)
                yield result

    def _next(self) -> CallRef:
        while not self._levels[self._lowest]:
            self._lowest += 1
        location_id, _ = self._levels[self._lowest].popitem(last=False)
        left = self._left[location_id]
        ref = CallRef(left.pop(), location_id)
        count = self._with_bulk[location_id] = self._with_bulk[location_id] + 1
        if left:
            self._put(location_id, count)
        else:
            del self._left[location_id]
        return ref

    def _take_back(self, location_id: str) -> None:
        count = self._with_bulk[location_id] = self._with_bulk[location_id] - 1
        if location_id in self._left:
            del self._levels[count + 1][location_id]
            self._put(location_id, count)
            self._lowest = min(self._lowest, count)

    def _put(self, location_id: str, count: int) -> None:
        if count == len(self._levels):
            self._levels.append(OrderedDict())
        self._levels[count][location_id] = None
