"""Files that the system does not let a command use."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["refused_unless"]


@contextmanager
def refused_unless(path: Path, use: Literal["read", "written"]) -> Iterator[None]:
    """Turn an `OSError` into a `click.UsageError` which says that this file cannot be read, or written, and why."""
    try:
        yield
    except OSError as error:
        raise click.UsageError(f"{path} cannot be {use}: {error.strerror}.") from None
