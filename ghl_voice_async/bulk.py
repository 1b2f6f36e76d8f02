"""Many calls: bounded workers, a turn for each location, and one result for each item of the input."""

from __future__ import annotations

import asyncio
import reprlib
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import suppress
from itertools import islice
from typing import Any, Generic, TypeVar

from attrs import define

from ghl_voice_async.errors import AuthenticationError, ClientClosedError, GHLVoiceError, InvalidInputError
from ghl_voice_async.models import CallLog
from ghl_voice_async.rate_limit import ImmediateRateLimiter, Permit
from ghl_voice_async.result import CallLogResult, CallRef
from ghl_voice_async.schedule import Item, Schedule

__all__ = ["Bulk", "Calls"]

Calls = Iterable[str | tuple[str, str]] | AsyncIterable[str | tuple[str, str]]
"""Call ids, or pairs of a call id and a location id such as `CallRef`."""

A = TypeVar("A")

_READ_AT_ONCE = 100  # items of an input that never waits, before everybody else has a turn


@define(eq=False)
class _Outcome(Generic[A]):
    """What became of a call: its answer, or its error.

    An answer is decoded when it is delivered. Until then it is bytes: call logs that wait, each of some fifty
    objects, keep Python's garbage collector busy, for 12 µs a call where answers come in bursts.
    """

    index: int
    ref: CallRef
    answer: A | None = None
    error: Exception | None = None

    def result(self, decode: Callable[[A], CallLog]) -> CallLogResult:
        if self.answer is None:
            return CallLogResult(self.index, self.ref, error=self.error)
        try:
            return CallLogResult(self.index, self.ref, decode(self.answer))
        except GHLVoiceError as error:
            return CallLogResult(self.index, self.ref, error=error)


