"""Whether to try again, and when: a policy, a pure decision, a budget, and the loop that tenacity runs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from math import inf
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from attrs import field, frozen

from ghl_voice_async.errors import (
    DailyLimitError,
    GHLVoiceError,
    InvalidInputError,
    RateLimitError,
    StatusError,
    TransportError,
)
from ghl_voice_async.validation import count_field, seconds_field

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["LONGEST_PAUSE", "RetryBudget", "RetryPolicy", "load_tenacity", "retried", "wait_before_retry"]

T = TypeVar("T")

LONGEST_PAUSE: Final = 3600.0
"""The longest time, in seconds, for which a `Retry-After` is obeyed before one request asks again."""

_LARGEST_EXPONENT = 64  # 2**64 is past any cap, and its product with a float does not overflow


def _statuses(value: Iterable[int]) -> frozenset[int]:
    try:
        statuses = frozenset(value)
    except TypeError:
        raise InvalidInputError("retry_statuses must be a set of HTTP statuses") from None
    if any(isinstance(status, bool) or not isinstance(status, int) or not 300 <= status <= 599 for status in statuses):
        raise InvalidInputError("retry_statuses must be whole numbers from 300 to 599")
    return statuses


@frozen
class RetryPolicy:
    """How a call is tried again after a failure that may pass.

    What is tried again: a `TransportError` unless its `retryable` is False, and an answer whose status is
    among `retry_statuses`, but for a `DailyLimitError`. All times are in seconds.
    """

    max_attempts: int = field(default=5, validator=count_field)
    """Attempts in all, the first one included."""
    backoff_base: float = field(default=0.5, validator=seconds_field)
    """The longest wait before the second attempt; it doubles with every attempt."""
    backoff_cap: float = field(default=8.0, validator=seconds_field)
    """The longest wait before any attempt that the server did not set a time for."""
    max_elapsed: float = field(default=120.0, validator=seconds_field)
    """Time from the first send, waits for a rate-limit permit left out, after which no attempt begins."""
    retry_statuses: frozenset[int] = field(
        default=frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 530}),
        converter=_statuses,
    )
    """Statuses worth another attempt."""


def wait_before_retry(
    policy: RetryPolicy,
    failure: BaseException | None,
    *,
    attempt: int,
    elapsed: float,
    jitter: float,
    until_deadline: float = inf,
) -> float | None:
    """Decide on a failed attempt: None to give up, or the seconds to wait before the next.

    `attempt` counts the attempts made, `elapsed` the seconds since the first was sent, and `jitter` is a
    random number from 0 to 1. The wait is a full jitter: anything up to the doubled base, and up to the cap.
    A `Retry-After` is a floor, with jitter above it only; one that does not fit into what is left of
    `max_elapsed` gives up at once. One of a 429 has to fit into the seconds `until_deadline`, too. The wait
    for a `Retry-After` is at most an hour. A kept connection that was dead is no sign of trouble: the second
    attempt does not wait for that.
    """
    if not _worth_retrying(policy, failure) or attempt >= policy.max_attempts:
        return None
    if attempt == 1 and _was_kept(failure):
        return 0.0
    backoff = jitter * min(policy.backoff_cap, policy.backoff_base * 2.0 ** min(attempt - 1, _LARGEST_EXPONENT))
    left = policy.max_elapsed - elapsed
    floor = failure.retry_after if isinstance(failure, StatusError) else None
    if floor is None:
        return backoff if backoff <= left else None
    if isinstance(failure, RateLimitError):
        left = min(left, until_deadline)
    if floor > left:
        return None
    # An attempt needs time before the deadline, so that jitter takes half of the rest at most.
    return min(min(floor, LONGEST_PAUSE) + backoff, (floor + left) / 2)


def _worth_retrying(policy: RetryPolicy, failure: BaseException | None) -> bool:
    if isinstance(failure, TransportError):
        return failure.retryable
    if isinstance(failure, StatusError) and not isinstance(failure, DailyLimitError):
        return failure.status in policy.retry_statuses
    return False


class RetryBudget:
    """What a client may still spend on retries, so that an outage is not answered with a storm of them.

    A token bucket, as botocore's standard mode has it: full, it is good for 100 retries. A success gives back what
    its retry cost, or a fifth of a retry where it needed none.
    """

    _CAPACITY = 500
    _COST = 5
    _REFILL = 1

    def __init__(self) -> None:
        self._tokens = self._CAPACITY

    def spend(self) -> bool:
        """Pay for one retry, or return False where too little is left."""
        if self._tokens < self._COST:
            return False
        self._tokens -= self._COST
        return True

    def refill(self, *, retried: bool) -> None:
        """Take in a success."""
        if self._tokens < self._CAPACITY:
            self._tokens = min(self._CAPACITY, self._tokens + (self._COST if retried else self._REFILL))


def _was_kept(failure: BaseException | None) -> bool:
    return isinstance(failure, TransportError) and failure.was_kept


class Retried(Protocol):
    """What is tried again and again."""

    def elapsed(self) -> float:
        """Return the seconds since the first send."""
        ...  # pyright takes a docstring alone for a body that returns nothing

    def until_deadline(self) -> float:
        """Return the seconds until the caller's deadline, or infinity without one."""
        ...  # likewise

    def will_retry(self, failure: GHLVoiceError, attempt: int, delay: float) -> None:
        """Learn of a failure that is tried again: the attempts made, and the seconds until the next."""


