"""Tracebacks without the frames that have a token among their local variables."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Final

from ghl_voice_async.errors import GHLVoiceError

__all__ = ["hide_frames"]

# The token is in the headers that aiohttp writes, and in the bytes that the event loop sends.
_HIDDEN: Final = {"aiohttp", "asyncio", "ghl_voice_async", "multidict", "uvloop", "yarl"}


def hide_frames(error: BaseException) -> None:
    """Take the frames of aiohttp, of the event loop and of this package out of an error, and out of its chain.

    The frames of a caller's own code stay, such as those of a middleware of a borrowed session. A note on an unexpected
    error says where the hidden frames were.
    """
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        link = left.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        entries = _entries(link.__traceback__)
        if entries and _is_hidden(entries[-1]) and isinstance(link, Exception) and not isinstance(link, GHLVoiceError):
            link.add_note(_note(entry for entry in entries if _is_hidden(entry)))
        kept = None
        for entry in reversed(entries):
            if not _is_hidden(entry):
                kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
        link.__traceback__ = kept
        left += [link.__cause__, link.__context__]
        if isinstance(link, BaseExceptionGroup):
            left += link.exceptions


def _entries(traceback: TracebackType | None) -> list[TracebackType]:
    entries = []
    while traceback is not None:
        entries.append(traceback)
        traceback = traceback.tb_next
    return entries


def _is_hidden(entry: TracebackType) -> bool:
    return _module(entry).partition(".")[0] in _HIDDEN


def _module(entry: TracebackType) -> str:
    return str(entry.tb_frame.f_globals.get("__name__", ""))


def _note(entries: Iterable[TracebackType]) -> str:
    where = (f"{_module(entry)}:{entry.tb_lineno} in {entry.tb_frame.f_code.co_name}" for entry in entries)
    return "Hidden frames, which hold the token: " + ", ".join(where)
