"""A rate limiter with a gate in front of it: once that is shut, what is under way ends and nothing more is sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghl_voice_async import Permit, RateLimiter

__all__ = ["Gate", "GateShutError"]


class GateShutError(Exception):
    """The gate was shut before the request could be sent."""


class _FreePermit:
    """The permit of a gate without a limiter."""

    def release(self, *, status: int | None, headers: Mapping[str, str]) -> None:
        pass

    def cancel(self) -> None:
        pass


@define(eq=False)
class Gate:
    """Passes on the permits of a limiter, or free ones where there is none."""

    limiter: RateLimiter | None
    is_shut: bool = field(default=False, init=False)
    _waiting: set[asyncio.Timeout] = field(factory=set, init=False)

    async def acquire(self, location_id: str, *, max_pause: float) -> Permit:
        """Return when one request may be sent, or raise `GateShutError`, as soon as the gate is shut."""
        if not self.is_shut:
            if self.limiter is None:
                return _FreePermit()
            scope = asyncio.timeout(None)
            self._waiting.add(scope)
            try:
                async with scope:
                    return await self.limiter.acquire(location_id, max_pause=max_pause)
            except TimeoutError:
                if not scope.expired():
                    raise
            finally:
                self._waiting.remove(scope)
        raise GateShutError

    def shut(self) -> None:
        """Let nothing more through, and send away those who wait."""
        self.is_shut = True
        for scope in self._waiting:
            scope.reschedule(0.0)
