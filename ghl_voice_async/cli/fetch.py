"""`ghl-voice fetch`: many call logs, into a file or a database."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import click

from ghl_voice_async import AuthenticationError, PermissionDeniedError, VoiceAIClient, WindowRateLimiter
from ghl_voice_async.cli.call_list import read_call_list
from ghl_voice_async.cli.connection import base_url_option, location_option, token_file_option, token_from
from ghl_voice_async.cli.estimate import expectation
from ghl_voice_async.cli.feed import Feed
from ghl_voice_async.cli.gate import Gate
from ghl_voice_async.cli.in_flight import InFlightLimiter
from ghl_voice_async.cli.lock import locked
from ghl_voice_async.cli.outputs import opened, output_at
from ghl_voice_async.cli.progress import Tally
from ghl_voice_async.cli.rate import rate_limit_option
from ghl_voice_async.cli.refusal import refused_unless
from ghl_voice_async.cli.storing import Storing
from ghl_voice_async.cli.streams import console
from ghl_voice_async.cli.summary import summary

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator

    from rich.console import Console

    from ghl_voice_async import CallRef, RateLimit
    from ghl_voice_async.cli.call_list import CallList
    from ghl_voice_async.cli.outputs import Output

__all__ = ["fetch"]

_REFUSALS = {"AuthenticationError", "PermissionDeniedError"}


_HELP: Final = """Fetch the call logs that FILE lists, and go on where an earlier run ended.

FILE has one call a line, as a call id or as `call_id,location_id`; blank lines and those that begin with # are
skipped. Without FILE, or with -, it is standard input. What is in the output already is not fetched again.
What fails is listed in the output's name with .failed.jsonl added, and is tried again by the next run.
"""


@click.command(help=_HELP)
@click.argument("file", default="-", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@location_option(required=False)
@click.option(
    "--output",
    "output_path",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to add the call logs to: JSON lines for .jsonl, an SQLite database for .sqlite and .db.",
)
@rate_limit_option
@click.option("--concurrency", type=click.IntRange(1), default=64, show_default=True, help="Requests at once.")
@base_url_option
@token_file_option
@click.option("--dry-run", is_flag=True, help="Only say what there is to do, and how long the limits make it take.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but what went wrong with the whole.")
def fetch(
    *,
    file: Path,
    location_id: str | None,
    output_path: Path,
    rate_limit: RateLimit | None,
    concurrency: int,
    base_url: str,
    token_file: Path | None,
    dry_run: bool,
    quiet: bool,
) -> int:
    """Fetch the call logs that FILE lists, and go on where an earlier run ended."""
    output = output_at(output_path)
    token = None if dry_run else token_from(token_file)
    calls = _read(file, location_id)
    with nullcontext() if token is None else locked(output_path):
        given = len(calls)
        _remove_stored(calls, output, output_path)
        if dry_run or not quiet:
            click.echo(_plan(calls, given, rate_limit, output_path), err=not dry_run)
        if token is None:
            return 0
        tally = Tally(Counter(calls.counts()), rate_limit, total=len(calls))
        gate = Gate(None if rate_limit is None else WindowRateLimiter(rate_limit))
        in_flight = InFlightLimiter(gate, concurrency)
        client = VoiceAIClient(token, base_url=base_url, rate_limit=in_flight, max_connections=concurrency)
        feed = Feed(calls)
        results = client.fetch_call_logs(
            _until_shut(gate, feed.calls()), location_id, concurrency=concurrency, look_ahead=feed.look_ahead
        )
        for hook in (tally.see, in_flight.see):
            client.add_hook(hook)
        terminal = None if quiet else console(stderr=True)
        with opened(output, output_path) as failures:
            if tally.total:
                storing = Storing(feed.results(results), gate, output, failures, tally, in_flight)
                try:
                    asyncio.run(_run(client, storing, terminal))
                except (AuthenticationError, PermissionDeniedError):
                    # A wrong token says nothing of the calls.
                    if not tally.fetched and tally.failed.keys() <= _REFUSALS:
                        failures.discard()
                    raise
    if terminal is not None and tally.total:
        terminal.print(summary(tally, failures.path), soft_wrap=True)
    if tally.done < tally.total:
        raise click.Abort
    return 1 if tally.failed else 0


async def _run(client: VoiceAIClient, storing: Storing, terminal: Console | None) -> None:
    async with client:
        await storing.run(terminal)


def _read(file: Path, location_id: str | None) -> CallList:
    if str(file) != "-":
        with refused_unless(file, "read"), file.open("rb") as lines:
            return read_call_list(lines, location_id)
    if sys.stdin is None:
        raise click.UsageError("There is no standard input; name a FILE.")
    if sys.stdin.isatty():
        click.echo("Reading call ids from the terminal; Ctrl+D ends them.", err=True)
    with refused_unless(Path("standard input"), "read"):
        return read_call_list(cast("io.BufferedIOBase", sys.stdin.buffer), location_id)


def _remove_stored(calls: CallList, output: Output, path: Path) -> None:
    with refused_unless(path, "read"):
        calls.remove(output.stored())


def _plan(calls: CallList, given: int, rate_limit: RateLimit | None, path: Path) -> str:
    left = len(calls)
    text = f"{given:,} call{'s' * (given != 1)} to fetch"
    if left < given:
        text = f"{left:,} of {text}, the others are in {path}"
    if calls.repeated:
        text += f"; {calls.repeated:,} are given more than once, and fetched once"
    return f"{text}.\n{expectation(calls.counts().values(), rate_limit)}" if left else f"{text}."


def _until_shut(gate: Gate, calls: Iterable[CallRef]) -> Iterator[CallRef]:
    for ref in calls:
        if gate.is_shut:
            return
        yield ref