class Bulk(Generic[A]):
    """One run over an input: it is read as there is something to do with it, and fetched by workers.

    A worker fetches one call after another, each of them in one of `concurrency` places. A call that waits for its
    location gives its place up, and other workers go on with other locations; when it has its permit, it has
    the next free place before any call that has not begun.
    """

    def __init__(
        self,
        fetch: Callable[[CallRef, ImmediateRateLimiter], Awaitable[A]],
        decode: Callable[[A], CallLog],
        rate_limiter: ImmediateRateLimiter,
        *,
        concurrency: int,
        look_ahead: int,
        ordered: bool,
    ) -> None:
        self.rate_limiter = rate_limiter
        self.schedule: Schedule[_Outcome[A]] = Schedule(concurrency=concurrency, look_ahead=look_ahead, ordered=ordered)
        self._fetch = fetch
        self._decode = decode
        self._tasks: set[asyncio.Task[None]] = set()
        self._returning: deque[asyncio.Future[None]] = deque()  # calls with a permit, that wait for a place
        self._news = asyncio.Event()  # for the consumer
        self._is_short = asyncio.Event()  # of input, for the reader
        self._is_starting = False  # a worker
        self._failure: Exception | None = None

    async def results(self, calls: Calls, location_id: str | None) -> AsyncGenerator[CallLogResult, None]:
        """Give a result for each item. Raise what makes going on pointless, after all that was fetched."""
        source = _source(calls)
        self._start(self._read(source, location_id))
        try:
            while True:
                while (outcome := self.schedule.next_result()) is not None:
                    if self.schedule.has_just_made_room:
                        self.begin_soon()
                    yield outcome.result(self._decode)
                if self.schedule.is_over or (self.schedule.is_stopped and not self._tasks):
                    break
                self._news.clear()
                await self._news.wait()
                await asyncio.sleep(0)  # or anyio, which cancels no task whose wait is over, might never find one
        finally:
            self.schedule.stop()
            try:
                await _end(self._tasks)
            finally:
                if (close := getattr(source, "aclose", None)) is not None:
                    await close()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            try:
                raise failure
            finally:
                del failure  # or its traceback would hold on to it, and to the whole bulk

    def begin_soon(self) -> None:
        """Start a worker where there is something to begin, or have more read where little is left.

        It begins in the next turn of the loop, so that no call begins within another, and then starts the next one.
        """
        if self.schedule.can_begin:
            if not self._is_starting:
                self._is_starting = True
                self._start(self._work())
        elif self.schedule.is_short:
            self._is_short.set()

    def leave_place(self) -> None:
        """Give a place to a call that waits for one."""
        self.schedule.leave_place()
        if self._returning and self.schedule.take_place():
            self._returning.popleft().set_result(None)

    async def take_place(self) -> None:
        """Return when there is a place for a call that has waited for its location."""
        if not self.schedule.take_place():
            place = asyncio.get_running_loop().create_future()
            self._returning.append(place)
            try:
                await place
            except asyncio.CancelledError:
                with suppress(ValueError):  # it has come meanwhile
                    self._returning.remove(place)
                raise

    async def _read(self, source: AsyncIterator[object], location_id: str | None) -> None:
        try:
            async for given in source:
                if self.schedule.is_stopped:
                    break
                ref, error = _reference(given, location_id)
                if error is None:
                    self.schedule.add(ref)
                else:
                    self.schedule.reject(_Outcome(self.schedule.read, ref, error=error))
                    self._news.set()
                if self.schedule.can_begin:
                    self.begin_soon()
                while not self.schedule.has_room:
                    self._is_short.clear()
                    await self._is_short.wait()
                if self.schedule.read % _READ_AT_ONCE == 0:
                    await asyncio.sleep(0)
        except Exception as error:  # noqa: BLE001  # it is the caller's, and reaches the caller
            self._failure = self._failure or error
        self.schedule.read_up()

    async def _work(self) -> None:
        self._is_starting = False
        while (item := self._next()) is not None:
            position, ref = item
            turn = _Turn(self, ref.location_id)
            outcome = None
            try:
                outcome = _Outcome(position, ref, await self._fetch(ref, turn))
            except (AuthenticationError, ClientClosedError) as error:
                self._stop(error)
            except Exception as error:  # noqa: BLE001  # a token provider or a rate limiter may raise what it likes
                outcome = _Outcome(position, ref, error=error)
            turn.end()
            self.schedule.end(outcome)
            self._news.set()

    def _next(self) -> Item | None:
        item = self.schedule.begin()
        self.begin_soon()
        return item

    def _stop(self, failure: Exception) -> None:
        """Begin nothing more: what is in flight is still delivered, and then the failure raised."""
        self._failure = self._failure or failure
        self.schedule.stop()

    def _start(self, run: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(run, name="ghl-voice-async bulk")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() and not self.schedule.is_stopped:
            self._stop(GHLVoiceError("a task of this bulk was cancelled by somebody else than its consumer"))
        self._news.set()


@define(eq=False)
class _Turn:
    """The rate limit as one call of a bulk sees it, and the permit that it has: waiting, it leaves its place."""

    bulk: Bulk[Any]
    location_id: str
    permit: Permit | None = None
    is_asking: bool = True
    has_place: bool = True

    def acquire_at_once(self, location_id: str, *, max_pause: float) -> Permit | None:
        if self.has_place:
            self.permit = self.bulk.rate_limiter.acquire_at_once(location_id, max_pause=max_pause)
        if self.permit is None:
            return None
        self._let_others_ask()
        return self

    async def acquire(self, location_id: str, *, max_pause: float) -> Permit:
        self._leave_place()
        if self.is_asking:
            self.bulk.schedule.wait(location_id)
        self.bulk.begin_soon()
        try:
            self.permit = await self.bulk.rate_limiter.acquire(location_id, max_pause=max_pause)
        finally:
            self._let_others_ask()
        try:
            await self.bulk.take_place()
        except asyncio.CancelledError:
            self.cancel()
            raise
        self.has_place = True
        return self

    def release(self, *, status: int | None, headers: Mapping[str, str]) -> None:
        permit, self.permit = self.permit, None
        assert permit is not None  # noqa: S101  # a permit is given back once
        permit.release(status=status, headers=headers)
        if status == 429:
            self._leave_place()  # it waits from now on, be it asleep or for its permit
            self.bulk.begin_soon()

    def cancel(self) -> None:
        permit, self.permit = self.permit, None
        assert permit is not None  # noqa: S101  # likewise
        permit.cancel()

    def end(self) -> None:
        """Take in that the call is over. Its worker goes on with another."""
        self._leave_place()
        self._let_others_ask()

    def _leave_place(self) -> None:
        if self.has_place:
            self.has_place = False
            self.bulk.leave_place()

    def _let_others_ask(self) -> None:
        if self.is_asking:
            self.is_asking = False
            self.bulk.schedule.allow(self.location_id)
            self.bulk.begin_soon()


def _reference(given: object, location_id: str | None) -> tuple[CallRef, InvalidInputError | None]:
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


def _columns(row: object) -> Sequence[object]:
    """Return the items of a sequence, up to three, or none of anything else. Drivers' rows need not be registered."""
    if isinstance(row, tuple | list):
        return row
    if isinstance(row, Mapping) or not (hasattr(row, "__len__") and hasattr(row, "__getitem__")):
        return ()
    try:
        return list(islice(iter(row), 3))
    except Exception:  # noqa: BLE001  # a row that cannot be read is a result with an error, as other wrong items are
        return ()


def _source(calls: Calls) -> AsyncIterator[object]:
    return aiter(calls) if isinstance(calls, AsyncIterable) else _each(calls)


async def _each(calls: Iterable[object]) -> AsyncGenerator[object, None]:
    items = iter(calls)
    try:
        for item in items:
            yield item
    finally:
        if isinstance(items, Generator):  # and not a file, which is its owner's to close
            items.close()


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel the tasks and return when they have ended, however often the wait for that is cancelled."""
    for task in tasks:
        task.cancel()
    cancelled = None
    while tasks:
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
