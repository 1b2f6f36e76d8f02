"""What a command says of a file that it cannot use, that changed under it, or that others may read."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import click

from ghl_voice_async.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["OutputError", "changed_outside", "not_ours", "reason", "refused_unless", "unwritable", "warn"]


class OutputError(Exception):
    """A file that a run can no longer write to. The message names the file and says what to do."""


@contextmanager
def refused_unless(path: Path, use: Literal["read", "written"]) -> Iterator[None]:
    """Turn an `OSError` into a `click.UsageError` which says that this file cannot be read, or written, and why."""
    try:
        yield
    except OSError as error:
        raise click.UsageError(f"{path} cannot be {use}: {reason(error)}.") from None


def reason(error: OSError) -> str:
    """Return the system's words for an error, or its class where there are none."""
    return error.strerror or type(error).__name__


def unwritable(path: Path, error: OSError) -> OutputError:
    """Make the error of a write that the system refused, as it does on a full disk."""
    return OutputError(
        f"{path} cannot be written: {reason(error)}. Mend that, then run the same command again to fetch the rest."
    )


def changed_outside(path: Path, what: str) -> OutputError:
    """Make the error of a file that another program changed while a run wrote to it."""
    return OutputError(
        f"{path} {what} while this run wrote to it. Check it, then run the same command again to fetch the rest."
    )


def not_ours(path: str | os.PathLike[str], what: str) -> click.UsageError:
    """Make the refusal of a file beside the output that this command did not make."""
    return click.UsageError(f"{os.fspath(path)} {what}; give another --output, or move that file away.")


def warn(text: str) -> None:
    """Write a warning to standard error."""
    click.echo(f"ghl-voice: warning: {printable(text)}", err=True)
