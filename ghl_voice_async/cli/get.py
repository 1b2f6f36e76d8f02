"""`ghl-voice get`: one call log."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

import click

from ghl_voice_async import VoiceAIClient, encode_call_log
from ghl_voice_async.cli.connection import base_url_option, location_option, token_file_option, token_from
from ghl_voice_async.cli.json_text import json_text
from ghl_voice_async.cli.page import call_log_page
from ghl_voice_async.cli.streams import console
from ghl_voice_async.printable import printable_json

if TYPE_CHECKING:
    from pathlib import Path

    from ghl_voice_async import CallLog
    from ghl_voice_async.auth import StaticToken

__all__ = ["get"]


@click.command(help="Print one call log, as JSON in the API's own form.")
@click.argument("call_id")
@location_option(required=True)
@base_url_option
@token_file_option
@click.option("--pretty", is_flag=True, help="Print a page for a person instead of JSON.")
def get(call_id: str, location_id: str, base_url: str, token_file: Path | None, *, pretty: bool) -> None:
    """Print one call log, as JSON in the API's own form."""
    call_log = asyncio.run(_fetch(call_id, location_id, base_url, token_from(token_file)))
    if pretty:
        console().print(call_log_page(call_log))
    else:
        print(printable_json(_json(call_log), sys.stdout.encoding))


def _json(call_log: CallLog) -> str:
    body = encode_call_log(call_log)
    try:
        return json.dumps(body, indent=2, ensure_ascii=False)
    except RecursionError:
        return json_text(body)


async def _fetch(call_id: str, location_id: str, base_url: str, token: StaticToken) -> CallLog:
    async with VoiceAIClient(token, base_url=base_url) as client:
        return await client.get_call_log(call_id, location_id)
