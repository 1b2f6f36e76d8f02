"""What type checkers make of the public surface. They read this file; the tests run it.

What they must refuse is in `refused.py`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, assert_type

from hypothesis.strategies import SearchStrategy

from ghl_voice_async import (
    ActionParameters,
    ActionType,
    AppointmentBookingActionParameters,
    AttemptTimeoutError,
    AuthenticationError,
    BadRequestError,
    CallEvent,
    CallLog,
    CallLogResult,
    CallRef,
    CallTransferActionParameters,
    ClientClosedError,
    CustomActionApiDetails,
    CustomActionHeader,
    CustomActionParameter,
    CustomActionParameters,
    DailyLimitError,
    DataExtractionActionParameters,
    DeadlineExceededError,
    DecodeError,
    ExecutedCallAction,
    GHLVoiceError,
    Hook,
    InCallDataExtractionActionParameters,
    InvalidInputError,
    KnowledgeBaseParameters,
    LimitEvent,
    NotFoundError,
    PermissionDeniedError,
    Permit,
    RateLimit,
    RateLimiter,
    RateLimitError,
    RateLimitState,
    RequestEvent,
    ResponseEvent,
    RetryEvent,
    RetryPolicy,
    ServerError,
    SMSParameters,
    StatusError,
    TokenProvider,
    Translation,
    TransportError,
    UnknownActionParameters,
    UnprocessableEntityError,
    VoiceAIClient,
    WindowRateLimiter,
    WorkflowTriggerParameters,
    __version__,
    decode_call_log,
    encode_call_log,
)
from ghl_voice_async.testing import (
    BadJSON,
    CloseAfterAnswer,
    CloseBeforeAnswer,
    CutShort,
    Fault,
    Latency,
    Oversized,
    Raw,
    ResetBeforeAnswer,
    ResetWithinAnswer,
    Seen,
    SeenRequest,
    Silence,
    SlowDrip,
    Status,
    StrayBytes,
    VoiceAIServer,
    VoiceAIServerProcess,
    WithHeaders,
    everyday_faults,
    make_call_log,
    running_in_thread,
)
from ghl_voice_async.testing.strategies import call_log_payloads, call_logs

if TYPE_CHECKING:
    from aiohttp import ClientSession, web

assert_type(__version__, str)


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
    assert_type(event.method, str)
    assert_type(event.path_template, str)
    assert_type(event.call_id, str)
    assert_type(event.location_id, str)
    assert_type(event.attempt, int)
    match event:
        case RequestEvent():
            pass
        case ResponseEvent():
            assert_type(event.status, int | None)
            assert_type(event.error, str | None)
            assert_type(event.seconds, float)
        case RetryEvent():
            assert_type(event.status, int | None)
            assert_type(event.error, str)
            assert_type(event.reason, str)
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
    VoiceAIClient(token="pit", api_version="v3", timeout=5, max_connections=10, session=None),
]


def set_policies(policy: RetryPolicy, limit: RateLimit) -> None:
    assert_type(policy.max_attempts, int)
    assert_type(policy.backoff_base, float)
    assert_type(policy.backoff_cap, float)
    assert_type(policy.max_elapsed, float)
    assert_type(policy.retry_statuses, frozenset[int])
    assert_type(limit.max_requests, int)
    assert_type(limit.interval, float)
    assert_type(limit.daily, int)


async def fetch(client: VoiceAIClient) -> CallLog:
    client.add_hook(hook)
    client.add_hook(lambda event: event.path_template)
    async with client as entered:
        assert_type(entered, VoiceAIClient)
        call = await client.get_call_log("call", "location", deadline=3.0)
        assert_type(client.rate_limits, dict[str, RateLimitState])
    assert_type(call, CallLog)
    return call


async def fetch_with_a_session_of_ones_own(session: ClientSession) -> None:
    client = VoiceAIClient("pit", session=session)
    await client.get_call_log("call", "location")
    await client.aclose()


async def limit(limiter: WindowRateLimiter) -> None:
    assert_type(limiter.rate_limit, RateLimit)
    assert_type(limiter.rate_limits, dict[str, RateLimitState])
    assert_type(limiter.acquire_at_once("location", max_pause=1.0), Permit | None)
    permit = await limiter.acquire("location")
    assert_type(permit, Permit)
    permit.release(status=200, headers={"X-RateLimit-Remaining": "3"})
    permit.cancel()
    for state in limiter.rate_limits.values():
        assert_type(state.limit, int)
        assert_type(state.interval, float)
        assert_type(state.in_use, int)
        assert_type(state.waiting, int)
        assert_type(state.remaining, int | None)
        assert_type(state.paused_until, datetime | None)
        assert_type(state.daily_remaining, int)


async def numbers() -> AsyncIterator[str]:
    yield "call"


async def references() -> AsyncGenerator[CallRef, None]:
    yield CallRef("call", "location")


async def fetch_many(client: VoiceAIClient, ids: dict[str, int], pairs: Iterator[tuple[str, str]]) -> None:
    assert_type(client.fetch_call_logs(["call"], "location"), AsyncGenerator[CallLogResult, None])
    client.fetch_call_logs([CallRef("call", "location"), ("call", "location"), "call"], "location", ordered=True)
    client.fetch_call_logs({"call", "other"}, "location", concurrency=8, look_ahead=100)
    client.fetch_call_logs(ids, "location")
    client.fetch_call_logs(pairs)
    client.fetch_call_logs(references())
    async for result in client.fetch_call_logs(numbers(), "location"):
        keep(result)


def keep(result: CallLogResult) -> None:
    assert_type(result.index, int)
    assert_type(result.ref, CallRef)
    assert_type(result.ref.call_id, str)
    assert_type(result.ref.location_id, str)
    assert_type(result.call_id, str)
    assert_type(result.location_id, str)
    assert_type(result.call_log, CallLog | None)
    assert_type(result.error, Exception | None)
    assert_type(result.ok, bool)
    assert_type(result.unwrap(), CallLog)
    if result.call_log is not None:
        assert_type(result.call_log, CallLog)


keep(CallLogResult(0, CallRef("call", "location"), call_log=CallLog(id="call")))


def read(call: CallLog) -> None:
    assert_type(call.id, str)
    assert_type(call.contact_id, str | None)
    assert_type(call.agent_id, str | None)
    assert_type(call.is_agent_deleted, bool | None)
    assert_type(call.from_number, str | None)
    assert_type(call.created_at, datetime | None)
    assert_type(call.duration, float | None)
    assert_type(call.trial_call, bool | None)
    assert_type(call.executed_call_actions, list[ExecutedCallAction])
    assert_type(call.summary, str | None)
    assert_type(call.transcript, str | None)
    assert_type(call.translation, Translation | None)
    assert_type(call.extracted_data, dict[str, Any] | None)
    assert_type(call.message_id, str | None)
    assert_type(call.extra, dict[str, Any])
    if call.translation is not None:
        assert_type(call.translation.enabled, bool | None)
        assert_type(call.translation.language, str | None)
        assert_type(call.translation.extra, dict[str, Any])
    for action in call.executed_call_actions:
        assert_type(action.action_id, str | None)
        assert_type(action.action_type, ActionType | str | None)
        assert_type(action.action_name, str | None)
        assert_type(action.action_parameters, ActionParameters | None)
        assert_type(action.executed_at, datetime | None)
        assert_type(action.trigger_received_at, datetime | None)
        assert_type(action.extra, dict[str, Any])
        if action.action_parameters is not None:
            assert_type(action.action_parameters.extra, dict[str, Any])
            read_parameters(action.action_parameters)


def read_parameters(parameters: ActionParameters) -> None:
    match parameters:
        case CallTransferActionParameters():
            assert_type(parameters.trigger_prompt, str | None)
            assert_type(parameters.transfer_to_type, str | None)
            assert_type(parameters.transfer_to_value, str | None)
            assert_type(parameters.trigger_message, str | None)
            assert_type(parameters.hear_whisper_message, bool | None)
        case InCallDataExtractionActionParameters() | DataExtractionActionParameters():
            assert_type(parameters.contact_field_id, str | None)
            assert_type(parameters.description, str | None)
            assert_type(parameters.examples, list[str])
            assert_type(parameters.overwrite_existing_value, bool | None)
        case WorkflowTriggerParameters():
            assert_type(parameters.trigger_prompt, str | None)
            assert_type(parameters.trigger_message, str | None)
            assert_type(parameters.workflow_id, str | None)
        case SMSParameters():
            assert_type(parameters.trigger_prompt, str | None)
            assert_type(parameters.trigger_message, str | None)
            assert_type(parameters.message_body, str | None)
        case AppointmentBookingActionParameters():
            assert_type(parameters.calendar_id, str | None)
            assert_type(parameters.days_of_offering_dates, float | None)
            assert_type(parameters.slots_per_day, float | None)
            assert_type(parameters.hours_between_slots, float | None)
        case CustomActionParameters():
            assert_type(parameters.trigger_prompt, str | None)
            assert_type(parameters.trigger_message, str | None)
            assert_type(parameters.api_details, CustomActionApiDetails | None)
            assert_type(parameters.selected_paths, list[str])
        case KnowledgeBaseParameters():
            assert_type(parameters.trigger_prompt, str | None)
            assert_type(parameters.knowledge_base_id, str | None)
        case UnknownActionParameters():
            assert_type(parameters.extra, dict[str, Any])


def read_api_details(details: CustomActionApiDetails) -> None:
    assert_type(details.url, str | None)
    assert_type(details.method, str | None)
    assert_type(details.authentication_required, bool | None)
    assert_type(details.authentication_value, str | None)
    assert_type(details.headers, list[CustomActionHeader])
    assert_type(details.parameters, list[CustomActionParameter])
    assert_type(details.extra, dict[str, Any])
    for header in details.headers:
        assert_type(header.key, str | None)
        assert_type(header.value, str | None)
        assert_type(header.extra, dict[str, Any])
    for parameter in details.parameters:
        assert_type(parameter.name, str | None)
        assert_type(parameter.description, str | None)
        assert_type(parameter.type, str | None)
        assert_type(parameter.example, str | None)
        assert_type(parameter.extra, dict[str, Any])


for body in (b'{"id": "a"}', bytearray(b'{"id": "a"}'), memoryview(b'{"id": "a"}'), '{"id": "a"}'):
    read(decode_call_log(body))
assert_type(encode_call_log(decode_call_log({"id": "a"})), dict[str, Any])


def handle(error: GHLVoiceError) -> None:
    assert_type(error.call_id, str | None)
    assert_type(error.location_id, str | None)
    assert_type(error.attempts, int)
    match error:
        case RateLimitError():
            assert_type(error.retry_after, float | None)
        case StatusError():
            assert_type(error.status, int)
            assert_type(error.message, str)
            assert_type(error.body, str)
            assert_type(error.headers, Mapping[str, str])
        case TransportError():
            assert_type(error.retryable, bool)
            assert_type(error.was_kept, bool)
        case DecodeError():
            assert_type(error.problems, tuple[str, ...])
        case _:
            pass


# What an `except` for the one on the right catches.
roots: dict[type[GHLVoiceError], type[Exception]] = {
    InvalidInputError: ValueError,
    ClientClosedError: RuntimeError,
    DeadlineExceededError: TimeoutError,
}
timeout: type[TransportError] = AttemptTimeoutError
daily: type[RateLimitError] = DailyLimitError
statuses: list[type[StatusError]] = [
    BadRequestError,
    AuthenticationError,
    PermissionDeniedError,
    NotFoundError,
    UnprocessableEntityError,
    RateLimitError,
    ServerError,
]
# As they are made in the tests of those who handle them.
handle(DecodeError(("$: not JSON",), call_id="call"))
handle(NotFoundError("no such call", status=404, call_id="call", location_id="location", attempts=1))
handle(RateLimitError("slow down", status=429, retry_after=2.0, headers={"Retry-After": "2"}, body="{}"))
handle(TransportError("refused", retryable=False))


class Teapot(Fault):
    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        answer.set_status(418)
        return answer


faults: list[Fault] = [
    Teapot(),
    BadJSON(),
    BadJSON(b"{"),
    CloseAfterAnswer(),
    CloseBeforeAnswer(),
    CutShort(),
    CutShort(0.1, framing="gzip"),
    Latency(2),
    Oversized(100, gzip=True),
    Raw(b"\x00"),
    ResetBeforeAnswer(),
    ResetWithinAnswer(),
    Silence(),
    SlowDrip(),
    SlowDrip(seconds=0.1, size=10),
    Status(503),
    Status(429, "{}", headers={"Retry-After": "2"}),
    StrayBytes(),
    WithHeaders({"X-RateLimit-Max": "5"}),
]
of_one_kind = {Status(503): 0.1, Status(502): 0.1}
of_two_kinds = {Status(503): 0.1, SlowDrip(): 0.1}
of_any_kind: Mapping[Fault, float] = {Status(503): 0.1, SlowDrip(): 0.1}
assert_type(everyday_faults(0.03), dict[Fault, float])
servers = [
    VoiceAIServer(),
    VoiceAIServer(faults=of_one_kind),
    VoiceAIServer(faults=of_two_kinds),
    VoiceAIServer(faults=of_any_kind),
    VoiceAIServer(faults=everyday_faults(0.03)),
    VoiceAIServer(faults={Status(503): 0.1, SlowDrip(): 0.1}),
    VoiceAIServer(seed=1, token="pit", max_requests=None, interval=1, daily=10, port=8080),
    VoiceAIServer(window="fixed", window_start=2.5, limit_headers=False, retry_after=True, faults=None),
]


async def serve(server: VoiceAIServer) -> None:
    async with server as entered:
        assert_type(entered, VoiceAIServer)
        assert_type(server.url, str)
    await server.start()
    await server.aclose()


def use(server: VoiceAIServer) -> None:
    assert_type(server.token, str)
    assert_type(server.location_id, str)
    assert_type(server.seed, int)
    assert_type(server.call_ids(2, "location"), list[str])
    assert_type(server.call_log("call", "location"), dict[str, Any])
    assert_type(server.add_call_log(make_call_log("call", "location", seed=1)), str)
    server.fail(Status(503), times=2, call_id="call", location_id="location")
    server.start_new_day()
    look_at(server.seen)


def look_at(seen: Seen) -> None:
    assert_type(seen.requests, int)
    assert_type(seen.refused, int)
    assert_type(seen.statuses, Counter[int])
    assert_type(seen.faults, Counter[str])
    assert_type(seen.calls, Counter[str])
    assert_type(seen.locations, Counter[str])
    assert_type(seen.latest, deque[SeenRequest])
    for request in seen.latest:
        assert_type(request.path, str)
        assert_type(request.call_id, str)
        assert_type(request.location_id, str)
        assert_type(request.headers, Mapping[str, str])


def use_from_outside() -> None:
    with running_in_thread(VoiceAIServer()) as server:
        assert_type(server, VoiceAIServer)
    with VoiceAIServerProcess(max_requests=None) as process:
        assert_type(process, VoiceAIServerProcess)
        assert_type(process.url, str)
        assert_type(process.token, str)
        assert_type(process.twin, VoiceAIServer)
        assert_type(process.stop(), Seen)


def use_in_a_test(voice_ai_server: VoiceAIServer) -> None:
    assert_type(voice_ai_server.url, str)


assert_type(call_log_payloads(), SearchStrategy[dict[str, Any]])
assert_type(call_logs(), SearchStrategy[CallLog])
