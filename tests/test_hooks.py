from __future__ import annotations

import asyncio
import functools
import logging
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from virtual_time import virtual_time
from watched import client_of

import ghl_voice_async as ghl
from ghl_voice_async import (
    CallEvent,
    LimitEvent,
    RateLimit,
    RequestEvent,
    ResponseEvent,
    RetryEvent,
    RetryPolicy,
    WindowRateLimiter,
)
from ghl_voice_async.hooks import log_retry
from ghl_voice_async.testing import ResetBeforeAnswer, Silence, Status, VoiceAIServer

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "/voice-ai/dashboard/call-logs/{callId}"


def short(event: CallEvent) -> tuple[Any, ...]:
    match event:
        case ResponseEvent(status=status, error=error):
            return "response", event.attempt, status, error
        case RetryEvent(status=status, error=error, delay=delay):
            return "retry", event.attempt, status, error, delay
        case LimitEvent(waited=waited):
            return "limit", event.attempt, round(waited, 2)
        case _:
            assert type(event) is RequestEvent
            return "request", event.attempt


@virtual_time
async def test_hooks_are_told_of_every_request_response_retry_and_wait() -> None:
    events: list[CallEvent] = []
    async with VoiceAIServer(max_requests=None) as server:
        limiter = WindowRateLimiter(RateLimit(max_requests=2, interval=10.0))
        policy = RetryPolicy(backoff_base=1e-9)
        async with client_of(server, rate_limit=limiter, retry=policy) as client:
            client.add_hook(events.append)
            server.fail(Status(503, headers={"Retry-After": "2"}))
            server.fail(ResetBeforeAnswer())
            call_id = server.call_ids(1)[0]
            await client.get_call_log(call_id, server.location_id)
    assert [short(event) for event in events] == [
        ("request", 1),
        ("response", 1, 503, None),
        ("retry", 1, 503, "ServerError", pytest.approx(2.0)),
        ("request", 2),
        ("response", 2, None, "TransportError"),
        ("retry", 2, None, "TransportError", pytest.approx(0.0, abs=1e-6)),
        ("limit", 3, pytest.approx(8.0, abs=0.1)),
        ("request", 3),
        ("response", 3, 200, None),
    ]
    for event in events:
        assert (event.method, event.path_template) == ("GET", PATH)
        assert (event.call_id, event.location_id) == (call_id, server.location_id)
        assert pickle.loads(pickle.dumps(event)) == event


@virtual_time
async def test_a_request_that_is_given_up_has_its_response_event_too() -> None:
    events: list[CallEvent] = []
    async with VoiceAIServer(max_requests=None) as server, client_of(server) as client:
        client.add_hook(events.append)
        server.fail(Silence())
        with pytest.raises(ghl.DeadlineExceededError):
            await client.get_call_log(server.call_ids(1)[0], server.location_id, deadline=5.0)
    request, response = events
    assert isinstance(request, RequestEvent)
    assert isinstance(response, ResponseEvent)
    assert (response.status, response.error) == (None, "CancelledError")
    assert 5 <= response.seconds < 5.1


def raises_error(event: CallEvent) -> None:
    raise RuntimeError(event)


def raises_cancelled(event: CallEvent) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("hook", [raises_error, raises_cancelled])
async def test_promise_44_a_hook_that_raises_changes_nothing_and_is_logged_once(
    server: VoiceAIServer, hook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    after: list[CallEvent] = []
    server.fail(Status(503), times=2)
    async with client_of(server) as client:
        client.add_hook(hook)
        client.add_hook(after.append)
        call_id = server.call_ids(1)[0]
        assert (await client.get_call_log(call_id, server.location_id)).id == call_id
        with pytest.raises(ghl.NotFoundError):
            await client.get_call_log("nothing", server.location_id)
    assert len(after) == 3 + 3 + 2 + 2
    (record,) = [record for record in caplog.records if record.name == "ghl_voice_async" and record.levelno > 20]
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("a hook raised at a RequestEvent; the call goes on")
    assert record.exc_info is not None


async def test_promise_44_what_ends_the_program_is_not_kept_from_it(server: VoiceAIServer) -> None:
    class TheEnd(BaseException):
        pass

    def end(event: CallEvent) -> None:
        raise TheEnd

    async with client_of(server) as client:
        client.add_hook(end)
        with pytest.raises(TheEnd):
            await client.get_call_log(server.call_ids(1)[0], server.location_id)


class Broken(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError(record.msg)


@pytest.fixture
def broken_logging() -> Iterator[None]:
    logger, broken = logging.getLogger("ghl_voice_async"), Broken()
    logger.addHandler(broken)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(broken)
        logger.setLevel(logging.NOTSET)


@pytest.mark.usefixtures("broken_logging")
async def test_promise_44_a_logging_handler_that_raises_changes_nothing(server: VoiceAIServer) -> None:
    server.fail(Status(503), times=2)
    async with client_of(server) as client:
        client.add_hook(raises_error)
        call_id = server.call_ids(1)[0]
        assert (await client.get_call_log(call_id, server.location_id)).id == call_id


class AsyncCallable:
    async def __call__(self, event: CallEvent) -> None: ...


async def async_function(event: CallEvent) -> None: ...


@pytest.mark.parametrize(
    ("hook", "why"),
    [
        (None, "a function of one event, not NoneType"),
        (7, "a function of one event, not int"),
        (async_function, "not async"),
        (AsyncCallable(), "not async"),
        (functools.partial(async_function), "not async"),
    ],
)
def test_what_cannot_be_called_between_two_awaits_is_refused(hook: Any, why: str) -> None:
    with pytest.raises(ghl.InvalidInputError, match=why):
        ghl.VoiceAIClient("pit-x").add_hook(hook)


async def test_a_retry_is_one_line_at_info_that_names_no_call(
    server: VoiceAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "ghl_voice_async")
    server.fail(Status(503))
    server.fail(ResetBeforeAnswer())
    async with client_of(server) as client:
        await client.get_call_log(server.call_ids(1)[0], server.location_id)
    records = [record for record in caplog.records if record.name == "ghl_voice_async"]
    assert [(record.levelname, record.getMessage()) for record in records] == [
        ("INFO", f"GET {PATH}: attempt 1 of 5 failed with 503 (ServerError); the next one is in 0.00 s"),
        ("INFO", f"GET {PATH}: attempt 2 of 5 failed with no answer (TransportError); the next one is in 0.00 s"),
    ]


def test_the_wait_is_logged_in_seconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ghl_voice_async")
    event = RetryEvent(
        method="GET", path_template=PATH, call_id="c", location_id="l", attempt=3, status=429, error="E", delay=2.346
    )
    log_retry(event, attempt=2, max_attempts=7)
    assert caplog.messages == [f"GET {PATH}: attempt 2 of 7 failed with 429 (E); the next one is in 2.35 s"]


def test_the_library_sets_up_no_logging_but_a_null_handler() -> None:
    logger = logging.getLogger("ghl_voice_async")
    assert [type(handler) for handler in logger.handlers] == [logging.NullHandler]
    assert logger.level == logging.NOTSET
    assert logger.propagate
