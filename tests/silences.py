"""A silence whose beginning and whose end can be waited for."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

from attrs import field, frozen

from ghl_voice_async.testing import Silence

if TYPE_CHECKING:
    from aiohttp import web


@frozen
class WatchedSilence(Silence):
    """Ends when the client leaves. It says so, and when it has begun."""

    begun: Event = field(factory=Event, eq=False)
    ended: Event = field(factory=Event, eq=False)

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        self.begun.set()
        try:
            return await super().play(request, answer)
        finally:
            self.ended.set()