R = TypeVar("R", bound=Retried)


def load_tenacity() -> None:
    """Import what `retried` needs, which the first failure may be unable to do.

    Where no file descriptor is left, a failure cannot read a module. A client calls this when it is made, so that a
    program that only reads a `RetryPolicy` does not load tenacity.
    """
    import tenacity.asyncio  # noqa: F401, PLC0415  # see above


async def retried(
    failure: GHLVoiceError, attempt: Callable[[R], Awaitable[T]], call: R, policy: RetryPolicy, budget: RetryBudget
) -> T:
    """Await `attempt(call)` until it succeeds or the policy gives up, and then let its last error out.

    The first attempt has failed by now: most calls need no other, and do without the set-up of tenacity. Its error is
    handed over as the outcome of tenacity's first. Each call gets an `AsyncRetrying` of its own: one shared between
    tasks gives wrong results.

    Retries draw on the budget, but for those after a 429, which the rate limit paces already, and after the loss of a
    kept connection.
    """
    from tenacity import AsyncRetrying  # noqa: PLC0415  # loaded by now, see `load_tenacity`

    first_failure: GHLVoiceError | None = failure

    async def first_failure_then_attempts() -> T:
        nonlocal first_failure
        if first_failure is not None:
            failure, first_failure = first_failure, None
            raise failure
        return await attempt(call)

    wait = 0.0

    def decide(state: RetryCallState) -> bool:
        nonlocal wait
        failure = state.outcome.exception() if state.outcome is not None else None
        jitter = random.random()  # noqa: S311  # spreads load, hides nothing
        decision = wait_before_retry(
            policy,
            failure,
            attempt=state.attempt_number,
            elapsed=call.elapsed(),
            jitter=jitter,
            until_deadline=call.until_deadline(),
        )
        if decision is None or not isinstance(failure, GHLVoiceError):
            return False
        is_free = isinstance(failure, RateLimitError) or _was_kept(failure)
        if not is_free and not budget.spend():
            failure.advice = "Not tried again: so many calls of this client fail that its budget of retries is used up."
            return False
        wait = decision
        call.will_retry(failure, state.attempt_number, wait)
        return True

    loop = AsyncRetrying(retry=decide, wait=lambda _: wait, sleep=asyncio.sleep, reraise=True)
    result: T = await loop(first_failure_then_attempts)
    budget.refill(retried=True)
    return result
