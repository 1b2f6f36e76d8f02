from __future__ import annotations

import asyncio
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import now, virtual_time

import ghl_voice_async as ghl
from ghl_voice_async import InvalidInputError, RetryPolicy
from ghl_voice_async.retry import RetryBudget, retried, wait_before_retry

POLICY = RetryPolicy()
RESET = ghl.TransportError("reset")
KEPT = ghl.TransportError("reset", was_kept=True)


def status(code: int, wait: float | None = None) -> ghl.StatusError:
    error = ghl.RateLimitError if code == 429 else ghl.StatusError
    return error("no", status=code, retry_after=wait)


@pytest.mark.parametrize(
    ("failure", "attempt", "elapsed", "jitter", "wait"),
    [
        # A kept connection that was dead is tried again at once, the first time.
        (KEPT, 1, 0, 1.0, 0.0),
        (KEPT, 2, 0, 1.0, 1.0),
        (KEPT, 5, 0, 1.0, None),
        # What is worth another attempt.
        (RESET, 1, 0, 1.0, 0.5),
        (ghl.AttemptTimeoutError("late"), 1, 30, 1.0, 0.5),
        (ghl.TransportError("TLS failed", retryable=False), 1, 0, 1.0, None),
        (status(408), 1, 0, 1.0, 0.5),
        (status(425), 1, 0, 1.0, 0.5),
        (status(429), 1, 0, 1.0, 0.5),
        (status(500), 1, 0, 1.0, 0.5),
        (status(524), 1, 0, 1.0, 0.5),
        (status(530), 1, 0, 1.0, 0.5),
        (status(400), 1, 0, 1.0, None),
        (status(401), 1, 0, 1.0, None),
        (status(302), 1, 0, 1.0, None),
        (status(501), 1, 0, 1.0, None),
        (status(505), 1, 0, 1.0, None),
        (ghl.DailyLimitError("tomorrow", status=429), 1, 0, 1.0, None),
        (ghl.DecodeError(["$: not JSON"]), 1, 0, 1.0, None),
        (ghl.ClientClosedError("closed"), 1, 0, 1.0, None),
        (asyncio.CancelledError(), 1, 0, 1.0, None),
        (KeyError("ours"), 1, 0, 1.0, None),
        (None, 1, 0, 1.0, None),
        # Full jitter, doubled with every attempt, up to the cap.
        (RESET, 1, 0, 0.0, 0.0),
        (RESET, 1, 0, 0.5, 0.25),
        (RESET, 2, 0, 1.0, 1.0),
        (RESET, 3, 0, 1.0, 2.0),
        (RESET, 4, 0, 1.0, 4.0),
        # No more attempts than the policy has.
        (RESET, 5, 0, 1.0, None),
        # No wait that would pass the end of it.
        (RESET, 1, 119.5, 1.0, 0.5),
        (RESET, 1, 119.6, 1.0, None),
        # Retry-After is a floor, and jitter goes upward only.
        (status(429, 5), 1, 0, 0.0, 5.0),
        (status(429, 5), 1, 0, 1.0, 5.5),
        (status(503, 5), 3, 0, 1.0, 7.0),
        (status(429, 120), 1, 0, 1.0, 120.0),
        (status(429, 60), 1, 60, 1.0, 60.0),
        (status(429, 60), 1, 60.1, 0.0, None),
        (status(429, 3600), 1, 60, 0.0, None),
    ],
)
def test_the_decision(
    failure: BaseException | None, attempt: int, elapsed: float, jitter: float, wait: float | None
) -> None:
    assert wait_before_retry(POLICY, failure, attempt=attempt, elapsed=elapsed, jitter=jitter) == wait


def test_the_cap_holds_however_many_attempts_there_were() -> None:
    policy = RetryPolicy(max_attempts=100_000, max_elapsed=1e9)
    assert wait_before_retry(policy, RESET, attempt=5, elapsed=0, jitter=1.0) == 8.0
    assert wait_before_retry(policy, RESET, attempt=99_999, elapsed=0, jitter=1.0) == 8.0


def test_statuses_can_be_chosen() -> None:
    policy = RetryPolicy(retry_statuses={404})
    assert wait_before_retry(policy, status(404), attempt=1, elapsed=0, jitter=1.0) is not None
    assert wait_before_retry(policy, status(503), attempt=1, elapsed=0, jitter=1.0) is None


