"""Measure several ways of doing one thing in turn, and print them beside each other.

Taken in turn, round by round, they all see the same machine when its speed drifts, so that the ratios hold where
the figures do not.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable


def print_paired(title: str, unit: str, ways: dict[str, Callable[[], float]], *, rounds: int) -> None:
    """Print the median of every way over the rounds, and of its ratio to the first. Each way returns its figure."""
    figures: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, measure in ways.items():
            figures[name].append(measure())
    first, *_ = (taken[1:] for taken in figures.values())  # the first round warms up
    table = Table("", unit, "ratio", "from", "to", title=f"{title}, medians of {rounds} rounds")
    for name, taken in figures.items():
        ratios = sorted(figure / yardstick for figure, yardstick in zip(taken[1:], first, strict=True))
        cells = (median(taken[1:]), median(ratios), ratios[0], ratios[-1])
        table.add_row(name, f"{cells[0]:,.1f}", *(f"{cell:.2f}" for cell in cells[1:]))
    Console().print(table)
