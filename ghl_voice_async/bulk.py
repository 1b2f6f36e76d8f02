"""Many calls: bounded workers, places shared out among locations, and one result for each item of the input."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
)
from copy import copy
from typing import Any, Generic, TypeVar, cast

from attrs import define, field

from ghl_voice_async.bulk_input import end_tasks, log_failed_closing, read_reference, source_of
from ghl_voice_async.errors import ClientClosedError, GHLVoiceError, StatusError
from ghl_voice_async.models import CallLog
from ghl_voice_async.rate_limit import ImmediateRateLimiter, Permit
from ghl_voice_async.result import CallLogResult, CallRef
from ghl_voice_async.schedule import Item, Schedule
from ghl_voice_async.scope import somebody_cancelled
from ghl_voice_async.semaphore import Waiters

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
    location, or for its next attempt, gives its place up, and other workers go on with other locations. When it may
    be sent, it gets the next place of its location before any call that has not begun.

    The first exception that ends the bulk is raised once all that was sent has its result.
    """

    def __init__(
        self,
        fetch: Callable[[CallRef, _Turn], Awaitable[A]],
        decode: Callable[[A], CallLog],
        rate_limiter: ImmediateRateLimiter,
        *,
        concurrency: int,
        look_ahead: int,
        ordered: bool,
    ) -> None:
        self.rate_limiter = rate_limiter
        self.schedule: Schedule[_Outcome[A]] = Schedule(concurrency=concurrency, look_ahead=look_ahead, ordered=ordered)
        self.refusals: dict[str, StatusError] = {}
        """The errors of locations that are closed."""
        self._fetch = fetch
        self._decode = decode
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: dict[asyncio.Task[None], _Turn] = {}  # of workers
        self._returning: dict[str, Waiters[str]] = {}  # by location, calls that have waited and need a place
        self._news = asyncio.Event()  # for the consumer
        self._is_short = asyncio.Event()  # of input, for the reader
        self._is_starting = False  # a worker
        self._is_creating = False  # a task
        self._is_closing = False
        self._last_refusal: StatusError | None = None
        self._failure: BaseException | None = None

    async def results(self, calls: Calls, location_id: str | None) -> AsyncGenerator[CallLogResult, None]:
        """Give a result for each item. Raise what makes going on pointless, after all that was fetched."""
        self._loop = asyncio.get_running_loop()
        source = source_of(calls)
        is_cancelled = False
        self._start(self._read, source, location_id)
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
            self._stop_if_all_are_refused()
        except asyncio.CancelledError:
            is_cancelled = True
            raise
        finally:
            self._is_closing = True
            self.schedule.stop()
            try:
                await end_tasks(self._tasks, source)
            except Exception as error:
                if self._failure is None and not is_cancelled:
                    raise
                log_failed_closing(error)
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
        if self._returning:
            self._serve_returning()
        if self.schedule.can_begin:
            if not self._is_starting:
                self._is_starting = True
                self._start(self._work)
        elif self.schedule.is_short:
            self._wake(self._is_short)

    def leave_place(self, location_id: str) -> None:
        """Take a place back, and let another call have it."""
        self.schedule.leave_place(location_id)
        self.begin_soon()

    async def return_to_place(self, location_id: str) -> None:
        """Return when there is a place for a call that has waited."""
        waiters = self._returning.get(location_id)
        if waiters is None:
            waiters = self._returning[location_id] = Waiters(self.leave_place)
            self.schedule.set_returning(location_id, is_returning=True)
        waiter = waiters.enter()
        self._serve_returning()
        try:
            await waiters.wait(waiter)
        finally:
            if not waiters.pending and self._returning.get(location_id) is waiters:
                self._none_returns(location_id)

    def _serve_returning(self) -> None:
        while (location_id := self.schedule.next_to_return()) is not None:
            waiters = self._returning[location_id]
            if waiters.give(location_id):
                self.schedule.take_place(location_id)
            if not waiters.pending:
                self._none_returns(location_id)

    def _none_returns(self, location_id: str) -> None:
        del self._returning[location_id]
        self.schedule.set_returning(location_id, is_returning=False)

    async def _read(self, source: AsyncIterator[object], location_id: str | None) -> None:
        if self._is_creating:  # by an eager task factory
            await asyncio.sleep(0)
        try:
            await self._read_all(source, location_id)
        except BaseException as error:  # noqa: BLE001  # it is the caller's, and reaches the caller
            self._end_of_reading(error)
        self.schedule.read_up()
        self.begin_soon()
        self._wake(self._news)

    async def _read_all(self, source: AsyncIterator[object], location_id: str | None) -> None:
        async for given in source:
            if self.schedule.is_stopped:
                break
            ref, error = read_reference(given, location_id)
            if error is not None:
                self.schedule.reject(_Outcome(self.schedule.read, ref, error=error))
                self._news.set()
            elif self.refusals and ref.location_id in self.refusals:
                self._reject_refused(ref)
            else:
                self.schedule.add(ref)
            if self.schedule.can_begin:
                self.begin_soon()
            while not self.schedule.has_room:
                self._is_short.clear()
                await self._is_short.wait()
            if self.schedule.read % _READ_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _end_of_reading(self, error: BaseException) -> None:
        """Keep what the input raised for the consumer. What is no `Exception` ends the bulk at once."""
        is_cancellation = isinstance(error, asyncio.CancelledError)
        if self._is_closing:
            if not is_cancellation:
                log_failed_closing(error)
        elif is_cancellation and not somebody_cancelled():
            self._failure = self._failure or GHLVoiceError("something that the input waited for was cancelled")
        elif isinstance(error, Exception):
            self._failure = self._failure or error
        else:
            self._abort(_cancelled_by_another() if is_cancellation else error)

    async def _work(self) -> None:
        if self._is_creating:  # by an eager task factory, and workers that start each other would recurse
            await asyncio.sleep(0)
        self._is_starting = False
        task = cast("asyncio.Task[None]", asyncio.current_task())
        while (item := self._next()) is not None:
            position, ref = item
            turn = self._turns[task] = _Turn(self, ref.location_id)
            outcome = None
            try:
                outcome = _Outcome(position, ref, await self._fetch(ref, turn))
            except ClientClosedError as error:
                self._stop(error)
            except Exception as error:  # noqa: BLE001  # a token provider or a rate limiter may raise what it likes
                outcome = _Outcome(position, ref, error=error)
                if turn.refused_with and isinstance(error, StatusError):
                    self._refuse(turn, error)
            except BaseException as error:  # noqa: BLE001  # likewise
                outcome = self._broken(position, ref, turn, error)
            turn.end()
            self.schedule.end(ref.location_id, outcome)
            self._wake(self._news)
        self._turns.pop(task, None)

    def _next(self) -> Item | None:
        item = self.schedule.begin()
        self.begin_soon()
        return item

    def _broken(self, position: int, ref: CallRef, turn: _Turn, error: BaseException) -> _Outcome[A] | None:
        """End the bulk for an exception that is no `Exception`. A call that was sent still has a result."""
        if self._is_closing:
            return None
        is_cancellation = isinstance(error, asyncio.CancelledError)
        if is_cancellation and not somebody_cancelled():
            return _Outcome(position, ref, error=_error_of(ref, turn, "what this call waited for was cancelled"))
        self._abort(_cancelled_by_another() if is_cancellation else error)
        if not turn.sent:
            return None
        if ref.location_id in self.refusals:
            return _Outcome(position, ref, error=_refusal_of(self.refusals[ref.location_id], ref, turn.sent))
        return _Outcome(position, ref, error=_error_of(ref, turn, "this call was ended before it had its response"))

    def _refuse(self, turn: _Turn, error: StatusError) -> None:
        """Close a location that has refused two calls, with a result for each of those that are left."""
        self._last_refusal = error
        left = self.schedule.refuse(turn.location_id, turn.refused_with)
        if left is None:
            return
        self.refusals[turn.location_id] = copy(error)
        for position, ref in left:
            self.schedule.keep_refused(_Outcome(position, ref, error=_refusal_of(error, ref)))
        if (waiters := self._returning.get(turn.location_id)) is not None:
            for waiter in [*waiters.pending]:
                waiters.fail(waiter, copy(error))
            self._none_returns(turn.location_id)

    def _reject_refused(self, ref: CallRef) -> None:
        error = _refusal_of(self.refusals[ref.location_id], ref)
        self.schedule.reject(_Outcome(self.schedule.read, ref, error=error), is_refused=True)
        self._stop_if_all_are_refused()
        self._news.set()

    def _stop_if_all_are_refused(self) -> None:
        if self._last_refusal is not None and self.schedule.is_refused:
            self._abort(copy(self._last_refusal))

    def _stop(self, failure: BaseException) -> None:
        """Begin nothing more: what is in flight is still delivered, and then the failure raised."""
        self._failure = self._failure or failure
        self.schedule.stop()

    def _abort(self, failure: BaseException) -> None:
        """Stop, and end the calls that wait for something else than their response."""
        self._stop(failure)
        if self._loop.is_closed():  # a worker was collected after that
            return
        this = asyncio.current_task()
        for task, turn in self._turns.items():
            if task is not this and not (turn.sent and turn.has_place):
                task.cancel()

    def _start(self, run: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:  # noqa: ANN401  # of `run`
        if self._loop.is_closed():  # likewise
            return
        self._is_creating = True
        task = asyncio.create_task(run(*arguments), name="ghl-voice-async bulk")
        self._is_creating = False
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._is_closing and task.cancelled():  # before it had begun
            self._abort(_cancelled_by_another())
        self._news.set()

    def _wake(self, event: asyncio.Event) -> None:
        if not self._loop.is_closed():
            event.set()


@define(eq=False)
class _Turn:
    """The rate limit as one call of a bulk sees it, and the permit that it has: waiting, it leaves its place."""

    bulk: Bulk[Any] = field(repr=False)
    location_id: str
    permit: Permit | None = None
    is_asking: bool = True
    has_place: bool = True
    sent: int = 0
    """Permits that it was given, which is the requests that it sent, or one more."""
    status: int | None = None
    """Of the last response."""
    held: int = 0
    """1 while the call waits for another token, without a place. Else 0."""
    refused_with: tuple[object, ...] = field(default=(), repr=False)
    """The tokens with which the call was refused."""

    def acquire_at_once(self, location_id: str, *, max_pause: float) -> Permit | None:
        if not self.has_place:
            return None
        bulk = self.bulk
        if bulk.refusals:
            self._check_refusal()
        self.permit = bulk.rate_limiter.acquire_at_once(location_id, max_pause=max_pause)
        if self.permit is None:
            return None
        self.sent += 1
        self._let_others_ask()
        return self

    async def acquire(self, location_id: str, *, max_pause: float) -> Permit:
        """Wait for a permit, and for a place unless the call has kept its own.

        A call keeps it where another request takes the place of the one that it was sending. It holds a connection
        then, for which a call in its place would wait.
        """
        self._check_refusal()
        if self.is_asking:
            self._leave_place()
            self.bulk.schedule.wait(location_id)
            self.bulk.begin_soon()
        try:
            self.permit = await self.bulk.rate_limiter.acquire(location_id, max_pause=max_pause)
        finally:
            self._let_others_ask()
        try:
            self._check_refusal()
            if not self.has_place:
                self._hold(0)
                await self.bulk.return_to_place(location_id)
        except BaseException:
            self.cancel()
            raise
        self.has_place = True
        self.sent += 1
        return self

    def release(self, *, status: int | None, headers: Mapping[str, str]) -> None:
        permit, self.permit = self.permit, None
        assert permit is not None  # noqa: S101  # a permit is given back once
        self.status = status
        self.bulk.schedule.hear(self.location_id, status)
        permit.release(status=status, headers=headers)

    def cancel(self) -> None:
        permit, self.permit = self.permit, None
        assert permit is not None  # noqa: S101  # likewise
        permit.cancel()

    def pause(self) -> None:
        """Give the place up: the call waits for its next attempt, or for another token."""
        self._hold(int(self.status == 401))
        self._leave_place()
        self.bulk.begin_soon()

    def refuse(self, *tokens: object) -> None:
        """Record that the server refused the call with these tokens."""
        self.refused_with = tokens

    def end(self) -> None:
        """Record that the call is over. Its worker goes on with another."""
        self._hold(0)
        self._leave_place()
        self._let_others_ask()

    def _check_refusal(self) -> None:
        if (error := self.bulk.refusals.get(self.location_id)) is not None:
            raise copy(error)

    def _hold(self, held: int) -> None:
        if held != self.held:
            self.bulk.schedule.hold(self.location_id, held - self.held)
            self.held = held

    def _leave_place(self) -> None:
        if self.has_place:
            self.has_place = False
            self.bulk.leave_place(self.location_id)

    def _let_others_ask(self) -> None:
        if self.is_asking:
            self.is_asking = False
            self.bulk.schedule.allow(self.location_id)
            self.bulk.begin_soon()


def _refusal_of(error: StatusError, ref: CallRef, attempts: int = 0) -> StatusError:
    """Return the refusal of a location as the error of one more of its calls."""
    its_own = copy(error)
    its_own.call_id, its_own.location_id, its_own.attempts = ref.call_id, ref.location_id, attempts
    return its_own


def _error_of(ref: CallRef, turn: _Turn, message: str) -> GHLVoiceError:
    return GHLVoiceError(message, call_id=ref.call_id, location_id=ref.location_id, attempts=turn.sent)


def _cancelled_by_another() -> GHLVoiceError:
    return GHLVoiceError("a task of this bulk was cancelled by somebody else than its consumer")
