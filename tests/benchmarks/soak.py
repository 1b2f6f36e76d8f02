"""A long run with faults on: whether sockets, tasks and memory stay flat, and whether anything is lost.

`python soak.py 100000` makes that many calls. The server runs in another process.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from ghl_voice_async import CallEvent, GHLVoiceError, RateLimit, RequestEvent, RetryPolicy, VoiceAIClient
from ghl_voice_async.testing import (
    CloseBeforeAnswer,
    CutShort,
    Fault,
    Raw,
    ResetBeforeAnswer,
    ResetWithinAnswer,
    Silence,
    Status,
    StrayBytes,
    VoiceAIServerProcess,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CONCURRENCY = 64
LOCATIONS = 10
SAMPLES = 10
FAULTS: dict[Fault, float] = {
    Silence(): 0.001,
    **dict.fromkeys(
        [
            Status(500),
            Status(503, headers={"Retry-After": "0.1"}),
            Status(429, headers={"Retry-After": "0.1"}),
            ResetBeforeAnswer(),
            ResetWithinAnswer(),
            CloseBeforeAnswer(),
            CutShort(),
            CutShort(0.5, "gzip"),
            CutShort(0.5, "close"),
            Raw(b"garbage\r\n\r\n"),
            StrayBytes(),
        ],
        0.1 / 11,
    ),
}


class Run:
    def __init__(self, client: VoiceAIClient, table: Table, calls: int) -> None:
        self.client = client
        self.table = table
        self.calls = calls
        self.done = 0
        self.requests = 0
        self.failures: Counter[str] = Counter()
        self.started = time.perf_counter()

    def count(self, event: CallEvent) -> None:
        self.requests += isinstance(event, RequestEvent)

    async def work(self, wanted: Iterator[tuple[str, str]]) -> None:
        for call_id, location_id in wanted:
            try:
                call = await self.client.get_call_log(call_id, location_id)
            except GHLVoiceError as error:
                self.failures[type(error).__name__] += 1
            else:
                assert call.id == call_id
            self.done += 1
            if self.done % (self.calls // SAMPLES) == 0:
                self.sample()

    def sample(self) -> None:
        gc.collect()
        open_files = len(list(Path("/proc/self/fd").iterdir()))
        resident = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
        self.table.add_row(
            f"{self.done:,}",
            f"{open_files}",
            f"{len(asyncio.all_tasks())}",
            f"{int(resident.split()[1]) / 1024:.1f}",
            f"{len(gc.get_objects()):,}",
            f"{self.requests - self.done:,}",
            f"{self.done / (time.perf_counter() - self.started):,.0f}",
        )


async def soak(server: VoiceAIServerProcess, calls: int, table: Table) -> Run:
    names = [f"soak-{number}" for number in range(LOCATIONS)]
    ids = [(call_id, name) for name in names for call_id in server.twin.call_ids(1000, name)]
    wanted = (ids[number % len(ids)] for number in range(calls))
    async with VoiceAIClient(
        server.token,
        base_url=server.url,
        rate_limit=RateLimit(max_requests=100_000, interval=0.2),
        retry=RetryPolicy(max_attempts=8, backoff_base=0.05, backoff_cap=0.5),
        timeout=2.0,
    ) as client:
        run = Run(client, table, calls)
        client.add_hook(run.count)
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(run.work(wanted))
    return run


def main(calls: int) -> None:
    columns = ("calls", "open files", "tasks", "resident MB", "objects", "retries", "calls a second")
    table = Table(*columns, title=f"{calls:,} calls, {CONCURRENCY} at a time, every tenth answer wrong")
    with VoiceAIServerProcess(max_requests=None, faults=FAULTS) as server:
        run = asyncio.run(soak(server, calls, table))
        seen = server.stop()
    Console().print(table)
    Console().print(
        f"failed: {dict(run.failures)}; requests sent {run.requests:,}, seen by the server {seen.requests:,}"
    )


main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
