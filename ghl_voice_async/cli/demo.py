"""`ghl-voice demo`: thousands of calls from a faulty server on this machine, and what became of them."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import click

from ghl_voice_async import CallRef, GHLVoiceError, RateLimit, VoiceAIClient, WindowRateLimiter, decode_call_log
from ghl_voice_async.cli.gate import Gate
from ghl_voice_async.cli.jsonl_file import JsonlFile
from ghl_voice_async.cli.number import Number
from ghl_voice_async.cli.outputs import opened
from ghl_voice_async.cli.progress import Tally
from ghl_voice_async.cli.storing import Storing
from ghl_voice_async.cli.streams import console
from ghl_voice_async.cli.summary import counts, kinds
from ghl_voice_async.testing import VoiceAIServerProcess, everyday_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from ghl_voice_async.testing import Seen, VoiceAIServer

__all__ = ["demo"]

# A slow connection is given up after this, so that one of them does not hold up the end of the show.
_TIMEOUT: Final = 5.0


@click.command(
    help="Fetch call logs from a simulator with faults into a file, and compare it with what the simulator holds."
)
@click.option("--calls", type=click.IntRange(1), default=3000, show_default=True, help="Call logs to fetch.")
@click.option("--locations", type=click.IntRange(1), default=30, show_default=True, help="Locations they are in.")
@click.option("--faults", type=Number(0, 1), default=0.03, show_default=True, help="Share that goes wrong.")
@click.option("--max-requests", type=click.IntRange(1), default=20, show_default=True, help="Limit of a location.")
@click.option(
    "--interval",
    type=Number(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Seconds that the limit is for.",
)
def demo(calls: int, locations: int, faults: float, max_requests: int, interval: float) -> int:
    """Fetch call logs from a simulator with faults into a file, and compare it with what the simulator holds."""
    rate_limit = RateLimit(max_requests, interval)
    with (
        _simulator(faults=everyday_faults(faults), max_requests=max_requests, interval=interval) as server,
        TemporaryDirectory() as folder,
    ):
        names = [f"demo-location-{number:02d}" for number in range(locations)]
        share = -(-calls // locations)
        wanted = [CallRef(id_, name) for name in names for id_ in server.twin.call_ids(share, name)][:calls]
        what = (
            f"Fetching {calls:,} call logs of {locations} location{'s' * (locations > 1)}, one location after another, "
            "from a simulator on this machine.\n"
            f"It allows {max_requests:,} requests in {interval:g} s to each location, and {faults:.0%} of its answers "
            "go wrong."
        )
        path = Path(folder, "calls.jsonl")
        tally = asyncio.run(_fetch(server, wanted, rate_limit, path, what))
        if tally.done < tally.total:
            raise click.Abort
        seen = server.stop()
        right = _count_right(path, server.twin) if tally.fetched else 0
    console().print(_table(tally, seen, right))
    return 0 if right == calls else 1


@contextmanager
def _simulator(**settings: Any) -> Iterator[VoiceAIServerProcess]:  # noqa: ANN401  # those of VoiceAIServer
    with ExitStack() as stack:
        try:
            server = stack.enter_context(VoiceAIServerProcess(**settings))
        except RuntimeError as error:
            raise GHLVoiceError(f"The simulator does not start: {error}.") from None
        yield server


async def _fetch(
    server: VoiceAIServerProcess, wanted: list[CallRef], rate_limit: RateLimit, path: Path, what: str
) -> Tally:
    terminal = console()
    terminal.print(what, soft_wrap=True)  # from within the loop, where an interruption finds all in order
    gate = Gate(WindowRateLimiter(rate_limit))
    tally = Tally.of(wanted, rate_limit)
    output = JsonlFile(path)
    with opened(output, path) as failures:
        async with VoiceAIClient(server.token, base_url=server.url, timeout=_TIMEOUT, rate_limit=gate) as client:
            client.add_hook(tally.see)
            results = client.fetch_call_logs(wanted)
            await Storing(results, gate, output, failures, tally).run(terminal)
    return tally


def _count_right(path: Path, server: VoiceAIServer) -> int:
    with path.open("rb") as lines:
        return sum(_is_right(line, server) for line in lines)


def _is_right(line: bytes, server: VoiceAIServer) -> bool:
    """Tell whether a line is the call log that the simulator holds."""
    call_log = decode_call_log(line)
    location_id = call_log.extra.pop("locationId")
    return call_log == decode_call_log(server.call_log(call_log.id, location_id))


def _table(tally: Tally, seen: Seen, right: int) -> Table:
    table = counts(tally)
    table.add_row("as the simulator has it", f"{right:,}", f"of {tally.total:,}")
    table.add_row("faults", f"{seen.faults.total():,}", kinds(seen.faults))
    table.add_row("refused (429)", f"{seen.refused:,}", "by the simulator's rate limit")
    return table
