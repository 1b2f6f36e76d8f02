"""A provider for OAuth tokens: one task refreshes, however many calls were refused."""

import asyncio
from collections.abc import Awaitable, Callable


class RefreshedToken:
    def __init__(self, token: str, refresh: Callable[[], Awaitable[str]]) -> None:
        self._token = token
        self._refresh = refresh  # asks the OAuth endpoint, and stores what it gave
        self._refreshing: asyncio.Task[None] | None = None

    async def get_token(self, location_id: str) -> str:
        return self._token

    async def token_refused(self, location_id: str, token: str) -> None:
        if token != self._token:
            return  # somebody refreshed it while this call was under way
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._renew())
        # A call that is cancelled here must not cancel the refresh, or the new token would be lost.
        await asyncio.shield(self._refreshing)

    async def _renew(self) -> None:
        try:
            self._token = await self._refresh()
        finally:
            self._refreshing = None
