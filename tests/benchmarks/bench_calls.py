"""What a call costs this process, beside an aiohttp loop written by hand that neither paces, retries nor decodes.

The server runs in another process. What is measured is the time this process spends computing, since the wall
clock mostly shows how fast the server is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import orjson
from paired import print_paired

from ghl_voice_async import RateLimit, VoiceAIClient, decode_call_log
from ghl_voice_async.testing import VoiceAIServerProcess

CALLS = 1000
CONCURRENCY = 50
LOCATION = "benchmark"

Fetch = Callable[[str], Awaitable[Any]]


async def fetch_all(fetch: Fetch, call_ids: Sequence[str]) -> float:
    started = time.process_time()
    for start in range(0, len(call_ids), CONCURRENCY):
        await asyncio.gather(*map(fetch, call_ids[start : start + CONCURRENCY]))
    return (time.process_time() - started) / len(call_ids) * 1e6


def by_hand(server: VoiceAIServerProcess, decode: Callable[[bytes], Any], call_ids: Sequence[str]) -> float:
    headers = {"Authorization": f"Bearer {server.token}", "Version": "2021-04-15"}

    async def run() -> float:
        async with aiohttp.ClientSession(server.url, headers=headers) as session:

            async def fetch(call_id: str) -> Any:
                path = f"/voice-ai/dashboard/call-logs/{call_id}"
                async with session.get(path, params={"locationId": LOCATION}) as answer:
                    answer.raise_for_status()
                    return decode(await answer.read())

            return await fetch_all(fetch, call_ids)

    return asyncio.run(run())


def with_client(server: VoiceAIServerProcess, rate_limit: RateLimit | None, call_ids: Sequence[str]) -> float:
    async def run() -> float:
        async with VoiceAIClient(server.token, base_url=server.url, rate_limit=rate_limit) as client:
            return await fetch_all(lambda call_id: client.get_call_log(call_id, LOCATION), call_ids)

    return asyncio.run(run())


def main() -> None:
    with VoiceAIServerProcess(max_requests=None) as server:
        call_ids = server.twin.call_ids(CALLS, LOCATION)
        print_paired(
            f"{CALLS:,} calls, {CONCURRENCY} at a time",
            "µs a call",
            {
                "aiohttp and orjson by hand": lambda: by_hand(server, orjson.loads, call_ids),
                "aiohttp and decode_call_log": lambda: by_hand(server, decode_call_log, call_ids),
                "get_call_log, no rate limit": lambda: with_client(server, None, call_ids),
                "get_call_log, ample rate limit": lambda: with_client(server, RateLimit(10**6), call_ids),
            },
            rounds=7,
        )


main()
