"""Each fault as it is on the wire, seen by a client that knows nothing of ours."""

from __future__ import annotations

import asyncio
import json
import pickle
from unittest.mock import Mock

import pytest
from aiohttp import web
from virtual_time import now, virtual_time

from ghl_voice_async.testing import (
    BadJSON,
    CutShort,
    Fault,
    Latency,
    ResetBeforeAnswer,
    ResetWithinAnswer,
    Silence,
    SlowDrip,
    Status,
    VoiceAIServer,
    everyday_faults,
)


async def ask(server: VoiceAIServer, connection: str = "close") -> tuple[bytes, bytes, BaseException | None]:
    """Return the head and the body as they came, and what ended the connection before its end."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    path = f"/voice-ai/dashboard/call-logs/{server.call_ids(1)[0]}?locationId={server.location_id}"
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {server.token}\r\n"
        f"Version: v3\r\nConnection: {connection}\r\n\r\n".encode()
    )
    received = b""
    failure: BaseException | None = None
    try:
        while chunk := await reader.read(65536):
            received += chunk
    except ConnectionError as error:
        failure = error
    finally:
        writer.close()
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body, failure


def stated_length(head: bytes) -> int:
    (line,) = (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return int(line.split(b":")[1])


async def test_a_status_comes_with_any_body_and_headers(server: VoiceAIServer) -> None:
    server.fail(Status(503, "<html>é", {"Retry-After": "7", "Content-Type": "text/html"}))
    server.fail(Status(204, b""))
    head, body, failure = await ask(server)
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable")
    assert b"\r\nRetry-After: 7" in head
    assert b"\r\nContent-Type: text/html" in head
    assert (body, failure) == ("<html>é".encode(), None)
    assert (await ask(server))[0].startswith(b"HTTP/1.1 204")


async def test_bad_json_claims_to_be_json() -> None:
    async with VoiceAIServer() as server:
        server.fail(BadJSON())
        head, body, failure = await ask(server)
    assert head.startswith(b"HTTP/1.1 200")
    assert b"application/json" in head
    assert b"\r\nX-RateLimit-Max: 100" in head
    assert failure is None
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


@virtual_time
async def test_latency_delays_a_whole_answer() -> None:
    async with VoiceAIServer() as server:
        server.fail(Latency(7.0))
        started = now()
        _, body, _ = await ask(server)
        assert 7 <= now() - started < 8
        assert json.loads(body) == server.call_log(server.call_ids(1)[0])


@virtual_time
async def test_silence_lasts_longer_than_any_test_yet_is_bounded() -> None:
    async with VoiceAIServer() as server:
        server.fail(Silence())
        started = now()
        await ask(server)
        assert 3600 <= now() - started < 3601


@virtual_time
async def test_a_slow_drip_gives_the_whole_answer_in_small_pieces() -> None:
    async with VoiceAIServer() as server:
        server.fail(SlowDrip(seconds=0.5, size=10))
        server.add_call_log({"id": server.call_ids(1)[0], "summary": "x" * 70})
        started = now()
        head, body, failure = await ask(server)
        assert stated_length(head) == len(body)
        assert 0.5 * len(body) / 10 <= now() - started < 0.5 * len(body) / 10 + 1
        assert failure is None
        assert b"\r\nX-RateLimit-Max: 100" in head


@virtual_time
async def test_a_body_cut_short_ends_in_an_orderly_way_before_its_length() -> None:
    async with VoiceAIServer() as server:
        server.fail(CutShort(share=0.25))
        started = now()
        head, body, failure = await ask(server, "keep-alive")
        assert now() - started < 1
    assert len(body) == int(stated_length(head) * 0.25)
    assert failure is None


async def test_a_reset_before_the_answer_leaves_nothing(server: VoiceAIServer) -> None:
    server.fail(ResetBeforeAnswer())
    head, body, failure = await ask(server)
    assert (head, body) == (b"", b"")
    assert isinstance(failure, ConnectionResetError)


async def test_a_reset_within_the_answer_comes_after_a_part_of_the_body(server: VoiceAIServer) -> None:
    server.fail(ResetWithinAnswer())
    head, body, failure = await ask(server)
    # What was sent may or may not be read before the reset is noticed.
    assert not head or len(body) < stated_length(head)
    assert isinstance(failure, ConnectionResetError)


async def test_a_client_that_has_left_already_is_not_reset() -> None:
    answer = web.Response()
    assert await ResetBeforeAnswer().play(Mock(transport=None), answer) is answer


def test_everyday_faults_share_what_is_asked_for_between_them() -> None:
    faults = everyday_faults(0.03)
    assert sum(faults.values()) == pytest.approx(0.03)
    assert len(faults) == 6


@pytest.mark.parametrize(
    "fault",
    [Status(503, "x", {"A": "b"}), BadJSON(), Latency(1.0), Silence(), SlowDrip(), CutShort(), ResetBeforeAnswer()],
    ids=repr,
)
def test_a_fault_can_be_sent_to_another_process(fault: Fault) -> None:
    assert pickle.loads(pickle.dumps(fault)) == fault
