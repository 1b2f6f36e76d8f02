"""The calls that a client has in flight: bound to one event loop and one process, and ended together."""

from __future__ import annotations

import asyncio
import os

from ghl_voice_async.errors import ClientClosedError
from ghl_voice_async.scope import Scope

__all__ = ["Lifecycle"]


class Lifecycle:
    """Lets calls begin while the client is open, and ends those in flight when it closes.

    A call runs inside a `Scope`, which ends it either at its deadline or on close. The call knows from `closed`
    which it was.
    """

    def __init__(self) -> None:
        self.closed: bool = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self._scopes: dict[Scope, asyncio.TimerHandle | None] = {}  # and the timer of the deadline
        self._idle = asyncio.Event()  # for who closes

    def begin(self, loop: asyncio.AbstractEventLoop, deadline: float | None) -> Scope:
        """Make the scope of one call in the running loop, which its `end` must follow.

        Raises `ClientClosedError` before any I/O.
        """
        if loop is not self._loop or self.closed or self._process != os.getpid():
            self._open(loop)
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a call has to be awaited in a task of the event loop")
        scope = Scope(task)
        self._scopes[scope] = None if deadline is None else loop.call_later(deadline, scope.interrupt)
        return scope

    def end(self, scope: Scope) -> None:
        """Forget a call that is over."""
        timer = self._scopes.pop(scope)
        if timer is not None:
            timer.cancel()
        if self.closed and not self._scopes:
            self._idle.set()

    async def aclose(self) -> None:
        """End the calls in flight and return when the last of them is over."""
        self.closed = True
        for scope in self._scopes:
            scope.interrupt()
        if self._scopes:
            await self._idle.wait()

    def is_in_another_process(self) -> bool:
        """Tell whether this is a forked copy of what another process uses."""
        return self._loop is not None and self._process != os.getpid()

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is None:
            self._loop, self._process = loop, os.getpid()
        if self.closed:
            raise ClientClosedError("the client is closed; make a new one")
        if self._process != os.getpid():
            raise ClientClosedError("the client was used in another process before a fork; make a new one here")
        if self._loop is not loop:
            raise ClientClosedError("the client belongs to another event loop; make one for each loop")
