"""The signals that ask a command to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["call_when_asked_to_stop"]


def call_when_asked_to_stop(callback: Callable[[], object]) -> None:
    """Call `callback` in the running event loop at each SIGINT, SIGTERM and SIGHUP, until the loop is closed.

    A SIGHUP that the process was started to ignore, as by `nohup`, stays ignored. Windows has no such handlers:
    asyncio raises `NotImplementedError`, and Ctrl+C comes as KeyboardInterrupt.
    """
    with suppress(NotImplementedError):
        for number in _asking_to_stop():
            asyncio.get_running_loop().add_signal_handler(number, callback)


def _asking_to_stop() -> Iterator[signal.Signals]:
    yield from (signal.SIGINT, signal.SIGTERM)
    if sys.platform == "win32":
        return
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        yield signal.SIGHUP
