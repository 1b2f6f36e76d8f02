"""Rate limits on the command line, as in `100/10`."""

from __future__ import annotations

from typing import Final

import click

from ghl_voice_async import InvalidInputError, RateLimit

__all__ = ["rate_limit_option"]


def _rate_limit(_: click.Context, __: click.Parameter, value: str) -> RateLimit | None:
    if value == "none":
        return None
    requests, _slash, seconds = value.partition("/")
    try:
        return RateLimit(int(requests), float(seconds))
    except InvalidInputError as error:
        raise click.BadParameter(f"{value!r}: {error}.") from None
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither N/SECONDS, such as 100/10, nor none.") from None


rate_limit_option: Final = click.option(
    "--rate-limit",
    callback=_rate_limit,
    metavar="N/SECONDS",
    envvar="GHL_RATE_LIMIT",
    show_envvar=True,
    default="100/10",
    show_default=True,
    help="Requests in so many seconds for each location, or none.",
)