@pytest.mark.parametrize(
    ("failure", "until_deadline", "wait"),
    [
        (status(429, 4), 5.0, 4.25),
        (status(429, 4), 4.2, 4.1),  # jitter leaves time for the attempt
        (status(429, 4), 4.0, 4.0),
        (status(429, 4), 3.9, None),
        (status(429, 4), -1.0, None),
        (status(429), 0.1, 0.25),  # the deadline itself ends these waits
        (status(503, 4), 3.9, 4.25),
        (RESET, 0.1, 0.25),
    ],
)
def test_guarantee_10_a_retry_after_has_to_fit_into_the_deadline(
    failure: ghl.GHLVoiceError, until_deadline: float, wait: float | None
) -> None:
    decision = wait_before_retry(POLICY, failure, attempt=1, elapsed=0, jitter=0.5, until_deadline=until_deadline)

    assert decision == wait


@pytest.mark.parametrize("code", [429, 503])
def test_guarantee_10_nobody_waits_longer_than_an_hour_for_a_retry_after(code: int) -> None:
    policy = RetryPolicy(max_elapsed=1e6)

    assert wait_before_retry(policy, status(code, 86400), attempt=1, elapsed=0, jitter=1.0) == 3600.5


@given(
    st.integers(1, 10),
    st.floats(0, 200),
    st.floats(0, 1),
    st.none() | st.floats(0.001, 1e6),
    st.sampled_from([429, 503]),
)
def test_no_wait_is_shorter_than_asked_for_or_passes_the_end(
    attempt: int, elapsed: float, jitter: float, asked: float | None, code: int
) -> None:
    wait = wait_before_retry(POLICY, status(code, asked), attempt=attempt, elapsed=elapsed, jitter=jitter)
    if wait is not None:
        assert wait >= (asked or 0)
        assert elapsed + wait <= POLICY.max_elapsed + 1e-9


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"max_attempts": 0}, "max_attempts must be at least 1"),
        ({"max_attempts": 1.5}, "max_attempts must be a whole number"),
        ({"max_attempts": True}, "max_attempts must be a whole number"),
        ({"backoff_base": 0}, "backoff_base must be a finite number of seconds above 0"),
        ({"backoff_cap": -1}, "backoff_cap must be a finite"),
        ({"backoff_cap": True}, "backoff_cap must be a number of seconds, not bool"),
        ({"max_elapsed": float("nan")}, "max_elapsed must be a finite"),
        ({"max_elapsed": float("inf")}, "max_elapsed must be a finite"),
        ({"max_elapsed": "60"}, "max_elapsed must be a number of seconds, not str"),
        ({"retry_statuses": 500}, "retry_statuses must be a set"),
        ({"retry_statuses": {200}}, "retry_statuses must be whole numbers"),
        ({"retry_statuses": {"500"}}, "retry_statuses must be whole numbers"),
        ({"retry_statuses": {True}}, "retry_statuses must be whole numbers"),
    ],
)
def test_promise_24_a_policy_that_cannot_be_right_is_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        RetryPolicy(**settings)


def test_a_policy_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        POLICY.max_attempts = 7  # type: ignore[misc]  # the point


