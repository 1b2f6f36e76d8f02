from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import aiohttp
import pytest
from virtual_time import now, run_in_virtual_time, virtual_time, without_debugging
from watched import Counting, WatchedClient, check_clean, client_of
from wire import CALL, LOCATION, TOKEN

import ghl_voice_async as ghl
from ghl_voice_async import RateLimit, RetryPolicy, WindowRateLimiter
from ghl_voice_async.testing import (
    Fault,
    Latency,
    ResetWithinAnswer,
    Silence,
    SlowDrip,
    Status,
    VoiceAIServer,
)


@pytest.mark.parametrize(
    ("busy_with", "last_failure"),
    [
        (Silence(), ""),
        (Status(503, headers={"Retry-After": "60"}), "; the last failure was 503 (ServerError)"),
        (Status(429), "; the last failure was 429 (RateLimitError)"),
    ],
    ids=["reading", "backoff", "permit"],
)
def test_promise_27_a_deadline_ends_whatever_was_going_on(busy_with: Any, last_failure: str) -> None:
    @virtual_time
    async def scenario() -> None:
        limiter = WindowRateLimiter(ghl.RateLimit())
        async with VoiceAIServer() as server, client_of(server, rate_limit=limiter) as client:
            server.fail(busy_with, times=5)
            started = now()
            with pytest.raises(ghl.DeadlineExceededError) as caught:
                await client.get_call_log(server.call_ids(1)[0], server.location_id, deadline=5.0)
            assert 5.0 <= now() - started < 5.1
            assert caught.value.args == (f"no call log within the deadline of 5 s{last_failure}",)
            assert caught.value.attempts == server.seen.requests == 1
            assert caught.value.__cause__ is None
            assert caught.value.__context__ is None

    scenario()


@virtual_time
async def test_promise_27_the_callers_own_timeout_is_the_builtin_one() -> None:
    async with VoiceAIServer() as server, client_of(server) as client:
        server.fail(Silence())
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(5.0):
                await client.get_call_log(server.call_ids(1)[0], server.location_id, deadline=60.0)
        assert type(caught.value) is TimeoutError


@virtual_time
async def test_promise_26_a_cancelled_call_ends_at_once_and_leaves_nothing_behind() -> None:
    async with VoiceAIServer(max_requests=None) as server, client_of(server, max_connections=1) as client:
        server.fail(Silence())
        call_id = server.call_ids(1)[0]
        task = asyncio.create_task(client.get_call_log(call_id, server.location_id))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await client.get_call_log(call_id, server.location_id)).id == call_id


class SlowTokens:
    async def get_token(self, location_id: str) -> str:
        await asyncio.sleep(60)
        return TOKEN

    async def token_refused(self, location_id: str, token: str) -> None:
        raise AssertionError


class SlowNames(aiohttp.abc.AbstractResolver):
    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[Any]:
        await asyncio.sleep(60)
        raise AssertionError

    async def close(self) -> None:
        pass


@virtual_time
async def test_promise_27_a_deadline_ends_a_wait_for_a_token() -> None:
    async with WatchedClient(SlowTokens(), base_url="http://127.0.0.1:9") as client:
        started = now()
        with pytest.raises(ghl.DeadlineExceededError) as caught:
            await client.get_call_log(CALL, LOCATION, deadline=5.0)
        assert 5.0 <= now() - started < 5.1
    assert caught.value.attempts == 0


@virtual_time
async def test_promise_27_a_deadline_ends_a_connecting() -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=SlowNames())) as session,
        WatchedClient(TOKEN, base_url="https://slow.example", session=session) as client,
    ):
        started = now()
        with pytest.raises(ghl.DeadlineExceededError):
            await client.get_call_log(CALL, LOCATION, deadline=5.0)
        assert 5.0 <= now() - started < 5.1
        await session.close()


@virtual_time
async def test_promise_27_a_deadline_ends_a_wait_for_a_connection_whose_permit_stays_whole() -> None:
    limiter = Counting()
    async with (
        VoiceAIServer(max_requests=None) as server,
        client_of(server, max_connections=1, rate_limit=limiter) as client,
    ):
        server.fail(Latency(20.0))
        first, second = server.call_ids(2)
        holding = asyncio.create_task(client.get_call_log(first, server.location_id))
        await asyncio.sleep(1)
        with pytest.raises(ghl.DeadlineExceededError) as caught:
            await client.get_call_log(second, server.location_id, deadline=5.0)
        assert (caught.value.attempts, server.seen.requests) == (0, 1)
        assert (limiter.taken, limiter.cancelled, limiter.released) == (2, 1, 0)
        await holding


@virtual_time
async def test_promise_25_a_call_cancelled_before_it_is_sent_leaves_its_permit_whole() -> None:
    limiter = WindowRateLimiter(RateLimit(max_requests=2, interval=1000.0))
    async with (
        VoiceAIServer(max_requests=None) as server,
        client_of(server, max_connections=1, rate_limit=limiter) as client,
    ):
        server.fail(Latency(20.0))
        first, second, third = server.call_ids(3)
        holding = asyncio.create_task(client.get_call_log(first, server.location_id))
        await asyncio.sleep(1)
        waiting = asyncio.create_task(client.get_call_log(second, server.location_id))
        await asyncio.sleep(1)
        waiting.cancel()
        started = now()
        await client.get_call_log(third, server.location_id)
        assert now() - started < 20
        await holding
    assert waiting.cancelled()
    assert server.seen.requests == 2


