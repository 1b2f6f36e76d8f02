"""What a `VoiceAIServer` saw, for assertions."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

from attrs import define, field, frozen

__all__ = ["Seen", "SeenRequest"]

_KEPT = 10_000


@frozen
class SeenRequest:
    """One request as it arrived."""

    path: str
    """The raw target with its query, before anything was decoded."""
    call_id: str
    """The call asked for."""
    location_id: str
    """The `locationId` of the query, or ""."""
    headers: Mapping[str, str] = field(repr=False)
    """The headers, whose names are found in any case."""


@define
class Seen:
    """Counts of what arrived and what was answered."""

    requests: int = 0
    """Requests that arrived, refused ones and those that met a fault included."""
    refused: int = 0
    """Requests answered 429 because the location was over its limit."""
    statuses: Counter[int] = field(factory=Counter)
    """Whole answers by status. A request that met a fault is counted where the fault still gave one."""
    faults: Counter[str] = field(factory=Counter)
    """Faults played, by the name of their class."""
    calls: Counter[str] = field(factory=Counter)
    """Requests by call id."""
    locations: Counter[str] = field(factory=Counter)
    """Requests by location id."""
    latest: deque[SeenRequest] = field(factory=lambda: deque(maxlen=_KEPT), repr=False)
    """The last 10,000 requests, oldest first."""

    def arrived(self, request: SeenRequest) -> None:
        """Count one request."""
        self.requests += 1
        self.calls[request.call_id] += 1
        self.locations[request.location_id] += 1
        self.latest.append(request)
