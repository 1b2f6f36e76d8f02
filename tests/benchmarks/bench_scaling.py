"""What a call of a bulk costs, and what memory the bulk takes, with a thousand ids, ten and a hundred thousand."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from statistics import median

from answering import answering
from figures import keep
from paired import ratios
from payloads import PAYLOADS
from rich.console import Console
from rich.table import Table

from ghl_voice_async import RateLimit, VoiceAIClient

PAYLOAD = "4 kB, eight actions"
SIZES = {1_000: 20, 10_000: 3, 100_000: 1}  # and how often in a round
ROUNDS = 5
LIMIT = RateLimit(10_000_000, daily=100_000_000)


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


async def fetch(url: str, count: int) -> tuple[float, float]:
    """Return the CPU time of a call in microseconds, the median of every thousand, and the most resident memory."""
    most, costs = 0.0, []
    async with VoiceAIClient("pit-benchmark", base_url=url, rate_limit=LIMIT) as client:
        ids = (f"{number:024x}" for number in range(count))
        done, before = 0, time.process_time()
        async for result in client.fetch_call_logs(ids, "benchmark"):
            result.unwrap()
            done += 1
            if done % 1000 == 0:
                most = max(most, resident_mb())
                now = time.process_time()
                costs.append((now - before) / 1000 * 1e6)
                before = now
        return median(costs), most


def main() -> None:
    cpu: dict[int, list[float]] = {count: [] for count in SIZES}
    memory: dict[int, list[float]] = {count: [] for count in SIZES}
    with answering({PAYLOAD: PAYLOADS[PAYLOAD]}) as (server, urls):
        asyncio.run(fetch(urls[PAYLOAD], 1_000))
        for _ in range(ROUNDS):
            for count, times in SIZES.items():
                taken = [asyncio.run(fetch(urls[PAYLOAD], count)) for _ in range(times)]
                cpu[count].append(median(cost for cost, _ in taken))
                memory[count].append(max(most for _, most in taken))
    title = f"fetch_call_logs, {PAYLOAD}, 64 at a time, answered by {server}: medians of {ROUNDS} rounds"
    table = Table("ids", "CPU µs a call", "ratio", "resident MB", title=title)
    rows = []
    for count in SIZES:
        ratio = ratios(cpu[count], cpu[1_000])
        table.add_row(f"{count:,}", f"{median(cpu[count]):.0f}", f"{ratio[0]:.2f}", f"{median(memory[count]):.1f}")
        rows.append({"ids": count, "cpu_us": median(cpu[count]), "ratio": ratio, "mb": median(memory[count])})
    Console(width=120).print(table)
    keep("scaling", {"server": server, "rows": rows})


if __name__ == "__main__":
    if sys.platform != "linux":
        sys.exit("resident memory is read the way Linux tells it")
    main()
