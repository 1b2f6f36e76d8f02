"""Tracebacks without the frames that have a token among their local variables."""

from __future__ import annotations

from types import TracebackType
from typing import Final

__all__ = ["hide_frames"]

# The token is in the headers that aiohttp writes, and in the bytes that the event loop sends.
_HIDDEN: Final = {"aiohttp", "asyncio", "ghl_voice_async", "multidict", "uvloop", "yarl"}


def hide_frames(error: BaseException) -> None:
    """Take the frames of aiohttp, of the event loop and of this package out of an error, and out of its chain.

    The frames of a caller's own code stay, such as those of a middleware of a borrowed session.
    """
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        link = left.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        link.__traceback__ = _of_others(link.__traceback__)
        left += [link.__cause__, link.__context__]
        if isinstance(link, BaseExceptionGroup):
            left += link.exceptions


def _of_others(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames to be hidden."""
    entries: list[TracebackType] = []
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__", "").partition(".")[0] not in _HIDDEN:
            entries.append(traceback)
        traceback = traceback.tb_next
    kept = None
    for entry in reversed(entries):
        kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return kept
