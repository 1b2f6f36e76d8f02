"""A lock on an output, which ends with its process however that ends."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from ghl_voice_async.cli.refusal import refused_unless

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["locked"]


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Hold the lock of an output, or raise `click.UsageError` where another run has it.

    The lock is on a file beside the output, which is there for as long as the run. One that a killed run left behind
    is locked by nobody.
    """
    path = Path(f"{output.resolve()}.lock")
    file = _locked_file(path, output)
    try:
        yield
    finally:
        with suppress(OSError):  # Windows does not remove a file that is open
            path.unlink()
        file.close()


def _locked_file(path: Path, output: Path) -> IO[bytes]:
    with refused_unless(output, "written"):
        file = path.open("ab")
    try:
        _lock(file)
        # Whoever had the lock before may have removed the file since it was opened here, and a third made it anew.
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except OSError:
        pass
    file.close()
    raise click.UsageError(f"Another run is writing to {output}; wait for its end.")


def _lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