class Attempts:
    """Fails as told, once an item, then succeeds."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.started_at: list[float] = []
        self.retries: list[tuple[str, int, float]] = []

    async def make(self) -> str:
        self.started_at.append(now())
        if self.failures:
            raise self.failures.pop(0)
        return "done"

    def elapsed(self) -> float:
        return now() - self.started_at[0]

    def until_deadline(self) -> float:
        return inf

    def will_retry(self, failure: ghl.GHLVoiceError, attempt: int, delay: float) -> None:
        self.retries.append((type(failure).__name__, attempt, round(delay, 2)))


async def run(attempts: Attempts, policy: RetryPolicy = POLICY, budget: RetryBudget | None = None) -> str:
    """Do as the session does."""
    budget = budget or RetryBudget()
    try:
        result = await attempts.make()
    except (ghl.TransportError, ghl.StatusError) as error:
        failure = error
    else:
        budget.refill(retried=False)
        return result
    return await retried(failure, Attempts.make, attempts, policy, budget)


@virtual_time
async def test_a_success_is_returned_at_once() -> None:
    attempts = Attempts()
    assert await run(attempts) == "done"
    assert len(attempts.started_at) == 1


@virtual_time
async def test_failures_are_tried_again_until_one_succeeds() -> None:
    attempts = Attempts(status(503, 2.0), RESET, status(429, 3.0))
    assert await run(attempts) == "done"
    first, second, third, fourth = attempts.started_at
    assert 2.0 <= second - first <= 2.5
    assert 0.0 <= third - second <= 1.0
    assert 3.0 <= fourth - third <= 5.0


@virtual_time
async def test_the_last_error_is_let_out_as_it_is() -> None:
    failures = [ghl.TransportError(str(number)) for number in range(5)]
    attempts = Attempts(*failures)
    with pytest.raises(ghl.TransportError) as caught:
        await run(attempts)
    assert caught.value is failures[-1]
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert len(attempts.started_at) == 5


@virtual_time
async def test_an_error_that_is_not_worth_it_is_let_out_after_one_attempt() -> None:
    attempts = Attempts(status(404), RESET)
    with pytest.raises(ghl.StatusError, match="404"):
        await run(attempts)
    assert len(attempts.started_at) == 1


@pytest.mark.parametrize("failure", [KeyError("a bug of ours"), asyncio.CancelledError()])
@pytest.mark.parametrize("before", [[], [RESET]])
def test_bugs_and_cancellations_are_never_tried_again(failure: BaseException, before: list[BaseException]) -> None:
    @virtual_time
    async def scenario() -> None:
        attempts = Attempts(*before, failure)
        with pytest.raises(type(failure)):
            await run(attempts)
        assert len(attempts.started_at) == len(before) + 1

    scenario()


@virtual_time
async def test_promise_26_a_cancellation_while_backing_off_ends_it_at_once() -> None:
    attempts = Attempts(status(503, 60.0))
    task = asyncio.create_task(run(attempts))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert now() - attempts.started_at[0] < 1.1


@virtual_time
async def test_calls_that_run_together_do_not_mix_their_attempts() -> None:
    calls = [Attempts(*[ghl.TransportError(f"{number}")] * (number % 5)) for number in range(50)]
    assert await asyncio.gather(*(run(call) for call in calls)) == ["done"] * 50
    assert [len(call.started_at) for call in calls] == [number % 5 + 1 for number in range(50)]


@virtual_time
async def test_each_retry_is_told_of_before_its_wait() -> None:
    attempts = Attempts(status(503, 2.0), RESET)
    await run(attempts, RetryPolicy(backoff_base=0.001))
    assert attempts.retries == [("StatusError", 1, 2.0), ("TransportError", 2, 0.0)]


@virtual_time
async def test_promise_5_a_budget_that_is_spent_ends_the_retries_and_says_so() -> None:
    budget = RetryBudget()
    while budget.spend():
        pass
    attempts = Attempts(RESET)
    with pytest.raises(ghl.TransportError) as caught:
        await run(attempts, budget=budget)
    assert len(attempts.started_at) == 1
    assert str(caught.value).startswith("reset Not tried again: ")


@virtual_time
async def test_promise_5_a_429_and_a_kept_connection_that_was_dead_need_no_budget() -> None:
    budget = RetryBudget()
    while budget.spend():
        pass
    assert await run(Attempts(status(429), status(429), KEPT), budget=budget) == "done"


def test_promise_5_a_full_budget_is_good_for_a_hundred_retries() -> None:
    budget = RetryBudget()
    assert sum(budget.spend() for _ in range(1000)) == 100


def test_promise_5_a_success_pays_for_a_fifth_of_a_retry_and_never_more_than_there_was() -> None:
    budget = RetryBudget()
    for _ in range(60):
        budget.spend()
    for _ in range(5 * 60 + 1000):
        budget.refill(retried=False)
    assert sum(budget.spend() for _ in range(1000)) == 100


@virtual_time
async def test_promise_5_successes_fill_the_budget_and_a_retry_that_succeeds_costs_nothing() -> None:
    budget = RetryBudget()
    while budget.spend():
        pass
    for _ in range(5):
        await run(Attempts(), budget=budget)
    for _ in range(3):
        assert await run(Attempts(RESET), budget=budget) == "done"
    assert budget.spend()
    assert not budget.spend()


@virtual_time
async def test_promise_5_a_budget_never_holds_more_than_when_it_was_new() -> None:
    budget = RetryBudget()
    for _ in range(50):
        await run(Attempts(), budget=budget)
        await run(Attempts(status(429)), budget=budget)
    assert sum(budget.spend() for _ in range(1000)) == 100
