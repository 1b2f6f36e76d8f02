"""A silence whose end can be waited for."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

from attrs import field, frozen

from ghl_voice_async.testing import Silence

if TYPE_CHECKING:
    from aiohttp import web


@frozen
class WatchedSilence(Silence):
    """Ends when the client leaves, and says so."""

    ended: Event = field(factory=Event, eq=False)

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        try:
            return await super().play(request, answer)
        finally:
            self.ended.set()
