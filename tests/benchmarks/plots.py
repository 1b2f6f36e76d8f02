"""Draws the figures of a JSON file for the documentation, beside it: `plots.py docs/performance.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "the same names each time", "svg.fonttype": "none", "font.size": 9})

from matplotlib import pyplot as plt  # noqa: E402  # with the settings above

OURS, OTHERS = "#1f5fbf", "#b9bec7"


def bars(rows: list[tuple[str, float, bool]], title: str, file: Path) -> None:
    """Draw a bar for each name and value, ours in another colour."""
    figure, axes = plt.subplots(figsize=(7, 0.42 * len(rows) + 0.7))
    drawn = axes.barh(
        [name for name, _, _ in rows],
        [value for _, value, _ in rows],
        color=[OURS if is_ours else OTHERS for _, _, is_ours in rows],
    )
    axes.bar_label(drawn, fmt="{:,.0f}", padding=3)
    axes.invert_yaxis()
    axes.set_title(title, loc="left")
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_xticks([])
    axes.margins(x=0.12)
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def calls(rows: list[dict[str, Any]], folder: Path) -> None:
    shown = [row for row in rows if (row["payload"], row["concurrency"]) == ("4 kB, eight actions", 64)]
    bars(
        [(row["way"], row["cpu_us"], "call_log" in row["way"]) for row in shown],
        "CPU time of a call in µs: 4 kB, 64 at a time",
        folder / "performance-calls.svg",
    )


def decoding(tables: dict[str, list[dict[str, Any]]], folder: Path) -> None:
    rows = [row for row in tables["4 kB, eight actions"] if not row["way"].startswith("encode")]
    bars(
        [(row["way"], row["median"], row["way"].startswith("decode")) for row in rows],
        "Decoding a call log of 4 kB with eight actions, in µs",
        folder / "performance-decoding.svg",
    )


def scaling(rows: list[dict[str, Any]], folder: Path) -> None:
    bars(
        [(f"{row['ids']:,} ids, {row['mb']:.0f} MB at most", row["cpu_us"], True) for row in rows],
        "CPU time of a call of fetch_call_logs in µs, by the number of ids",
        folder / "performance-scaling.svg",
    )


def main(file: Path) -> None:
    figures = json.loads(file.read_text())
    if "calls" in figures:
        calls(figures["calls"]["rows"], file.parent)
    if "decoding" in figures:
        decoding(figures["decoding"], file.parent)
    if "scaling" in figures:
        scaling(figures["scaling"]["rows"], file.parent)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
