"""The input of a bulk: how it is read, item by item, and closed."""

from __future__ import annotations

import asyncio
import logging
import reprlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any, Final

from ghl_voice_async.errors import InvalidInputError
from ghl_voice_async.result import CallRef

__all__ = ["end_tasks", "log_failed_closing", "read_reference", "source_of"]

_logger: Final = logging.getLogger("ghl_voice_async")
_GRACE: Final = 10.0  # seconds for an input, or for a provider of tokens, to end once it was asked to


def read_reference(given: object, location_id: str | None) -> tuple[CallRef, InvalidInputError | None]:
    """Read one item of the input, or say what is wrong with it."""
    match given:
        case str() if location_id is not None:
            return CallRef(_without_line_end(given), location_id), None
        case str():
            shown, reason = given, "a call id without a location: pass location_id, or pairs of both"
        case _:
            match _columns(given):
                case [str(call_id), str(its_location_id)]:
                    return CallRef(call_id, its_location_id), None
                case [str(call_id)] if location_id is not None:
                    return CallRef(call_id, location_id), None
            shown, reason = reprlib.repr(given), "neither a call id nor a pair of a call id and a location id"
    ref = CallRef(shown, location_id or "")
    return ref, InvalidInputError(reason, call_id=ref.call_id, location_id=ref.location_id)


def _without_line_end(text: str) -> str:
    return text[:-1].removesuffix("\r") if text.endswith("\n") else text


def _columns(row: Any) -> Sequence[object]:  # noqa: ANN401  # an item of the caller's
    """Return the items of a sequence, up to three, or none of anything else. Drivers' rows need not be registered."""
    if isinstance(row, tuple | list):
        return row
    if isinstance(row, Mapping) or not (hasattr(row, "__len__") and hasattr(row, "__getitem__")):
        return ()
    try:
        return list(islice(iter(row), 3))
    except Exception:  # noqa: BLE001  # a row that cannot be read is a result with an error, as other wrong items are
        return ()


def source_of(calls: Iterable[object] | AsyncIterable[object]) -> AsyncIterator[object]:
    """Return the items of an input, which may be async."""
    return aiter(calls) if isinstance(calls, AsyncIterable) else _each(calls)


async def _each(calls: Iterable[object]) -> AsyncGenerator[object, None]:
    items = iter(calls)
    try:
        for item in items:
            yield item
    finally:
        if isinstance(items, Generator):  # and not a file, which is its owner's to close
            items.close()


async def end_tasks(tasks: AbstractSet[asyncio.Task[None]], source: AsyncIterator[object]) -> None:
    """Cancel the tasks of a bulk, wait until they have ended, and close its input.

    Each cancellation of the caller is passed on to them. Tasks and inputs that take too long are cancelled once more,
    and then left alone with a warning. That holds for a caller that anyio cancels without a pause, too.
    """
    cancelled = None
    now = asyncio.get_running_loop().time
    ends_at = now() + 2 * _GRACE
    while tasks and (left := ends_at - now()) > 0:
        for task in tasks:
            task.cancel()
        try:
            await asyncio.wait(tasks, timeout=min(left, _GRACE))
        except asyncio.CancelledError as error:
            cancelled = error
    if tasks:
        _logger.warning("%d tasks of a bulk did not end within %g s of their cancellation", len(tasks), 2 * _GRACE)
    else:
        await _close(source)
    if cancelled is not None:
        raise cancelled


async def _close(source: Any) -> None:  # noqa: ANN401  # an async iterator, which may be closed or not
    close = getattr(source, "aclose", None)
    if close is None:
        return
    scope = asyncio.timeout(_GRACE)
    try:
        async with scope:
            await close()
    except TimeoutError:
        if not scope.expired():
            raise
        _logger.warning("the input of a bulk did not close within %g s", _GRACE)


def log_failed_closing(error: BaseException) -> None:
    """Log what an input raised when the bulk has another outcome by then."""
    _logger.warning("the input of a bulk raised when it was closed", exc_info=error)
