"""Each fault as it is on the wire, seen by a client that knows nothing of ours."""

from __future__ import annotations

import asyncio
import gzip
import json
import pickle
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from aiohttp import web
from virtual_time import now, virtual_time

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
    Silence,
    SlowDrip,
    Status,
    StrayBytes,
    VoiceAIServer,
    WithHeaders,
    everyday_faults,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ghl_voice_async.testing.faults import Framing


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


@pytest.mark.parametrize(
    ("framing", "head_has", "head_has_not"),
    [
        ("length", b"\r\nContent-Length: ", b"Transfer-Encoding"),
        ("chunked", b"\r\nTransfer-Encoding: chunked", b"Content-Length"),
        ("close", b"\r\nContent-Type: application/json", b"Content-Length"),
        ("gzip", b"\r\nContent-Encoding: gzip", b"Content-Length"),
    ],
)
async def test_a_body_can_be_cut_short_in_every_framing(
    server: VoiceAIServer, framing: Framing, head_has: bytes, head_has_not: bytes
) -> None:
    server.fail(CutShort(0.5, framing))
    head, body, failure = await ask(server, "keep-alive")
    assert head_has in head
    assert head_has_not not in head
    assert failure is None
    whole = json.dumps(server.call_log(server.call_ids(1)[0])).encode()
    if framing == "gzip":
        assert body == gzip.compress(whole)[: len(body)]
    else:
        assert body.removeprefix(b"%x\r\n" % len(whole)) == whole[: len(whole) // 2]


@pytest.mark.parametrize("folded", [False, True])
async def test_an_oversized_body_has_as_many_zeros_as_asked_for(server: VoiceAIServer, folded: bool) -> None:
    server.fail(Oversized(200_000, gzip=folded))
    head, body, failure = await ask(server)
    assert failure is None
    if folded:
        assert b"Content-Encoding: gzip" in head
        assert len(body) < 2000
        parts = body.split(b"\r\n")  # chunks, each after its size
        body = gzip.decompress(b"".join(parts[1::2]))
    else:
        assert stated_length(head) == 200_000
    assert body == bytes(200_000)


async def test_raw_bytes_arrive_as_they_are(server: VoiceAIServer) -> None:
    server.fail(Raw(b"HTTP/9.9 hello\r\n\r\n\0"))
    assert await ask(server, "keep-alive") == (b"HTTP/9.9 hello", b"\0", None)


@virtual_time
async def test_stray_bytes_come_right_behind_the_answer_on_a_connection_that_stays_open() -> None:
    async with VoiceAIServer() as server:
        server.fail(StrayBytes(b"more"))
        started = now()
        head, body, _ = await ask(server, "keep-alive")
        assert now() - started >= 3600
    assert b"X-RateLimit-Max: 100" in head
    assert len(body) >= stated_length(head) + 4
    assert body[stated_length(head) :].startswith(b"more")


@pytest.mark.parametrize(("fault", "answered"), [(CloseAfterAnswer(), True), (CloseBeforeAnswer(), False)])
async def test_a_connection_can_be_closed_without_a_word(server: VoiceAIServer, fault: Fault, answered: bool) -> None:
    server.fail(fault)
    head, body, failure = await ask(server, "keep-alive")
    assert failure is None
    assert b"Connection: close" not in head
    assert bool(body) is bool(head) is answered
    if answered:
        assert json.loads(body) == server.call_log(server.call_ids(1)[0])
    assert server.seen.statuses == ({200: 1} if answered else {})


async def test_headers_can_be_changed_and_taken_away() -> None:
    async with VoiceAIServer() as server:
        server.fail(WithHeaders({"X-RateLimit-Max": "7", "X-RateLimit-Remaining": "", "X-New": "1"}))
        head, body, _ = await ask(server)
    assert b"\r\nX-RateLimit-Max: 7" in head
    assert b"\r\nX-New: 1" in head
    assert b"X-RateLimit-Remaining" not in head
    assert json.loads(body) == server.call_log(server.call_ids(1)[0])


@pytest.mark.parametrize("fault", [ResetBeforeAnswer(), CloseBeforeAnswer(), Raw(b"x")])
async def test_a_client_that_has_left_already_is_left_alone(fault: Fault) -> None:
    answer = web.Response()
    assert await fault.play(Mock(transport=None), answer) is answer


def test_everyday_faults_share_what_is_asked_for_between_them() -> None:
    faults = everyday_faults(0.03)
    assert sum(faults.values()) == pytest.approx(0.03)
    assert len(faults) == 6


@pytest.mark.parametrize(
    "fault",
    [
        Status(503, "x", {"A": "b"}),
        BadJSON(),
        Latency(1.0),
        Silence(),
        SlowDrip(),
        CutShort(0.1, "gzip"),
        Oversized(7, gzip=True),
        Raw(b"x"),
        StrayBytes(),
        WithHeaders({"A": "b"}),
        CloseAfterAnswer(),
        CloseBeforeAnswer(),
        ResetBeforeAnswer(),
        ResetWithinAnswer(),
    ],
    ids=repr,
)
def test_a_fault_can_be_sent_to_another_process(fault: Fault) -> None:
    assert pickle.loads(pickle.dumps(fault)) == fault


@pytest.mark.parametrize(
    "make",
    [
        lambda: Status("503"),  # type: ignore[arg-type]  # the point, here and below
        lambda: Status(100),
        lambda: Status(600),
        lambda: Status(503, 7),  # type: ignore[arg-type]
        lambda: BadJSON("text"),  # type: ignore[arg-type]
        lambda: Latency(-1),
        lambda: Latency(float("nan")),
        lambda: Latency("1"),  # type: ignore[arg-type]
        lambda: SlowDrip(size=0),
        lambda: CutShort(1.0),
        lambda: CutShort(0.5, "lenght"),  # type: ignore[arg-type]
        lambda: Oversized(0),
        lambda: Raw("text"),  # type: ignore[arg-type]
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(make: Callable[[], Fault]) -> None:
    with pytest.raises((TypeError, ValueError)):
        make()


class Mine(Fault):
    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        return web.Response(status=418)


async def test_a_fault_of_ones_own_can_be_played(server: VoiceAIServer) -> None:
    server.fail(Mine())
    assert (await ask(server))[0].startswith(b"HTTP/1.1 418")
    assert (server.seen.statuses, server.seen.faults) == ({}, {"Mine": 1})
