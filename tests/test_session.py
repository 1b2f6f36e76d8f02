"""The pipeline as a whole is tested through the client, in test_client.py; here is what only it decides."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from virtual_time import now, virtual_time

import ghl_voice_async as ghl
from ghl_voice_async import RetryPolicy, VoiceAIClient
from ghl_voice_async.testing import ResetBeforeAnswer, Status, VoiceAIServer

if TYPE_CHECKING:
    from collections.abc import Mapping

QUICK = RetryPolicy(backoff_base=0.001, backoff_cap=0.001)


class Journal:
    """A limiter that lets everything through and writes down what it was asked and told."""

    def __init__(self, wait: float = 0.0) -> None:
        self.wait = wait
        self.acquired: list[str] = []
        self.released: list[tuple[int | None, int]] = []
        self.cancelled = 0

    async def acquire(self, location_id: str, *, max_pause: float) -> Journal:
        assert max_pause > 0
        await asyncio.sleep(self.wait)
        self.acquired.append(location_id)
        return self

    def release(self, *, status: int | None, headers: Mapping[str, str]) -> None:
        self.released.append((status, len(headers)))

    def cancel(self) -> None:
        self.cancelled += 1


class Rotating:
    """A provider that has another token once the first was refused."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.refused: list[tuple[str, str]] = []

    async def get_token(self, location_id: str) -> str:
        assert location_id
        return self.tokens[0]

    async def token_refused(self, location_id: str, token: str) -> None:
        self.refused.append((location_id, token))
        if len(self.tokens) > 1:
            self.tokens.pop(0)


async def test_every_attempt_takes_a_permit_and_gives_it_back_with_the_answer(server: VoiceAIServer) -> None:
    journal = Journal()
    server.fail(Status(503))
    server.fail(ResetBeforeAnswer())
    async with VoiceAIClient(server.token, base_url=server.url, rate_limit=journal, retry=QUICK) as client:
        await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert journal.acquired == [server.location_id] * 3
    assert [status for status, _ in journal.released] == [503, None, 200]
    assert journal.released[1][1] == 0
    assert journal.released[2][1] > 0


@virtual_time
async def test_waits_for_permits_are_not_charged_to_the_policy() -> None:
    policy = RetryPolicy(max_elapsed=5.0, backoff_base=0.001)
    async with (
        VoiceAIServer(max_requests=None) as server,
        VoiceAIClient(server.token, base_url=server.url, rate_limit=Journal(wait=100.0), retry=policy) as client,
    ):
        server.fail(Status(503), times=3)
        started = now()
        await client.get_call_log(server.call_ids(1)[0], server.location_id)
        assert 400 <= now() - started < 401


@virtual_time
async def test_the_policy_ends_when_its_time_is_over() -> None:
    policy = RetryPolicy(max_elapsed=30.0, max_attempts=1000)
    async with (
        VoiceAIServer(max_requests=None) as server,
        VoiceAIClient(server.token, base_url=server.url, rate_limit=None, retry=policy) as client,
    ):
        server.fail(Status(503), times=1000)
        started = now()
        with pytest.raises(ghl.ServerError) as caught:
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
        assert 20 < now() - started <= 30
        assert caught.value.attempts == server.seen.requests


async def test_a_limiter_that_raises_fails_the_call_with_its_own_error(server: VoiceAIServer) -> None:
    class Broken(Journal):
        async def acquire(self, location_id: str, *, max_pause: float) -> Journal:
            raise LookupError(location_id)

    async with VoiceAIClient(server.token, base_url=server.url, rate_limit=Broken()) as client:
        with pytest.raises(LookupError):
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert server.seen.requests == 0


async def test_promise_2_a_fixed_token_that_is_refused_is_sent_once(server: VoiceAIServer) -> None:
    async with VoiceAIClient("pit-wrong", base_url=server.url) as client:
        with pytest.raises(ghl.AuthenticationError, match="Invalid token") as caught:
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert (caught.value.attempts, server.seen.requests) == (1, 1)


async def test_promise_2_a_provider_is_told_once_and_its_other_token_is_tried(server: VoiceAIServer) -> None:
    provider = Rotating("pit-old", server.token)
    async with VoiceAIClient(provider, base_url=server.url) as client:
        call_id = server.call_ids(1)[0]
        assert (await client.get_call_log(call_id, server.location_id)).id == call_id
    assert provider.refused == [(server.location_id, "pit-old")]
    assert server.seen.requests == 2


async def test_promise_2_a_second_refusal_ends_the_call(server: VoiceAIServer) -> None:
    provider = Rotating("pit-old", "pit-older", "pit-oldest")
    async with VoiceAIClient(provider, base_url=server.url) as client:
        with pytest.raises(ghl.AuthenticationError) as caught:
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert (caught.value.attempts, server.seen.requests, len(provider.refused)) == (2, 2, 1)


async def test_promise_2_a_provider_is_told_once_a_call_though_a_retry_lies_between(server: VoiceAIServer) -> None:
    provider = Rotating("pit-old", "pit-older", "pit-oldest")
    server.fail(Status(401))
    server.fail(Status(503))
    async with VoiceAIClient(provider, base_url=server.url, retry=QUICK) as client:
        with pytest.raises(ghl.AuthenticationError):
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert len(provider.refused) == 1
    assert server.seen.requests == 3


async def test_promise_2_a_403_never_asks_for_another_token(server: VoiceAIServer) -> None:
    provider = Rotating(server.token, "pit-other")
    server.fail(Status(403))
    async with VoiceAIClient(provider, base_url=server.url) as client:
        with pytest.raises(ghl.PermissionDeniedError):
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert provider.refused == []


async def test_a_provider_that_gives_no_usable_token_is_refused_without_showing_it(server: VoiceAIServer) -> None:
    async with VoiceAIClient(Rotating("pit marked"), base_url=server.url) as client:
        with pytest.raises(ghl.InvalidInputError) as caught:
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert "marked" not in str(caught.value)
    assert server.seen.requests == 0


async def test_a_timeout_of_the_providers_own_reaches_the_caller_as_it_is(server: VoiceAIServer) -> None:
    class Slow(Rotating):
        async def get_token(self, location_id: str) -> str:
            raise TimeoutError(location_id)

    async with VoiceAIClient(Slow(), base_url=server.url) as client:
        with pytest.raises(TimeoutError) as caught:
            await client.get_call_log(server.call_ids(1)[0], server.location_id, deadline=60.0)
    assert type(caught.value) is TimeoutError
