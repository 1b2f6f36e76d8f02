"""What a call costs, beside the aiohttp loop that one would have written by hand: no pace, no retries, no types.

Each way has a process of its own and the server another, and they take turns. What counts is the time that
the process spends computing: the wall clock shows mostly how fast the server and the machine are.

They all run on one processor, so that no request has to wake another: on a virtual machine that takes up to 6 µs of
the caller's time, or none, as the other processor has gone to sleep meanwhile. And the processes are made anew again
and again, since how one happens to lie in memory is 20 µs a call.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from answering import answering
from figures import keep
from paired import ratios
from payloads import PAYLOADS
from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parent
LABELS = {
    "naive": "aiohttp by hand, .json()",
    "get_call_log": "get_call_log, no limiter",
    "get_call_log_limited": "get_call_log, limiter",
    "fetch_call_logs": "fetch_call_logs, limiter",
    "httpx": "httpx by hand, .json()",
    "official_sdk": "the official SDK",
}
SLOW = {"httpx": 8, "official_sdk": 8}  # so many times fewer calls in a round
CALLS = 1024
PROCESSES = 5  # of each way, one after another
ROUNDS = 3  # of each of these
# The size of real life at each concurrency, and the other sizes at one.
TABLES = [
    ("4 kB, eight actions", 1),
    ("4 kB, eight actions", 64),
    ("4 kB, eight actions", 512),
    ("2 kB, no action", 64),
    ("60 kB of transcript", 64),
]


class Caller:
    """A process that makes calls by one of the ways."""

    def __init__(self, way: str, url: str, concurrency: int, stack: ExitStack) -> None:
        python, script = sys.executable, "calling.py"
        if way == "official_sdk":
            python, script = os.environ["OFFICIAL_SDK_PYTHON"], "official_sdk.py"
        command = [python, str(FOLDER / script), way, url, str(concurrency)]
        self.process = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        assert self.process.stdin is not None
        stack.callback(self.process.stdin.close)
        self.calls = max(concurrency, CALLS // SLOW.get(way, 1))
        self.taken: list[dict[str, float]] = []

    def take(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(self.calls, file=self.process.stdin, flush=True)
        self.taken.append(json.loads(self.process.stdout.readline()))

    def figures(self, name: str) -> list[float]:
        return [figures[name] for figures in self.taken[1:]]  # the first round warms up


def measure(payload: str, url: str, concurrency: int) -> list[dict[str, Any]]:
    ways = [way for way in LABELS if way != "official_sdk" or "OFFICIAL_SDK_PYTHON" in os.environ]
    figures: dict[str, dict[str, list[float]]] = {way: defaultdict(list) for way in ways}
    for _ in range(PROCESSES):
        with ExitStack() as stack:
            callers = {way: Caller(way, url, concurrency, stack) for way in ways}
            order = list(callers.values())
            for _ in range(ROUNDS + 1):
                for caller in order:
                    caller.take()
                order.append(order.pop(0))
            for way, caller in callers.items():
                for name in caller.taken[0]:
                    figures[way][name] += caller.figures(name)
    first = figures["naive"]["cpu"]
    return [
        {
            "payload": payload,
            "concurrency": concurrency,
            "way": LABELS[way],
            "cpu_us": median(taken["cpu"]),
            "calls_a_second": median(taken["calls_a_second"]),
            "peak_mb": max(taken["peak_mb"]),
            "ratio": ratios(taken["cpu"], first),
        }
        for way, taken in figures.items()
    ]


def show(rows: list[dict[str, Any]], server: str) -> None:
    what = f"{rows[0]['payload']}, {rows[0]['concurrency']} at a time, answered by {server}"
    title = f"{what}: medians of {PROCESSES * ROUNDS} rounds"
    table = Table("", "CPU µs a call", "ratio", "half of them", "calls a second", "peak MB", title=title)
    for row in rows:
        ratio = row["ratio"]
        table.add_row(
            row["way"],
            f"{row['cpu_us']:,.0f}",
            f"{ratio[0]:.2f}",
            f"{ratio[1]:.2f} to {ratio[2]:.2f}",
            f"{row['calls_a_second']:,.0f}",
            f"{row['peak_mb']:.0f}",
        )
    Console(width=120).print(table)


def main() -> None:
    rows = []
    if sys.platform == "linux":
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with answering(PAYLOADS) as (server, urls):
        for payload, concurrency in TABLES:
            measured = measure(payload, urls[payload], concurrency)
            show(measured, server)
            rows += measured
    if "OFFICIAL_SDK_PYTHON" not in os.environ:
        Console().print("OFFICIAL_SDK_PYTHON names no Python that has gohighlevel-api-client: that row is missing.")
    keep("calls", {"server": server, "rows": rows})


if __name__ == "__main__":
    main()
