"""Many locations at once, and a single call beside a bulk: what the clients of one program see of each other.

The server runs in another process and refuses what is too much. Windows are a tenth of the API's, so that there
are many of them in little time.
"""

from __future__ import annotations

import asyncio
import random
import time
from bisect import bisect_left
from statistics import median

import aiohttp
from rich.console import Console
from rich.table import Table

from ghl_voice_async import CallEvent, LimitEvent, Permit, RateLimit, ResponseEvent, VoiceAIClient, WindowRateLimiter
from ghl_voice_async.testing import VoiceAIServerProcess

LOCATIONS, WINDOWS = 50, 10
OF_FIFTY = RateLimit(max_requests=10, interval=1.0)
BULK, SINGLES = 10_000, 100
OF_ONE = RateLimit(max_requests=100, interval=0.25)


def client_of(server: VoiceAIServerProcess, limiter: WindowRateLimiter) -> VoiceAIClient:
    return VoiceAIClient(server.token, base_url=server.url, rate_limit=limiter, max_connections=200)


async def fifty(server: VoiceAIServerProcess) -> list[float]:
    """Return the share of the possible throughput that each of the locations had."""
    sent: dict[str, list[float]] = {f"location-{number}": [] for number in range(LOCATIONS)}
    latencies: dict[str, list[float]] = {location: [] for location in sent}

    def note(event: CallEvent) -> None:
        if isinstance(event, ResponseEvent):
            sent[event.location_id].append(time.monotonic() - event.seconds)
            latencies[event.location_id].append(event.seconds)

    async with client_of(server, WindowRateLimiter(OF_FIFTY)) as client:
        client.add_hook(note)
        count = OF_FIFTY.max_requests * WINDOWS
        await asyncio.gather(
            *(
                client.get_call_log(call_id, location)
                for location in sent
                for call_id in server.twin.call_ids(count, location)
            )
        )
    shares = []
    for location, moments in sent.items():
        moments.sort()
        rate = (count - OF_FIFTY.max_requests) / (moments[-OF_FIFTY.max_requests] - moments[0])
        latency = sum(latencies[location]) / count
        shares.append(rate / (OF_FIFTY.max_requests / (OF_FIFTY.interval + latency)))
    return sorted(shares)


async def beside_a_bulk(server: VoiceAIServerProcess) -> tuple[list[float], list[int], float]:
    """Send a bulk, and single calls beside it at random moments.

    The bulk asks for one permit at a time, and leaves each request to a task of its own. Returns how long each of
    the single calls waited for its permit, how many permits the bulk had in that time, and how long the bulk took.
    """
    limiter = WindowRateLimiter(OF_ONE)
    headers = {"Authorization": f"Bearer {server.token}", "Version": "2021-04-15"}
    call_id = server.twin.call_ids(1, "bulk")[0]
    given: list[float] = []
    waits: list[float] = []

    def note(event: CallEvent) -> None:
        if isinstance(event, LimitEvent):
            waits.append(event.waited)

    async with (
        client_of(server, limiter) as client,
        aiohttp.ClientSession(server.url, headers=headers) as session,
        asyncio.TaskGroup() as tasks,
    ):
        client.add_hook(note)

        async def send(permit: Permit) -> None:
            path = f"/voice-ai/dashboard/call-logs/{call_id}"
            async with session.get(path, params={"locationId": "bulk"}) as answer:
                await answer.read()
            permit.release(status=answer.status, headers=answer.headers)

        async def feed() -> float:
            for _ in range(BULK):
                permit = await limiter.acquire("bulk")
                given.append(time.monotonic())
                tasks.create_task(send(permit))
            return given[-1] - given[0]

        feeding = tasks.create_task(feed())
        dice = random.Random(1)
        spans = []
        for _ in range(SINGLES):
            await asyncio.sleep(dice.uniform(0, 0.25))
            waits_before, asked = len(waits), time.monotonic()
            await client.get_call_log(call_id, "bulk")
            if len(waits) == waits_before:
                waits.append(0.0)  # its permit was free
            spans.append((asked, asked + waits[-1]))
        seconds = await feeding
    between = [bisect_left(given, end) - bisect_left(given, asked) for asked, end in spans]
    return waits, between, seconds


def main() -> None:
    console = Console(width=100)
    with VoiceAIServerProcess(max_requests=OF_FIFTY.max_requests, interval=OF_FIFTY.interval) as server:
        shares = asyncio.run(fifty(server))
        refused = server.stop().refused
    table = Table("", "", title=f"{LOCATIONS} locations at once, {WINDOWS} windows of {OF_FIFTY}")
    table.add_row("refused", f"{refused}")
    table.add_row("share of the possible: lowest, median", f"{shares[0]:.3f}, {median(shares):.3f}")
    console.print(table)

    with VoiceAIServerProcess(max_requests=OF_ONE.max_requests, interval=OF_ONE.interval) as server:
        waits, between, seconds = asyncio.run(beside_a_bulk(server))
        refused = server.stop().refused
    table = Table("", "", title=f"{SINGLES} single calls beside a bulk of {BULK:,}, with {OF_ONE}")
    table.add_row("refused", f"{refused}")
    table.add_row("the bulk took", f"{seconds:.1f} s")
    table.add_row("a single call waited: median, longest", f"{median(waits):.3f} s, {max(waits):.3f} s")
    table.add_row("permits that the bulk had in that time: median, most", f"{median(between):g}, {max(between)}")
    console.print(table)


main()
