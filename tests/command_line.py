"""What tests of `ghl-voice` share: how it is run in a process of its own, and what it says when it refuses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

PROGRAM = "import sys; from ghl_voice_async.cli.app import run; sys.exit(run(sys.argv[1:]))"


def quiet() -> dict[str, str]:
    """Return an environment in which asyncio does not say on standard error that the machine is slow."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDEVMODE"}


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what stands on standard error, which is one line, and nothing on standard output."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ghl-voice: ")
    assert err.count("\n") == 1
    return err
