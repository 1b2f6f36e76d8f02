"""The signals that ask a command to stop."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["call_when_asked_to_stop"]


def call_when_asked_to_stop(callback: Callable[[], object]) -> None:
    """Call `callback` in the running event loop at each SIGINT and SIGTERM, until the loop is closed.

    Not on Windows, where asyncio raises `NotImplementedError`, and Ctrl+C comes as KeyboardInterrupt.
    """
    with suppress(NotImplementedError):
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, callback)
