from __future__ import annotations

import asyncio
import traceback
from pathlib import Path
from typing import Any

import pytest
from lossless import normal
from virtual_time import now, virtual_time, without_debugging
from watched import client_of
from wire import CALL, LOCATION, TOKEN, raw_server

import ghl_voice_async as ghl
from ghl_voice_async import VoiceAIClient, encode_call_log
from ghl_voice_async.testing import (
    CutShort,
    Latency,
    ResetBeforeAnswer,
    ResetWithinAnswer,
    Silence,
    SlowDrip,
    Status,
    VoiceAIServer,
)

PACKAGE = Path(ghl.__file__).parent


async def test_a_call_log_arrives_whole(server: VoiceAIServer) -> None:
    async with client_of(server) as client:
        for call_id in server.call_ids(20):
            call = await client.get_call_log(call_id, server.location_id)
            assert normal(encode_call_log(call)) == normal(server.call_log(call_id))


async def test_the_request_is_the_documented_one(server: VoiceAIServer) -> None:
    async with client_of(server, api_version="v3") as client:
        call_id = server.call_ids(1)[0]
        await client.get_call_log(call_id, server.location_id)
    (seen,) = server.seen.latest
    assert seen.path == f"/voice-ai/dashboard/call-logs/{call_id}?locationId={server.location_id}"
    assert seen.headers["Version"] == "v3"
    assert seen.headers["Authorization"] == f"Bearer {server.token}"


async def test_the_token_is_read_from_the_environment(server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GHL_ACCESS_TOKEN", server.token)
    async with VoiceAIClient(base_url=server.url) as client:
        await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert server.seen.statuses == {200: 1}


async def test_a_thousand_calls_share_one_client(server: VoiceAIServer) -> None:
    without_debugging()
    async with client_of(server) as client:
        ids = server.call_ids(1000)
        calls = await asyncio.gather(*(client.get_call_log(call_id, server.location_id) for call_id in ids))
    assert [call.id for call in calls] == ids
    assert server.seen.requests == 1000


@pytest.mark.parametrize(
    "fault",
    [
        Status(503, "<html>"),
        Status(429),
        Status(520),
        ResetBeforeAnswer(),
        ResetWithinAnswer(),
        CutShort(),
        Latency(0.01),
    ],
    ids=repr,
)
async def test_a_fault_that_passes_costs_an_attempt_and_no_error(server: VoiceAIServer, fault: Any) -> None:
    server.fail(fault)
    async with client_of(server) as client:
        call_id = server.call_ids(1)[0]
        assert (await client.get_call_log(call_id, server.location_id)).id == call_id
    assert server.seen.requests == (1 if isinstance(fault, Latency) else 2)
    assert server.seen.faults.total() == 1


@pytest.mark.parametrize("fault", [Silence(), SlowDrip()], ids=repr)
def test_a_server_that_is_too_slow_costs_an_attempt_and_no_error(fault: Any) -> None:
    @virtual_time
    async def scenario() -> None:
        async with VoiceAIServer() as server, client_of(server, timeout=10.0) as client:
            server.fail(fault)
            started = now()
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
            assert 10 <= now() - started < 11
            assert server.seen.requests == 2

    scenario()


async def test_promise_7_json_without_a_type_is_parsed() -> None:
    body = b'{"id": "1"}'
    wire = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    async with raw_server(wire) as raw, VoiceAIClient(TOKEN, base_url=raw.url) as client:
        assert (await client.get_call_log(CALL, LOCATION)).id == "1"


@pytest.mark.parametrize("bad", ["", "..", "a/b", "a?b", None, 7])
async def test_promise_23_a_bad_id_is_refused_before_anything_is_sent(server: VoiceAIServer, bad: Any) -> None:
    async with client_of(server) as client:
        with pytest.raises(ghl.InvalidInputError, match="call_id"):
            await client.get_call_log(bad, server.location_id)
        with pytest.raises(ghl.InvalidInputError, match="location_id"):
            await client.get_call_log("abc", bad)
    assert server.seen.requests == 0


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"token": ""}, "the token is empty"),
        ({"token": None}, "the token is empty"),
        ({"token": "pit-marked\r\nX: 1"}, "the token has a space"),
        ({"token": 7}, "token must be a str or a TokenProvider, not int"),
        ({"base_url": "http://example.com"}, "base_url"),
        ({"api_version": ""}, "api_version"),
        ({"timeout": 0}, "timeout must be a finite"),
        ({"timeout": float("nan")}, "timeout must be a finite"),
        ({"timeout": None}, "timeout must be a number"),
        ({"max_connections": 0}, "max_connections must be at least 1"),
        ({"retry": None}, "retry must be a RetryPolicy, not NoneType"),
        ({"rate_limit": 100}, "rate_limit must be a RateLimit, a RateLimiter or None, not int"),
    ],
)
def test_promise_24_bad_settings_are_refused_at_once_and_never_show_the_token(
    settings: dict[str, Any], why: str
) -> None:
    with pytest.raises(ghl.InvalidInputError, match=why) as caught:
        VoiceAIClient(**{"token": TOKEN, **settings})
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in shown.stack if Path(frame.filename).is_relative_to(PACKAGE)]
    assert "marked" not in str(caught.value) + repr([frame.locals for frame in ours])


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf"), "5", True])
async def test_a_bad_deadline_is_refused(server: VoiceAIServer, bad: Any) -> None:
    async with client_of(server) as client:
        with pytest.raises(ghl.InvalidInputError, match="deadline"):
            await client.get_call_log("abc", "LOC", deadline=bad)
    assert server.seen.requests == 0


def test_a_client_can_be_made_without_a_running_loop_and_shows_no_token() -> None:
    assert repr(VoiceAIClient(TOKEN)) == "<VoiceAIClient of https://services.leadconnectorhq.com>"
