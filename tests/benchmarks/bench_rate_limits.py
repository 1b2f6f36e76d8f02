"""Limiters against a server that counts: what is refused, and how much of the possible is used.

Every limiter sends to a location of its own, all of them at once, so that they see the same machine. Each request
takes a random time to the server and back, as on a network. `--plot FILE` draws what arrived.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from bisect import bisect_right
from statistics import fmean
from typing import Literal

import aiohttp
from attrs import define, field
from limiters import PACERS, Pacer
from rich.console import Console
from rich.table import Table

from ghl_voice_async.testing import VoiceAIServerProcess

MAX_REQUESTS, INTERVAL = 100, 1.0
WINDOWS = 20
REQUESTS = MAX_REQUESTS * WINDOWS
ONE_WAY = (0.0, 0.04)  # seconds, each way
TRIALS: list[tuple[str, Literal["sliding", "fixed"], float]] = [
    ("sliding", "sliding", 0.0),
    ("fixed", "fixed", 0.0),
    ("fixed, 0.5 s later", "fixed", 0.5),
]


@define
class Run:
    """What one limiter did."""

    name: str
    sent: list[float] = field(factory=list)  # in order, like what follows
    arrived: list[float] = field(factory=list)
    latencies: list[float] = field(factory=list)
    refused: int = 0

    def share(self) -> float:
        """Return the throughput in parts of the best possible, N / (W + latency).

        It is taken up to the sending of the first of the last N requests: each of the slots has then been used as
        often as the next.
        """
        seconds = self.sent[-MAX_REQUESTS] - self.sent[0]
        admitted = (REQUESTS - MAX_REQUESTS) * (1 - self.refused / REQUESTS)
        return admitted / seconds / (MAX_REQUESTS / (INTERVAL + fmean(self.latencies)))

    def most(self) -> int:
        """Count the most that arrived in any window."""
        return max(
            number - bisect_right(self.arrived, moment - INTERVAL)
            for number, moment in enumerate(self.arrived, start=1)
        )


async def pace(pacer: type[Pacer], server: VoiceAIServerProcess, session: aiohttp.ClientSession) -> Run:
    run, limiter, dice = Run(pacer.name), pacer(MAX_REQUESTS, INTERVAL), random.Random(pacer.name)
    location = pacer.name.replace(" ", "-")
    path = f"/voice-ai/dashboard/call-logs/{server.twin.call_ids(1, location)[0]}"
    left = iter(range(REQUESTS))

    async def send() -> None:
        for _ in left:
            async with limiter.permit() as ended:
                sent = time.monotonic()
                await asyncio.sleep(dice.uniform(*ONE_WAY))
                run.arrived.append(time.monotonic())
                async with session.get(path, params={"locationId": location}) as answer:
                    await answer.read()
                await asyncio.sleep(dice.uniform(*ONE_WAY))
                run.sent.append(sent)
                run.latencies.append(time.monotonic() - sent)
                run.refused += answer.status == 429
                ended.append((answer.status, answer.headers))

    await asyncio.gather(*(send() for _ in range(2 * MAX_REQUESTS)))
    run.sent.sort()
    run.arrived.sort()
    return run


async def all_at_once(server: VoiceAIServerProcess) -> list[Run]:
    headers = {"Authorization": f"Bearer {server.token}", "Version": "2021-04-15"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(server.url, headers=headers, connector=connector) as session:
        return await asyncio.gather(*(pace(pacer, server, session) for pacer in PACERS))


def plot(runs: list[Run], file: str) -> None:
    """Draw how many requests had arrived in the window before each moment."""
    import matplotlib as mpl  # noqa: PLC0415  # slow to load, and wanted for this alone

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "the same names each time", "svg.fonttype": "none"})
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, panes = plt.subplots(len(runs), sharex=True, sharey=True, figsize=(8, 7), layout="constrained")
    for pane, run in zip(panes, runs, strict=True):
        start = run.arrived[0]
        steps = [number * INTERVAL / 50 for number in range(8 * 50)]
        counts = [
            bisect_right(run.arrived, start + step) - bisect_right(run.arrived, start + step - INTERVAL)
            for step in steps
        ]
        pane.plot(steps, counts, color="tab:blue")
        pane.axhline(MAX_REQUESTS, color="tab:red", linewidth=1)
        title = f"{run.name}: {run.refused / REQUESTS:.1%} refused, at most {run.most()}"
        pane.set_title(title, fontsize=10, loc="left")
        pane.set_ylim(0, 2.1 * MAX_REQUESTS)
    figure.supxlabel("seconds")
    figure.supylabel(f"requests that arrived in the {INTERVAL:g} s before, of {MAX_REQUESTS} allowed")
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--plot", metavar="FILE", help="draw the first trial into this SVG file")
    file = arguments.parse_known_args()[0].plot
    table = Table(
        "window",
        "limiter",
        "refused",
        "most in any window",
        "share of the possible",
        title=f"{REQUESTS:,} requests each, {MAX_REQUESTS} allowed in {INTERVAL:g} s, 0 to 80 ms there and back",
    )
    for trial, window, start in TRIALS:
        settings = {"max_requests": MAX_REQUESTS, "interval": INTERVAL, "window": window, "window_start": start}
        with VoiceAIServerProcess(**settings) as server:
            runs = asyncio.run(all_at_once(server))
        for run in runs:
            table.add_row(trial, run.name, f"{run.refused:,}", f"{run.most()}", f"{run.share():.3f}")
        table.add_section()
        if file and window == "sliding":
            plot(runs, file)
    Console(width=100).print(table)


main()
