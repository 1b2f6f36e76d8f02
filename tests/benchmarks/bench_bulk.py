"""Forty limited locations, sorted one after another, against one of them alone, through `fetch_call_logs`.

The server runs in another process and refuses what is too much. Its window is a tenth of the API's.
"""

from __future__ import annotations

import asyncio
import time

from rich.console import Console
from rich.table import Table

from ghl_voice_async import CallRef, RateLimit, VoiceAIClient
from ghl_voice_async.testing import VoiceAIServerProcess

LIMIT = RateLimit(max_requests=10, interval=1.0)
CALLS = 100  # of each location


async def seconds_for(locations: int, *, ordered: bool) -> tuple[float, int]:
    """Return how long all calls of so many locations took, and how many requests were refused."""
    with VoiceAIServerProcess(max_requests=LIMIT.max_requests, interval=LIMIT.interval) as server:
        names = [f"location-{number:02d}" for number in range(locations)]
        calls = [CallRef(id_, name) for name in names for id_ in server.twin.call_ids(CALLS, name)]
        async with VoiceAIClient(server.token, base_url=server.url, rate_limit=LIMIT) as client:
            started = time.perf_counter()
            results = [result async for result in client.fetch_call_logs(calls, ordered=ordered)]
            took = time.perf_counter() - started
        assert {result.ref for result in results if result.ok} == set(calls)
        return took, server.stop().refused


async def main() -> None:
    table = Table(title=f"{CALLS} calls of each location, {LIMIT.max_requests} allowed in {LIMIT.interval:g} s")
    for heading in ("locations", "order", "seconds", "of one alone", "refused"):
        table.add_column(heading, justify="right")
    alone = None
    for locations, ordered in ((1, False), (40, False), (40, True)):
        took, refused = await seconds_for(locations, ordered=ordered)
        alone = alone or took
        order = "of the input" if ordered else "as they complete"
        table.add_row(str(locations), order, f"{took:.2f}", f"{took / alone:.3f}", str(refused))
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
