"""`ghl-voice simulate`: the server for trying the library with no account."""

from __future__ import annotations

import asyncio

import click

from ghl_voice_async.cli.number import Number
from ghl_voice_async.cli.signals import call_when_asked_to_stop
from ghl_voice_async.testing import Seen, VoiceAIServer, everyday_faults

__all__ = ["simulate"]


@click.command(help="Answer as HighLevel does, on this machine, until Ctrl+C.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1; 0 takes a free one.")
@click.option("--seed", type=int, default=0, help="What the made-up call logs follow from.")
@click.option("--faults", type=Number(0, 1), default=0.0, help="Share of the requests that go wrong.")
@click.option("--max-requests", type=click.IntRange(1), default=100, show_default=True, help="Limit of a location.")
@click.option(
    "--interval",
    type=Number(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds that the limit is for.",
)
def simulate(port: int, seed: int, faults: float, max_requests: int, interval: float) -> None:
    """Answer as HighLevel does, on this machine, until Ctrl+C."""
    server = VoiceAIServer(
        port=port, seed=seed, faults=everyday_faults(faults), max_requests=max_requests, interval=interval
    )
    try:
        seen = asyncio.run(_serve(server))
    except OSError as error:
        raise click.UsageError(f"port {port} cannot be used: {error.strerror}") from None
    click.echo(f"requests {seen.requests}, refused {seen.refused}, faults {seen.faults.total()}")


async def _serve(server: VoiceAIServer) -> Seen:
    stopped = asyncio.Event()
    call_when_asked_to_stop(stopped.set)
    async with server:
        call_id = server.call_ids(32)[-1]  # one that is short and has actions, unless there is a `--seed`
        click.echo(f"Simulating HighLevel at {server.url}; Ctrl+C stops it. In another terminal:\n")
        click.echo(f"  export GHL_BASE_URL={server.url} GHL_ACCESS_TOKEN={server.token}")
        click.echo(f"  ghl-voice get {call_id} --location {server.location_id} --pretty\n")
        await stopped.wait()
    return server.seen
