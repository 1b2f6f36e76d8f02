"""Calls by one of the ways that are compared, in a process of its own: `calling.py WAY URL CONCURRENCY`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from rounds import LOCATION, FetchAll, serve, with_workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ghl_voice_async import VoiceAIClient

PATH = "/voice-ai/dashboard/call-logs/"
TOKEN = "pit-benchmark"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Version": "2021-04-15"}
PARAMS = {"locationId": LOCATION}


@asynccontextmanager
async def naive(url: str, concurrency: int) -> AsyncIterator[FetchAll]:
    import aiohttp  # noqa: PLC0415  # each process loads what it uses, since its memory is measured

    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(headers=HEADERS, connector=connector) as session:

        async def fetch(call_id: str) -> Any:
            async with session.get(url + PATH + call_id, params=PARAMS) as response:
                response.raise_for_status()
                return await response.json()

        yield with_workers(fetch, concurrency)


@asynccontextmanager
async def with_httpx(url: str, concurrency: int) -> AsyncIterator[FetchAll]:
    import httpx  # noqa: PLC0415

    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx.AsyncClient(headers=HEADERS, limits=limits, timeout=60.0) as client:

        async def fetch(call_id: str) -> Any:
            response = await client.get(url + PATH + call_id, params=PARAMS)
            response.raise_for_status()
            return response.json()

        yield with_workers(fetch, concurrency)


def client_of(url: str, concurrency: int, *, is_limited: bool) -> VoiceAIClient:
    from ghl_voice_async import RateLimit, VoiceAIClient  # noqa: PLC0415

    limit = RateLimit(10_000_000, daily=100_000_000) if is_limited else None
    return VoiceAIClient(TOKEN, base_url=url, rate_limit=limit, max_connections=concurrency)


@asynccontextmanager
async def with_get_call_log(url: str, concurrency: int, *, is_limited: bool = False) -> AsyncIterator[FetchAll]:
    async with client_of(url, concurrency, is_limited=is_limited) as client:
        yield with_workers(lambda call_id: client.get_call_log(call_id, LOCATION), concurrency)


@asynccontextmanager
async def with_fetch_call_logs(url: str, concurrency: int) -> AsyncIterator[FetchAll]:
    async with client_of(url, concurrency, is_limited=True) as client:

        async def fetch_all(call_ids: Sequence[str]) -> None:
            async for result in client.fetch_call_logs(call_ids, LOCATION, concurrency=concurrency):
                result.unwrap()

        yield fetch_all


WAYS = {
    "naive": naive,
    "httpx": with_httpx,
    "get_call_log": with_get_call_log,
    "get_call_log_limited": lambda url, concurrency: with_get_call_log(url, concurrency, is_limited=True),
    "fetch_call_logs": with_fetch_call_logs,
}

if __name__ == "__main__":
    asyncio.run(serve(WAYS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))))
