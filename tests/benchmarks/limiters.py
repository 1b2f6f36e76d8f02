"""The limiters that are measured beside ours, each behind one method: wait, send, learn how it ended."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiolimiter import AsyncLimiter
from pyrate_limiter import Limiter, Rate

from ghl_voice_async import RateLimit, WindowRateLimiter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

Ended = list[tuple[int, "Mapping[str, str]"]]


class Pacer(ABC):
    """Lets at most `max_requests` be sent in any `interval` seconds, in its own way."""

    name: str

    def __init__(self, max_requests: int, interval: float) -> None:
        self.max_requests = max_requests
        self.interval = interval

    @abstractmethod
    async def wait(self) -> None:
        """Return when a request may be sent."""

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[Ended]:
        """Hold what is needed while a request is under way. It is told how the request ended."""
        await self.wait()
        yield []


class Ours(Pacer):
    name = "WindowRateLimiter"

    def __init__(self, max_requests: int, interval: float) -> None:
        super().__init__(max_requests, interval)
        self.limiter = WindowRateLimiter(RateLimit(max_requests=max_requests, interval=interval))

    async def wait(self) -> None:
        (await self.limiter.acquire("benchmark")).release(status=200, headers={})

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[Ended]:
        permit = await self.limiter.acquire("benchmark")
        ended: Ended = []
        yield ended
        ((status, headers),) = ended
        permit.release(status=status, headers=headers)


class LeakyBucket(Pacer):
    name = "aiolimiter"

    def __init__(self, max_requests: int, interval: float) -> None:
        super().__init__(max_requests, interval)
        self.limiter = AsyncLimiter(max_requests, interval)

    async def wait(self) -> None:
        await self.limiter.acquire()


class PyrateLimiter(Pacer):
    name = "pyrate-limiter"

    def __init__(self, max_requests: int, interval: float) -> None:
        super().__init__(max_requests, interval)
        self.limiter = Limiter(Rate(max_requests, round(interval * 1000)))

    async def wait(self) -> None:
        await self.limiter.try_acquire_async("benchmark")


class SendTimeLog(Pacer):
    name = "log of send times"

    def __init__(self, max_requests: int, interval: float) -> None:
        super().__init__(max_requests, interval)
        self.sent: deque[float] = deque()
        self.lock = asyncio.Lock()

    async def wait(self) -> None:
        loop = asyncio.get_running_loop()
        async with self.lock:
            if len(self.sent) == self.max_requests:
                await asyncio.sleep(self.sent.popleft() + self.interval - loop.time())
            self.sent.append(loop.time())


PACERS: list[type[Pacer]] = [Ours, LeakyBucket, PyrateLimiter, SendTimeLog]
