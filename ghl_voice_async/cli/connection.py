"""The options that say whom to ask, and with which token."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from ghl_voice_async.auth import Secret, StaticToken
from ghl_voice_async.cli.token_file import read_token_file

__all__ = ["base_url_option", "location_option", "token_file_option", "token_from"]

F = TypeVar("F", bound=Callable[..., Any])

base_url_option: Final = click.option(
    "--base-url",
    envvar="GHL_BASE_URL",
    show_envvar=True,
    default="https://services.leadconnectorhq.com",
    show_default=True,
    help="Server to ask, such as that of `ghl-voice simulate`.",
)
token_file_option: Final = click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the token in it, in place of GHL_ACCESS_TOKEN.",
)


def location_option(*, required: bool) -> Callable[[F], F]:
    """Make the option for the location, which stands for those of calls that name none."""
    return click.option(
        "--location",
        "location_id",
        envvar="GHL_LOCATION_ID",
        show_envvar=True,
        required=required,
        help="Id of the location.",
    )


def token_from(token_file: Path | None) -> StaticToken:
    """Read the token from the file or the environment, or raise `click.UsageError`."""
    token = Secret(os.environ.get("GHL_ACCESS_TOKEN", "") if token_file is None else read_token_file(token_file))
    if not token.reveal():
        raise click.UsageError("There is no token: set GHL_ACCESS_TOKEN, or name a file with --token-file.")
    return StaticToken(token)
