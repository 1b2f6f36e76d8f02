"""Locations in the order in which they get the next free place of a bulk. Pure."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar

__all__ = ["Ranking"]

_MOST_STALE = 64


class Ranked(Protocol):
    """Anything that holds places."""

    @property
    def places(self) -> int:
        """The places that it holds."""
        ...  # pyright takes a docstring alone for a body that returns nothing


L = TypeVar("L", bound=Ranked)


class Ranking(Generic[L]):
    """The one with the fewest places goes first. Equals take turns, in the order in which they came.

    It is a heap whose entries stay in it when they are replaced, until they are on top or too many.
    """

    def __init__(self) -> None:
        self._entries: dict[L, tuple[int, int, L]] = {}
        self._heap: list[tuple[int, int, L]] = []
        self._turns = 0

    def put(self, member: L) -> None:
        """Add a member, or follow a change of its places."""
        entry = self._entries.get(member)
        if entry is None:
            self._turns += 1
            turn = self._turns
        elif entry[0] == member.places:
            return
        else:
            turn = entry[1]
        self._entries[member] = entry = (member.places, turn, member)
        heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._entries) + _MOST_STALE:
            self._heap = [*self._entries.values()]
            heapify(self._heap)

    def drop(self, member: L) -> None:
        """Remove a member if it is there."""
        self._entries.pop(member, None)

    def first(self) -> L | None:
        """Return the member that goes first, or None."""
        heap = self._heap
        while heap:
            entry = heap[0]
            member = entry[2]
            if self._entries.get(member) is entry:
                return member
            heappop(heap)
        return None
