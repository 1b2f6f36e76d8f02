"""`ghl-voice demo`: thousands of calls from a faulty server on this machine, and what became of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

import click
from attrs import define, field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ghl_voice_async import GHLVoiceError, RateLimit, VoiceAIClient
from ghl_voice_async.cli.number import Number
from ghl_voice_async.testing import VoiceAIServerProcess, everyday_faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from ghl_voice_async.testing import Seen

__all__ = ["demo"]

# A slow connection is given up after this, so that one of them does not hold up the end of the show.
_TIMEOUT = 5.0


@define
class _Outcome:
    fetched: int = 0
    failures: Counter[str] = field(factory=Counter)
    seconds: float = 0.0


@click.command()
@click.option("--calls", type=click.IntRange(1), default=2000, show_default=True, help="Call logs to fetch.")
@click.option("--locations", type=click.IntRange(1), default=20, show_default=True, help="Locations they are in.")
@click.option("--faults", type=Number(0, 1), default=0.03, show_default=True, help="Share that goes wrong.")
@click.option(
    "--interval",
    type=Number(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds that the limit is for.",
)
def demo(calls: int, locations: int, faults: float, interval: float) -> int:
    """Fetch call logs from a simulator with faults, and count what happened."""
    console = Console()
    with VoiceAIServerProcess(faults=everyday_faults(faults), interval=interval) as server:
        names = [f"demo-location-{number:02d}" for number in range(locations)]
        share = -(-calls // locations)
        wanted = [(call_id, name) for name in names for call_id in server.twin.call_ids(share, name)][:calls]
        what = (
            f"Fetching {calls:,} call logs of {locations} location{'s' * (locations > 1)} from a simulator"
            " in another process.\n"
            f"It allows 100 requests in {interval:g} s to each location, and {faults:.0%} of its answers go wrong."
        )
        outcome = asyncio.run(_fetch_all(server, wanted, RateLimit(interval=interval), console, what))
        seen = server.stop()
    console.print(_table(outcome, seen, calls))
    return 1 if outcome.failures else 0


async def _fetch_all(
    server: VoiceAIServerProcess, wanted: list[tuple[str, str]], rate_limit: RateLimit, console: Console, what: str
) -> _Outcome:
    console.print(what)
    outcome = _Outcome()
    columns = (TextColumn("fetching"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("fetching", total=len(wanted))
        started = time.perf_counter()
        async with (
            VoiceAIClient(server.token, base_url=server.url, timeout=_TIMEOUT, rate_limit=rate_limit) as client,
            asyncio.TaskGroup() as group,
        ):
            for call_id, location_id in wanted:
                group.create_task(_fetch(client, call_id, location_id, outcome, lambda: progress.advance(task)))
        outcome.seconds = time.perf_counter() - started
    return outcome


async def _fetch(
    client: VoiceAIClient, call_id: str, location_id: str, outcome: _Outcome, advance: Callable[[], None]
) -> None:
    try:
        await client.get_call_log(call_id, location_id)
        outcome.fetched += 1
    except GHLVoiceError as error:
        outcome.failures[type(error).__name__] += 1
    advance()


def _table(outcome: _Outcome, seen: Seen, calls: int) -> Table:
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("fetched", f"{outcome.fetched:,}", f"of {calls:,}")
    table.add_row("faults", f"{seen.faults.total():,}", _kinds(seen.faults))
    table.add_row("retried", f"{seen.requests - calls:,}", "")
    table.add_row("failed", f"{outcome.failures.total():,}", _kinds(outcome.failures))
    table.add_row("refused (429)", f"{seen.refused:,}", "by the simulator's rate limit")
    table.add_row("calls a second", f"{outcome.fetched / outcome.seconds:,.0f}", "")
    table.add_row("time", f"{outcome.seconds:.1f} s", "")
    return table


def _kinds(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())
