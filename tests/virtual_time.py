"""An event loop whose clock jumps to the next timer when there is nothing else to do.

An hour of `asyncio.sleep` takes a few milliseconds, and nothing depends on how fast the machine is.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

SOCKETS_GRACE = 0.002  # real seconds that loopback sockets get before the clock jumps
STUCK = 10.0  # real seconds without any timer or socket after which the test is stuck
SMALLEST_STEP = 1e-6


class JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            ready: list[tuple[selectors.SelectorKey, int]] = super().select(STUCK)
            if not ready:
                raise AssertionError("nothing is left that could wake the event loop")
            return ready
        has_sockets = len(self.get_map()) > 1  # more than the one that the loop wakes itself with
        ready = super().select(SOCKETS_GRACE if timeout > 0 and has_sockets else 0)
        if not ready and timeout > 0:
            self.now += max(timeout, SMALLEST_STEP)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumping = JumpingSelector()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # theirs
        # Without its timeout of five minutes, which would have passed before a thread has ended.
        await super().shutdown_default_executor()


def virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on a virtual clock."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        run_in_virtual_time(test(*args, **kwargs))

    return run


def run_in_virtual_time(coroutine: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)


def without_debugging() -> None:
    """Switch off asyncio's debug mode, which writes down every callback, where thousands of calls run at once."""
    asyncio.get_running_loop().set_debug(False)


def now() -> float:
    return asyncio.get_running_loop().time()


def jump(seconds: float) -> None:
    """Let time pass at once, as it does while something keeps the loop busy."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.jumping.now += seconds
