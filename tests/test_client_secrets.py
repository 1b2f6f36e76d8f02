"""The suite looks for secrets after every test, in conftest.py; here are those that try to make one leak."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
from typing import Any

import aiohttp
import pytest
from leaks import MARKED_KEY, MARKED_NUMBER, MARKED_TRANSCRIPT, chain, check_no_leak, said_by
from virtual_time import virtual_time
from watched import QUICK, WatchedClient, client_of
from wire import CALL, LOCATION, OK, TOKEN, answer, raw_server

import ghl_voice_async as ghl
from ghl_voice_async import RetryPolicy, decode_call_log
from ghl_voice_async.testing import Silence, VoiceAIServer

CALL_LOG: dict[str, Any] = {
    "id": CALL,
    "transcript": MARKED_TRANSCRIPT,
    "summary": MARKED_TRANSCRIPT,
    "fromNumber": MARKED_NUMBER,
    "extractedData": {"note": MARKED_TRANSCRIPT},
    "executedCallActions": [
        {
            "actionType": "CUSTOM_ACTION",
            "actionParameters": {"apiDetails": {"authenticationValue": MARKED_KEY, "headers": [{"value": MARKED_KEY}]}},
        }
    ],
}
WHOLE = json.dumps(CALL_LOG).encode()
MISTYPED = json.dumps({**CALL_LOG, "duration": MARKED_TRANSCRIPT, "translation": MARKED_KEY}).encode()
ECHO = answer(b'{"message": "bad token %b"}' % TOKEN.encode(), f"X-Echo: Bearer {TOKEN}", status=f"400 {TOKEN}")


@pytest.mark.parametrize(
    "wire",
    [
        ECHO,
        answer(MISTYPED),
        answer(WHOLE[:-9]),
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + WHOLE,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + WHOLE,
        b"HTTP/1.1 200 OK\r\n\r\n" + WHOLE[:-9],
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n" + WHOLE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(WHOLE) + WHOLE + b"oops\r\n\r\n",
        b"garbage " + WHOLE + b"\r\n\r\n",
        b"HTTP/1.1 200 " + MARKED_TRANSCRIPT.encode() + b"\r\nX: \0" + WHOLE + b"\r\n\r\n",
        None,
    ],
    ids=[
        "echo",
        "mistyped",
        "half",
        "cut short",
        "not gzip",
        "no length",
        "unknown encoding",
        "bad chunk",
        "garbage",
        "bad header",
        "disconnect",
    ],
)
async def test_no_answer_brings_the_token_or_the_call_into_an_error(wire: bytes | None) -> None:
    async with raw_server(wire) as raw, client_of(raw) as client:
        with pytest.raises(ghl.GHLVoiceError) as caught:
            await client.get_call_log(CALL, LOCATION)
    check_no_leak([caught.value], [])
    assert [link for link in chain(caught.value) if not isinstance(link, ghl.GHLVoiceError)] == []
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    check_no_leak([again], [])


@virtual_time
async def test_no_timeout_close_or_refused_connection_brings_the_token_into_an_error() -> None:
    errors: list[ghl.GHLVoiceError] = []
    async with VoiceAIServer(token=TOKEN, max_requests=None) as server:
        call_id = server.call_ids(1)[0]
        server.fail(Silence(), times=100)
        async with client_of(server, timeout=5.0, retry=RetryPolicy(max_attempts=2, backoff_base=0.001)) as client:
            for deadline in (2.0, None):
                with pytest.raises(ghl.GHLVoiceError) as caught:
                    await client.get_call_log(call_id, server.location_id, deadline=deadline)
                errors.append(caught.value)
            under_way = asyncio.create_task(client.get_call_log(call_id, server.location_id))
            await asyncio.sleep(1)
            await client.aclose()
            (closed,) = await asyncio.gather(under_way, return_exceptions=True)
            errors.append(closed)  # type: ignore[arg-type]  # looked at below
    async with WatchedClient(TOKEN, base_url="http://127.0.0.1:9", retry=QUICK) as client:
        with pytest.raises(ghl.TransportError) as refused:
            await client.get_call_log(CALL, LOCATION)
        errors.append(refused.value)
    names = ["DeadlineExceededError", "AttemptTimeoutError", "ClientClosedError", "TransportError"]
    assert [type(error).__name__ for error in errors] == names
    check_no_leak(errors, [])
    assert [link for error in errors for link in chain(error) if not isinstance(link, ghl.GHLVoiceError)] == []


async def test_no_middleware_of_a_borrowed_session_brings_the_token_into_an_error() -> None:
    async def fails(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        await handler(request)
        raise aiohttp.ClientConnectionError(repr(request.headers))

    async with (
        raw_server(OK) as raw,
        aiohttp.ClientSession(middlewares=[fails]) as session,
        client_of(raw, session=session) as client,
    ):
        with pytest.raises(ghl.TransportError) as caught:
            await client.get_call_log(CALL, LOCATION)
    check_no_leak([caught.value], [])


def test_decoding_and_printing_a_call_log_shows_none_of_its_text() -> None:
    with pytest.raises(ghl.DecodeError) as caught:
        decode_call_log(MISTYPED)
    check_no_leak([caught.value], [])
    call_log = decode_call_log(WHOLE)
    shown = repr(call_log) + str(call_log) + f"{call_log}" + repr([call_log.executed_call_actions])
    for marked in (MARKED_TRANSCRIPT, MARKED_NUMBER, MARKED_KEY):
        assert marked not in shown


def leaky(where: str) -> ghl.GHLVoiceError:
    error = ghl.TransportError("x")
    match where:
        case "text":
            return ghl.TransportError(TOKEN)
        case "attribute":
            error.__dict__["token"] = TOKEN
        case "note":
            error.add_note(TOKEN)
        case "cause":
            error.__cause__ = ValueError(TOKEN)
        case "context":
            error.__context__ = ValueError(TOKEN)
    return error


@pytest.mark.parametrize("where", ["text", "attribute", "note", "cause", "context"])
def test_a_leak_would_be_found(where: str) -> None:
    # Only the check after the test must not see it, so it is made without the `__init__` that is watched.
    with pytest.MonkeyPatch.context() as unwatched:
        unwatched.setattr(ghl.GHLVoiceError, "__init__", UNWATCHED)
        error = leaky(where)
    with pytest.raises(AssertionError, match="a secret in"):
        check_no_leak([error], [])


UNWATCHED = ghl.GHLVoiceError.__init__


def test_a_leak_into_a_frame_or_a_log_would_be_found() -> None:
    frames: dict[str, Any] = {}
    exec(compile("def fail(token):\n    raise LookupError", "elsewhere.py", "exec"), frames)  # a frame of no test's
    with pytest.raises(LookupError) as caught:
        frames["fail"](TOKEN)
    assert any(TOKEN in text for text in said_by(caught.value))
    record = logging.LogRecord("x", 1, "", 1, "%s", (TOKEN,), None)
    with pytest.raises(AssertionError, match="a secret in"):
        check_no_leak([], [record])
