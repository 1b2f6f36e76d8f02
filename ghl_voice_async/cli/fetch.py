"""`ghl-voice fetch`: many call logs, into a file or a database."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from ghl_voice_async import AuthenticationError, PermissionDeniedError, VoiceAIClient, WindowRateLimiter
from ghl_voice_async.cli.call_list import read_call_list
from ghl_voice_async.cli.connection import base_url_option, location_option, token_file_option, token_from
from ghl_voice_async.cli.estimate import expectation
from ghl_voice_async.cli.gate import Gate
from ghl_voice_async.cli.lock import locked
from ghl_voice_async.cli.outputs import Failures, output_at
from ghl_voice_async.cli.progress import Tally
from ghl_voice_async.cli.rate import rate_limit_option
from ghl_voice_async.cli.refusal import refused_unless
from ghl_voice_async.cli.storing import Storing
from ghl_voice_async.cli.summary import summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ghl_voice_async import CallRef, RateLimit
    from ghl_voice_async.cli.outputs import Output

__all__ = ["fetch"]

_REFUSALS = {"AuthenticationError", "PermissionDeniedError"}


@click.command()
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
    """Fetch the call logs that FILE lists, and go on where an earlier run ended.

    FILE has one call a line, as a call id or as `call_id,location_id`; blank lines and those that begin with # are
    skipped. Without FILE, or with -, it is standard input. What is in the output already is not fetched again.
    What fails is listed in the output's name with .failed.jsonl added, and is tried again by the next run.
    """
    output = output_at(output_path)
    token = None if dry_run else token_from(token_file)
    calls = _read(file, location_id)
    with nullcontext() if token is None else locked(output_path):
        todo = _not_stored(calls, output, output_path)
        if dry_run or not quiet:
            click.echo(_plan(todo, calls, rate_limit, output_path), err=not dry_run)
        if token is None:
            return 0
        gate = Gate(None if rate_limit is None else WindowRateLimiter(rate_limit))
        client = VoiceAIClient(token, base_url=base_url, rate_limit=gate, max_connections=concurrency)
        results = client.fetch_call_logs(
            # All of them are here already: no location has to wait for another one that comes before it.
            _until_shut(gate, todo),
            location_id,
            concurrency=concurrency,
            look_ahead=len(calls),
        )
        tally = Tally.of(todo, rate_limit)
        client.add_hook(tally.see)
        with refused_unless(output_path, "written"):
            output.open()
        failures = Failures(output_path)
        console = None if quiet else Console(stderr=True)
        try:
            if todo:
                asyncio.run(_run(client, Storing(results, gate, output, failures, tally), console))
        except (AuthenticationError, PermissionDeniedError):
            if not tally.fetched and tally.failed.keys() <= _REFUSALS:  # a wrong token says nothing of the calls
                failures.path.unlink(missing_ok=True)
            raise
        finally:
            output.close()
    if console is not None and todo:
        console.print(summary(tally, failures.path), soft_wrap=True)
    if tally.done < tally.total:
        raise click.Abort
    return 1 if tally.failed else 0


async def _run(client: VoiceAIClient, storing: Storing, console: Console | None) -> None:
    async with client:
        await storing.run(console)


def _read(file: Path, location_id: str | None) -> dict[CallRef, int]:
    if str(file) != "-":
        with refused_unless(file, "read"), file.open("rb") as lines:
            return read_call_list(lines, location_id)
    if sys.stdin is None:
        raise click.UsageError("There is no standard input; name a FILE.")
    if sys.stdin.isatty():
        click.echo("Reading call ids from the terminal; Ctrl+D ends them.", err=True)
    return read_call_list(sys.stdin.buffer, location_id)


def _not_stored(calls: dict[CallRef, int], output: Output, path: Path) -> list[CallRef]:
    todo = dict.fromkeys(calls)
    with refused_unless(path, "read"):
        for ref in output.stored():
            todo.pop(ref, None)
    return [*todo]


def _plan(todo: list[CallRef], calls: dict[CallRef, int], rate_limit: RateLimit | None, path: Path) -> str:
    counts = Counter(ref.location_id for ref in todo)
    text = f"{len(calls):,} call{'s' * (len(calls) != 1)} to fetch"
    if len(todo) < len(calls):
        text = f"{len(todo):,} of {text}, the others are in {path}"
    if (repeated := sum(calls.values()) - len(calls)) > 0:
        text += f"; {repeated:,} are given more than once, and fetched once"
    return f"{text}.\n{expectation(counts.values(), rate_limit)}" if todo else f"{text}."


def _until_shut(gate: Gate, calls: list[CallRef]) -> Iterator[CallRef]:
    for ref in calls:
        if gate.is_shut:
            return
        yield ref
