"""A client that looks, when it is left, whether its calls left anything behind: what every promise says."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from wire import TOKEN

import ghl_voice_async
from ghl_voice_async import RetryPolicy, VoiceAIClient, WindowRateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from wire import RawServer

    from ghl_voice_async.testing import VoiceAIServer

QUICK = RetryPolicy(backoff_base=0.001, backoff_cap=0.001)
OURS = {str(path) for path in Path(ghl_voice_async.__file__).parent.glob("*.py")}
AIOHTTPS = {str(Path(aiohttp.__file__).with_name(name)) for name in ("client.py", "connector.py")}


class WatchedClient(VoiceAIClient):
    """Checks, once no call is under way, that all is where it was before."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await check_clean(self)
        await super().__aexit__(kind, error, traceback)
        await asyncio.sleep(0)
        assert left_tasks() == []


def client_of(server: VoiceAIServer | RawServer, **settings: Any) -> WatchedClient:
    """Make a client of a server that waits for nothing it need not wait for."""
    chosen = {"token": getattr(server, "token", TOKEN), "base_url": server.url, "rate_limit": None, "retry": QUICK}
    return WatchedClient(**{**chosen, **settings})


async def until(condition: Callable[[], object]) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to be")


async def check_clean(client: VoiceAIClient) -> None:
    for _ in range(3):  # turns of the loop for what is closed from a callback
        await asyncio.sleep(0)
    session = client._session
    transport = session.transport
    assert not session._lifecycle._scopes
    connector = None if transport._session is None else transport._session.connector
    if connector is not None:
        limits = [limit for limit in (connector.limit, connector.limit_per_host) if limit]
        assert transport._slots is not None
        assert transport._slots.free == min([transport._max_connections, *limits])
        assert not connector._acquired
    if isinstance(session.rate_limiter, WindowRateLimiter):
        for queue in session.rate_limiter._queues.values():
            assert queue.window.under_way == 0
            assert not queue.waiting
    assert left_tasks() == []
    gc.collect(1)  # so that exceptions never retrieved and sockets never closed speak up within the test


def left_tasks() -> list[asyncio.Task[Any]]:
    """Return the tasks of this loop that run code of ours, or of aiohttp's client, but for the test's own."""
    found = []
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        code = getattr(task.get_coro(), "cr_code", None)
        if code is not None and code.co_filename in OURS | AIOHTTPS:
            found.append(task)
    return found


class Counting:
    """A limiter that lets everything through and counts."""

    def __init__(self) -> None:
        self.taken = 0
        self.released = 0
        self.cancelled = 0

    async def acquire(self, location_id: str, *, max_pause: float) -> Counting:
        assert location_id
        assert max_pause > 0
        self.taken += 1
        return self

    def release(self, *, status: int | None, headers: Mapping[str, str]) -> None:
        self.released += 1

    def cancel(self) -> None:
        self.cancelled += 1
