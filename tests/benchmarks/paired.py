"""Measure several ways of doing one thing in turn, and print them beside each other.

Taken in turn, round by round, they all see the same machine when its speed drifts, so that the ratios hold where
the figures do not.
"""

from __future__ import annotations

from statistics import median, quantiles
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Ratio", "Row", "in_turn", "print_paired", "ratios"]

Row = dict[str, object]
Ratio = tuple[float, float, float]
"""The median over the rounds, and the quarters between which half of them lie."""


def in_turn(ways: Mapping[str, Callable[[], float]], *, rounds: int) -> dict[str, list[float]]:
    """Return the figures of each way. A round before the first warms up, and each begins with another way."""
    figures: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways)
    for _ in range(rounds + 1):
        for name in order:
            figures[name].append(ways[name]())
        order.append(order.pop(0))
    return {name: taken[1:] for name, taken in figures.items()}


def ratios(taken: Sequence[float], first: Sequence[float]) -> Ratio:
    """Compare two ways round by round."""
    low, middle, high = quantiles([a / b for a, b in zip(taken, first, strict=True)], n=4)
    return middle, low, high


def print_paired(title: str, unit: str, ways: dict[str, Callable[[], float]], *, rounds: int) -> list[Row]:
    """Print the median of every way over the rounds, and of its ratio to the first, and return the rows."""
    figures = in_turn(ways, rounds=rounds)
    first = figures[next(iter(ways))]
    table = Table("", unit, "ratio", "half of them", title=f"{title}: medians of {rounds} rounds")
    rows: list[Row] = []
    for name, taken in figures.items():
        ratio = ratios(taken, first)
        table.add_row(name, f"{median(taken):,.1f}", f"{ratio[0]:.2f}", f"{ratio[1]:.2f} to {ratio[2]:.2f}")
        rows.append({"way": name, "unit": unit, "median": median(taken), "ratio": ratio})
    Console().print(table)
    return rows
