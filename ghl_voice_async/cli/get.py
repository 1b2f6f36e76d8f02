"""`ghl-voice get`: one call log."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from ghl_voice_async import VoiceAIClient, encode_call_log
from ghl_voice_async.auth import Secret
from ghl_voice_async.cli.page import call_log_page

if TYPE_CHECKING:
    from ghl_voice_async import CallLog

__all__ = ["get"]


@click.command()
@click.argument("call_id")
@click.option(
    "--location", "location_id", envvar="GHL_LOCATION_ID", show_envvar=True, required=True, help="Id of the location."
)
@click.option(
    "--base-url",
    envvar="GHL_BASE_URL",
    show_envvar=True,
    default="https://services.leadconnectorhq.com",
    show_default=True,
    help="Server to ask, such as that of `ghl-voice simulate`.",
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the token in it, in place of GHL_ACCESS_TOKEN.",
)
@click.option("--pretty", is_flag=True, help="Print a page for a person instead of JSON.")
def get(call_id: str, location_id: str, base_url: str, token_file: Path | None, *, pretty: bool) -> None:
    """Print one call log, as JSON in the API's own form."""
    token = Secret(os.environ.get("GHL_ACCESS_TOKEN", "") if token_file is None else _text_of(token_file))
    if not token:
        raise click.UsageError("There is no token: set GHL_ACCESS_TOKEN, or name a file with --token-file.")
    call_log = asyncio.run(_fetch(call_id, location_id, base_url, token))
    if pretty:
        Console().print(call_log_page(call_log))
    else:
        click.echo(json.dumps(encode_call_log(call_log), indent=2, ensure_ascii=False))


async def _fetch(call_id: str, location_id: str, base_url: str, token: Secret) -> CallLog:
    async with VoiceAIClient(token, base_url=base_url) as client:
        return await client.get_call_log(call_id, location_id)


def _text_of(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--token-file {file} cannot be read: {type(error).__name__}") from None
