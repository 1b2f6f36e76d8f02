"""What type checkers make of the public surface. They read this file; the tests run it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, assert_type

from ghl_voice_async import (
    ActionParameters,
    ActionType,
    CallEvent,
    CallLog,
    CallLogResult,
    CallRef,
    DecodeError,
    ExecutedCallAction,
    GHLVoiceError,
    Hook,
    LimitEvent,
    Permit,
    RateLimit,
    RateLimiter,
    RateLimitError,
    RateLimitState,
    ResponseEvent,
    RetryEvent,
    RetryPolicy,
    SMSParameters,
    StatusError,
    TokenProvider,
    Translation,
    VoiceAIClient,
    WindowRateLimiter,
    decode_call_log,
    encode_call_log,
)
from ghl_voice_async.testing import Fault, Status, VoiceAIServer


class Tokens:
    async def get_token(self, location_id: str) -> str:
        return location_id

    async def token_refused(self, location_id: str, token: str) -> None: ...


class Limiter:
    async def acquire(self, location_id: str, *, max_pause: float) -> Permit:
        return self

    def release(self, *, status: int | None, headers: Mapping[str, str]) -> None: ...

    def cancel(self) -> None: ...


def count(event: CallEvent) -> None:
    assert_type(event.attempt, int)
    match event:
        case ResponseEvent():
            assert_type(event.status, int | None)
            assert_type(event.seconds, float)
        case RetryEvent():
            assert_type(event.delay, float)
        case LimitEvent():
            assert_type(event.waited, float)
        case _:
            pass


hook: Hook = count


provider: TokenProvider = Tokens()
limiters: Sequence[RateLimiter] = (Limiter(), WindowRateLimiter(RateLimit()))
clients = [
    VoiceAIClient("pit"),
    VoiceAIClient(provider, rate_limit=None),
    VoiceAIClient(Tokens(), rate_limit=Limiter(), retry=RetryPolicy(max_attempts=3, retry_statuses=frozenset({503}))),
    VoiceAIClient("pit", rate_limit=WindowRateLimiter(RateLimit(max_requests=10)), base_url="http://127.0.0.1:1"),
]


async def fetch(client: VoiceAIClient) -> CallLog:
    client.add_hook(hook)
    client.add_hook(lambda event: event.path_template)
    async with client as entered:
        assert_type(entered, VoiceAIClient)
        call = await client.get_call_log("call", "location", deadline=3.0)
        for state in client.rate_limits.values():
            assert_type(state, RateLimitState)
            assert_type(state.paused_until, datetime | None)
            assert_type(state.daily_remaining, int)
    assert_type(call, CallLog)
    return call


async def numbers() -> AsyncIterator[str]:
    yield "call"


async def fetch_many(client: VoiceAIClient) -> None:
    assert_type(client.fetch_call_logs(["call"], "location"), AsyncGenerator[CallLogResult, None])
    client.fetch_call_logs([CallRef("call", "location"), ("call", "location"), "call"], "location", ordered=True)
    client.fetch_call_logs({"call", "other"}, "location", concurrency=8, look_ahead=100)
    async for result in client.fetch_call_logs(numbers(), "location"):
        assert_type(result.index, int)
        assert_type(result.ref, CallRef)
        assert_type(result.call_id, str)
        assert_type(result.call_log, CallLog | None)
        assert_type(result.error, Exception | None)
        assert_type(result.ok, bool)
        assert_type(result.unwrap(), CallLog)


def read(call: CallLog) -> None:
    assert_type(call.id, str)
    assert_type(call.created_at, datetime | None)
    assert_type(call.duration, float | None)
    assert_type(call.executed_call_actions, list[ExecutedCallAction])
    assert_type(call.translation, Translation | None)
    assert_type(call.extracted_data, dict[str, Any] | None)
    assert_type(call.extra, dict[str, Any])
    for action in call.executed_call_actions:
        assert_type(action.action_type, ActionType | str | None)
        assert_type(action.action_parameters, ActionParameters | None)
        if isinstance(action.action_parameters, SMSParameters):
            assert_type(action.action_parameters.message_body, str | None)


def handle(error: GHLVoiceError) -> None:
    assert_type(error.call_id, str | None)
    assert_type(error.attempts, int)
    if isinstance(error, StatusError):
        assert_type(error.status, int)
        assert_type(error.headers, Mapping[str, str])
    if isinstance(error, RateLimitError):
        assert_type(error.retry_after, float | None)
    if isinstance(error, DecodeError):
        assert_type(error.problems, tuple[str, ...])


for body in (b'{"id": "a"}', bytearray(b'{"id": "a"}'), memoryview(b'{"id": "a"}'), '{"id": "a"}'):
    read(decode_call_log(body))
assert_type(encode_call_log(decode_call_log({"id": "a"})), dict[str, Any])
handle(DecodeError(("$: not JSON",)))
rates: Mapping[Fault, float] = {Status(503): 0.1}
assert_type(VoiceAIServer(faults=rates).call_ids(2), list[str])
