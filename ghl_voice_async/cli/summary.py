"""What became of a bulk, for a person."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ghl_voice_async.cli.estimate import duration
from ghl_voice_async.printable import printable

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from rich.console import RenderableType

    from ghl_voice_async.cli.progress import Tally

__all__ = ["counts", "kinds", "summary"]


def summary(tally: Tally, failures: Path | str) -> RenderableType:
    """Lay out the counts, the slowest answers and the first failures, whose rest is in the file named."""
    parts: list[RenderableType] = [counts(tally)]
    if tally.slowest:
        parts.append(Text("Slowest answers:"))
        slowest = heapq.nlargest(len(tally.slowest), tally.slowest)
        parts += [Text(printable(f"  {seconds:.2f} s  {call} of {location}")) for seconds, call, location in slowest]
    if tally.failed:
        text = f"Failed, and to be tried again by the same command (all of them are in {failures}):"
        parts.append(Text(printable(text)))
        parts += [Text(f"  {printable(str(result.error))}") for result in tally.first_failed]
    return Group(*parts)


def counts(tally: Tally) -> Table:
    """Lay out the counts."""
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("fetched", f"{tally.fetched:,}", f"of {tally.total:,}")
    table.add_row("failed", f"{tally.failed.total():,}", kinds(tally.failed))
    table.add_row("retried", f"{tally.retried:,}", "")
    table.add_row("calls a second", f"{tally.rate:,.1f}", "")
    table.add_row("time", duration(tally.seconds), "")
    return table


def kinds(named: Counter[str]) -> str:
    """Write counts by name, largest first."""
    return printable(", ".join(f"{count:,} {name}" for name, count in named.most_common()))
