"""Thirty runs of `ghl-voice fetch` killed with SIGKILL at random moments, then a last one, for both kinds of output."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

from killed import fetch_and_kill

KILLS = 30
CALLS = 20_000
CONCURRENCY = 16


def main() -> None:
    console = Console(highlight=False, soft_wrap=True)
    for seed, suffix in enumerate((".jsonl", ".sqlite")):
        with TemporaryDirectory() as folder:
            killed = fetch_and_kill(Path(folder), suffix, calls=CALLS, concurrency=CONCURRENCY, kills=KILLS, seed=seed)
        console.print(f"{suffix}: {CALLS:,} calls, {killed.kills} kills after {killed.stored_before} stored")
        each_once = len(set(killed.stored)) == len(killed.stored) == CALLS
        again = killed.fetched_again
        console.print(f"  every call once in the output: {'yes' if each_once else 'NO'}")
        console.print(f"  fetched again: {again}, or {again / max(killed.kills, 1):.1f} for each kill")


if __name__ == "__main__":
    main()
