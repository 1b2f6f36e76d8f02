"""What a call costs, beside the aiohttp loop that one would have written by hand: no pace, no retries, no types.

Each way has a process of its own and the server another, and they take turns. What counts is the time that
the process spends computing: the wall clock shows mostly how fast the server and the machine are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
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
ROUNDS = 15
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
    with ExitStack() as stack:
        callers = {way: Caller(way, url, concurrency, stack) for way in ways}
        order = list(callers.values())
        for _ in range(ROUNDS + 1):
            for caller in order:
                caller.take()
            order.append(order.pop(0))
    first = callers["naive"].figures("cpu")
    return [
        {
            "payload": payload,
            "concurrency": concurrency,
            "way": LABELS[way],
            "cpu_us": median(caller.figures("cpu")),
            "calls_a_second": median(caller.figures("calls_a_second")),
            "peak_mb": caller.figures("peak_mb")[-1],
            "ratio": ratios(caller.figures("cpu"), first),
        }
        for way, caller in callers.items()
    ]


def show(rows: list[dict[str, Any]], server: str) -> None:
    title = (
        f"{rows[0]['payload']}, {rows[0]['concurrency']} at a time, answered by {server}: medians of {ROUNDS} rounds"
    )
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
