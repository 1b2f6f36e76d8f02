"""The one queue of coroutines that wait for something, and the semaphore that stands on it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from math import inf
from typing import Generic, TypeVar

from attrs import define, field

__all__ = ["Semaphore", "Waiter", "Waiters"]

T = TypeVar("T")


@define(eq=False)
class Waiter(Generic[T]):
    """A place in the queue, and what its owner was given and has not taken yet."""

    patience: float
    """The longest pause in seconds that its owner accepts."""
    given: T | None = None
    error: Exception | None = None
    wakes: asyncio.Future[None] = field(factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def is_gone(self) -> bool:
        """Return True if its owner was cancelled, or its event loop was closed."""
        return self.wakes.done() or self.wakes.get_loop().is_closed()


class Waiters(Generic[T]):
    """Coroutines that wait in the order of asking, each of them for one value.

    A value that was given reaches its waiter, or goes back through `give_back`. That holds for a waiter that is
    cancelled in the same turn of the event loop, that is closed, or that ends by any other exception.
    """

    def __init__(self, give_back: Callable[[T], None]) -> None:
        self._give_back = give_back
        self.pending: OrderedDict[Waiter[T], None] = OrderedDict()
        """Those that were given nothing, in the order of asking. Some may be gone."""

    def enter(self, patience: float = inf) -> Waiter[T]:
        """Join the queue. `wait` has to follow at once."""
        waiter = Waiter[T](patience)
        self.pending[waiter] = None
        return waiter

    async def wait(self, waiter: Waiter[T]) -> T:
        """Return the value once it was given. Raise the error that the waiter was ended with."""
        try:
            await waiter.wakes
        except BaseException:
            self.pending.pop(waiter, None)
            given, waiter.given = waiter.given, None
            if given is not None:
                self._give_back(given)
            raise
        if waiter.error is not None:
            error, waiter.error = waiter.error, None
            try:
                raise error
            finally:
                del error  # its traceback would hold on to this frame
        assert waiter.given is not None  # noqa: S101  # nothing else wakes it
        return waiter.given

    def first(self) -> Waiter[T] | None:
        """Return the waiter that is served next, or None. Forget those before it that are gone."""
        while self.pending:
            waiter = next(iter(self.pending))
            if not waiter.is_gone:
                return waiter
            del self.pending[waiter]
        return None

    def give(self, value: T) -> bool:
        """Give a value to the first waiter, or return False if there is none."""
        waiter = self.first()
        if waiter is None:
            return False
        del self.pending[waiter]
        waiter.given = value
        waiter.wakes.set_result(None)
        return True

    def fail(self, waiter: Waiter[T], error: Exception) -> None:
        """End the wait of one that is in the queue with an error."""
        del self.pending[waiter]
        if not waiter.is_gone:
            waiter.error = error
            waiter.wakes.set_result(None)


class Semaphore:
    """A number of slots, given in the order of asking.

    It is `asyncio.Semaphore` with a `try_acquire`, which needs no coroutine. A slot is never lost, however its waiter
    ends.
    """

    def __init__(self, count: int) -> None:
        self.free: int = count
        self._waiters = Waiters[bool](self._give_back)
        self._pending = self._waiters.pending

    def try_acquire(self) -> bool:
        """Take a slot that is free, or return False."""
        if not self.free:
            return False
        self.free -= 1
        return True

    async def acquire(self) -> None:
        """Take a slot, or wait for one."""
        if not self.try_acquire():
            await self._waiters.wait(self._waiters.enter())

    def release(self) -> None:
        """Give a slot to the coroutine that waits longest, or back."""
        if not (self._pending and self._waiters.give(True)):  # noqa: FBT003  # any value will do
            self.free += 1

    def _give_back(self, _: bool) -> None:  # noqa: FBT001  # likewise
        self.release()