class CancelledAt(Coroutine[Any, Any, Any]):
    """A coroutine whose task is cancelled when it waits for the `at`-th time: in that very step, or soon after."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], at: int | None, *, soon: bool = False) -> None:
        self.coroutine = coroutine
        self.at = at
        self.soon = soon
        self.waits = 0
        self.was_cancelled_at = 0.0

    def send(self, value: Any) -> Any:
        return self.waited(self.coroutine.send(value))

    def throw(self, *error: Any) -> Any:
        return self.waited(self.coroutine.throw(*error))

    def close(self) -> None:
        self.coroutine.close()

    def __await__(self) -> Any:
        raise AssertionError

    def waited(self, on: Any) -> Any:
        self.waits += 1
        if self.waits == self.at:
            task = asyncio.current_task()
            assert task is not None
            if self.soon:
                asyncio.get_running_loop().call_soon(self.cancel, task)
            else:
                self.cancel(task)
        return on

    def cancel(self, task: asyncio.Task[Any]) -> None:
        if task.cancel():
            self.was_cancelled_at = now()


class OldThenNew:
    """A provider whose first token is refused."""

    def __init__(self, token: str) -> None:
        self.tokens = ["pit-old", token]

    async def get_token(self, location_id: str) -> str:
        await asyncio.sleep(0.01)
        return self.tokens[0]

    async def token_refused(self, location_id: str, token: str) -> None:
        await asyncio.sleep(0.01)
        self.tokens = self.tokens[-1:]


async def one_call_through_everything(cancel_at: int | None, *, soon: bool = False) -> int:
    """Run a call that meets a refused token, a 503, a reset, and an answer in pieces, at a limit that makes it wait."""
    async with VoiceAIServer(max_requests=None) as server:
        limiter = WindowRateLimiter(RateLimit(max_requests=2, interval=5.0))
        async with client_of(server, token=OldThenNew(server.token), rate_limit=limiter, max_connections=1) as client:
            call_id = server.call_ids(1)[0]
            server.add_call_log({"id": call_id, "summary": "x" * 400})
            server.fail(Status(401))
            server.fail(Status(503, headers={"Retry-After": "1"}))
            server.fail(ResetWithinAnswer())
            server.fail(SlowDrip(0.1, 100))
            coroutine = CancelledAt(client.get_call_log(call_id, server.location_id), cancel_at, soon=soon)
            task = asyncio.create_task(coroutine)
            await asyncio.wait([task])
            if coroutine.was_cancelled_at:
                assert task.cancelled()
                assert now() - coroutine.was_cancelled_at < 0.01
                server._ordered.clear()
                assert (await client.get_call_log(call_id, server.location_id, deadline=6.0)).id == call_id
            else:
                assert task.result().id == call_id
        return coroutine.waits


def test_promise_26_a_call_cancelled_at_any_of_its_await_points_ends_there_and_leaves_all_clean() -> None:
    waits = run_in_virtual_time(one_call_through_everything(None))
    assert waits > 20
    for soon in (False, True):
        for at in range(1, waits + 1):
            run_in_virtual_time(one_call_through_everything(at, soon=soon))


@virtual_time
async def test_promise_28_a_task_group_of_a_thousand_calls_can_be_cancelled_twice() -> None:
    faults: dict[Fault, float] = {
        Silence(): 0.3,
        Status(503, headers={"Retry-After": "30"}): 0.2,
        ResetWithinAnswer(): 0.1,
        SlowDrip(): 0.2,
    }
    without_debugging()
    async with VoiceAIServer(max_requests=None, faults=faults) as server:
        limiter = WindowRateLimiter(RateLimit(max_requests=200, interval=1000.0))
        async with client_of(server, rate_limit=limiter, max_connections=20, retry=RetryPolicy()) as client:

            async def all_of_them() -> None:
                async with asyncio.TaskGroup() as group:
                    for call_id in server.call_ids(1000):
                        group.create_task(client.get_call_log(call_id, server.location_id))

            for _ in range(2):
                group = asyncio.create_task(all_of_them())
                await asyncio.sleep(1)
                group.cancel()
                await asyncio.sleep(0)
                group.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await group
                await check_clean(client)
            assert server.seen.requests > 20
            server._rates.clear()
            started = now()
            call_id = server.call_ids(1)[0]
            assert (await client.get_call_log(call_id, server.location_id)).id == call_id
            assert now() - started < 0.1


@virtual_time
async def test_promise_29_the_pause_of_a_429_outlives_the_call_that_met_it() -> None:
    async with VoiceAIServer(max_requests=None) as server:
        limiter = WindowRateLimiter(RateLimit())
        async with client_of(server, rate_limit=limiter) as client:
            call_id = server.call_ids(1)[0]
            server.fail(Status(429, headers={"Retry-After": "30"}))
            started = now()
            refused = asyncio.create_task(client.get_call_log(call_id, server.location_id))
            await asyncio.sleep(5)
            refused.cancel()
            await client.get_call_log(call_id, server.location_id)
            assert 30 <= now() - started < 30.1


class Cancels:
    """A provider whose own task is cancelled, as when the refresh that it waits for is."""

    async def get_token(self, location_id: str) -> str:
        refresh = asyncio.get_running_loop().create_future()
        refresh.cancel()
        await refresh
        raise AssertionError

    async def token_refused(self, location_id: str, token: str) -> None:
        raise AssertionError


async def test_promise_41_a_cancellation_that_nobody_asked_for_is_an_error_and_no_cancellation() -> None:
    async with WatchedClient(Cancels(), base_url="http://127.0.0.1:9") as client:
        with pytest.raises(ghl.TransportError, match="was cancelled, and not the call") as caught:
            await client.get_call_log(CALL, LOCATION)
    assert (caught.value.call_id, caught.value.attempts, caught.value.__context__) == (CALL, 0, None)
