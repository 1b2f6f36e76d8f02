"""The commands put together, and what their errors become: one line on standard error and an exit code."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

import click

from ghl_voice_async import AuthenticationError, GHLVoiceError, InvalidInputError, PermissionDeniedError, __version__
from ghl_voice_async.cli.demo import demo
from ghl_voice_async.cli.fetch import fetch
from ghl_voice_async.cli.get import get
from ghl_voice_async.cli.refusal import OutputError
from ghl_voice_async.cli.simulate import simulate
from ghl_voice_async.cli.streams import OutputLostError, safe_streams
from ghl_voice_async.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run"]

FAILED: Final = 1
BAD_USAGE: Final = 2
NOT_AUTHORISED: Final = 3
INTERRUPTED: Final = 130


_HELP: Final = """HighLevel Voice AI call logs.

The token is read from GHL_ACCESS_TOKEN or from --token-file. Exit codes: 0 all is well, 1 a call log
could not be fetched, 2 bad usage, 3 not authorised, 130 interrupted.
"""


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]}, help=_HELP)
@click.version_option(__version__, prog_name="ghl-voice")
def ghl_voice() -> None:
    """Hold the commands."""


for _command in (get, fetch, simulate, demo):
    ghl_voice.add_command(_command)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    with safe_streams():
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    try:
        code = ghl_voice.main(list(arguments), prog_name="ghl-voice", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        command = "ghl-voice" if context is None else context.command_path
        return _fail(f"{error.format_message()} See {command} --help.", BAD_USAGE)
    except InvalidInputError as error:
        return _fail(str(error), BAD_USAGE)
    except (AuthenticationError, PermissionDeniedError) as error:
        return _fail(str(error), NOT_AUTHORISED)
    except GHLVoiceError as error:
        return _fail(str(error), FAILED)
    except OutputLostError as error:
        # A reader that has seen enough, such as `head`, is no mistake to complain of.
        return FAILED if error.errno == errno.EPIPE else _fail(str(error), FAILED)
    except OutputError as error:
        return _fail(str(error), FAILED)
    except OSError as error:
        return _fail(f"cannot write: {error.strerror}", FAILED)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _fail(text: str, code: int) -> int:
    click.echo(f"ghl-voice: {printable(text)}", err=True)
    return code
