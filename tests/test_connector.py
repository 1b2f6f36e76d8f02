"""What arrives on a connection, in pieces that only a test can arrange."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from itertools import pairwise
from typing import TYPE_CHECKING
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp.http_exceptions import HttpProcessingError
from hypothesis import given
from hypothesis import strategies as st
from stray_responses import FRAMINGS, call_log_body, chunked, sized

from ghl_voice_async.connector import Connector, KeptConnectionLostError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp.client_proto import ResponseHandler

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: y\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.fixture
async def protocol() -> AsyncIterator[ResponseHandler]:
    connector = Connector()
    protocol = connector._factory()
    protocol.connection_made(Mock(spec=asyncio.Transport))
    yield protocol
    await connector.close()


async def receive(protocol: ResponseHandler, *pieces: bytes) -> bytes:
    """Return the body of the answer that comes in these pieces."""
    protocol.set_response_params(read_until_eof=True)
    for piece in pieces:
        protocol.data_received(piece)
    _, payload = await protocol.read()
    return await asyncio.wait_for(payload.read(), 1)


@pytest.mark.parametrize(
    ("pieces", "kept", "closed"),
    [
        ([HEAD + b"body"], True, False),
        ([HEAD, b"body"], True, False),
        ([HEAD[:20], HEAD[20:], b"bo", b"dy"], True, False),
        ([HEAD[:-2], HEAD[-2:] + b"body"], True, False),
        ([HEAD + b"body" + b"stray"], False, False),
        ([HEAD, b"bodystray"], False, False),
        ([HEAD[:20], HEAD[20:] + b"bodystray"], False, False),
        ([HEAD + b"bo", b"dystray", b"more"], False, True),
        ([HEAD + b"body", b"stray"], False, True),
        ([HEAD.lower().replace(b"http", b"HTTP") + b"bodystray"], False, False),
    ],
)
async def test_promise_17_an_answer_of_a_stated_length_is_whole_whatever_follows_it(
    protocol: ResponseHandler, pieces: list[bytes], kept: bool, closed: bool
) -> None:
    transport = protocol.transport
    assert isinstance(transport, Mock)
    assert await receive(protocol, *pieces) == b"body"
    assert protocol.should_close is not kept
    assert transport.abort.called is closed


@given(
    framing=st.sampled_from(FRAMINGS),
    interim=st.lists(st.sampled_from([b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n", CONTINUE]), max_size=3),
    stray=st.sampled_from([b"", b"\r\n", b"stray", sized(b"{}"), chunked(b"{}") * 50, CONTINUE]),
    cuts=st.lists(st.integers(0, 300), max_size=8),
)
def test_guarantee_17_a_response_is_whole_however_it_is_cut_and_whatever_follows(
    framing: Callable[[bytes], bytes], interim: list[bytes], stray: bytes, cuts: list[int]
) -> None:
    data = b"".join(interim) + framing(call_log_body("asked-for")) + stray
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in pairwise(places)]

    async def scenario() -> tuple[bytes, bool]:
        connector = Connector()
        protocol = connector._factory()
        protocol.connection_made(Mock(spec=asyncio.Transport))
        body = await receive(protocol, *pieces)
        await connector.close()
        return body, protocol.should_close

    body, should_close = asyncio.run(scenario())

    body = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    assert json.loads(body)["id"] == "asked-for"
    assert should_close is bool(stray)


@pytest.mark.parametrize("blank_line", [b"\n\n", b"\n\r\n", b"\r\n\n"])
@pytest.mark.parametrize("before", [b"", b"\r\n"])
async def test_an_interim_response_may_have_bare_line_feeds(
    protocol: ResponseHandler, before: bytes, blank_line: bytes
) -> None:
    interim = before + b"HTTP/1.1 103 Early Hints\nLink: </style.css>" + blank_line

    assert await receive(protocol, interim + HEAD + b"body") == b"body"
    assert await receive(protocol, *(bytes([byte]) for byte in interim + HEAD), b"body") == b"body"


@pytest.mark.parametrize("blank_line", [b"\n\n", b"\n\r\n", b"\r\n\n"])
@pytest.mark.parametrize("stray", [b"", sized(b"{}")])
async def test_a_head_may_end_with_bare_line_feeds(protocol: ResponseHandler, blank_line: bytes, stray: bytes) -> None:
    """Python's development mode has aiohttp's parser refuse it."""
    response = receive(protocol, b"HTTP/1.1 200 OK\nContent-Length: 4" + blank_line + b"body" + stray)

    if sys.flags.dev_mode:
        with pytest.raises(HttpProcessingError):
            await response
    else:
        assert await response == b"body"
        assert protocol.should_close is bool(stray)


@pytest.mark.parametrize("head", [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\n\r\n"])
async def test_a_response_without_a_body_ends_with_its_head(protocol: ResponseHandler, head: bytes) -> None:
    assert await receive(protocol, head + b"stray") == b""

    assert protocol.should_close


async def test_guarantee_17_a_flood_on_an_idle_connection_takes_no_memory(protocol: ResponseHandler) -> None:
    transport = protocol.transport
    assert isinstance(transport, Mock)
    await receive(protocol, chunked(b"body"))

    for _ in range(100):
        protocol.data_received(sized(b"x" * 100_000))

    assert len(protocol) == 0
    assert protocol._tail == b""
    assert transport.abort.called


async def test_bytes_before_the_first_request_end_the_connection(protocol: ResponseHandler) -> None:
    transport = protocol.transport
    assert isinstance(transport, Mock)

    protocol.data_received(HEAD + b"body")

    assert len(protocol) == 0
    assert protocol.should_close
    assert transport.abort.called


async def test_interim_responses_without_end_take_no_memory(protocol: ResponseHandler) -> None:
    protocol.set_response_params(read_until_eof=True)

    for _ in range(100):
        protocol.data_received(CONTINUE * 1000 + CONTINUE[:9])
        protocol.data_received(CONTINUE[9:])

    assert len(protocol) == len(protocol._head) == 0  # type: ignore[attr-defined]  # its own


@pytest.mark.parametrize("line", [b"X: y\r\n", b"X: y\n"])
async def test_promise_8_a_head_without_end_is_no_response(protocol: ResponseHandler, line: bytes) -> None:
    protocol.set_response_params(read_until_eof=True)

    for _ in range(70):
        protocol.data_received(b"HTTP/1.1 200 OK\r\n" + line * 200)

    with pytest.raises(aiohttp.http_exceptions.HttpProcessingError):
        await protocol.read()
    assert len(protocol._head) < 2**17  # type: ignore[attr-defined]  # its own


async def test_a_second_response_behind_many_blank_lines_ends_the_connection(protocol: ResponseHandler) -> None:
    body = b"\r\n" * 2000

    assert await receive(protocol, chunked(body) + sized(b"another's")) == body

    assert protocol.should_close


async def test_a_response_that_ends_while_the_parser_was_paused_leaves_the_connection_idle(
    protocol: ResponseHandler,
) -> None:
    protocol.set_response_params(read_until_eof=True, read_bufsize=1)
    protocol.data_received(HEAD.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked"))
    protocol.data_received(b"1\r\nx\r\n" * 30_000 + b"0\r\n\r\n")
    _, payload = await protocol.read()
    while not payload.is_eof() or not payload.at_eof():
        await payload.readany()

    protocol.data_received(sized(b"another's"))

    assert len(protocol) == 0
    assert protocol.should_close


async def test_a_connection_that_ends_twice_is_no_error(protocol: ResponseHandler) -> None:
    protocol.transport = None

    protocol.end()  # type: ignore[attr-defined]  # its own

    assert protocol.should_close


async def test_other_framings_are_left_to_aiohttp(protocol: ResponseHandler) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert await receive(protocol, head + b"4\r\nbo", b"dy\r\n0\r\n\r\n") == b"body"
    assert not protocol.should_close


async def test_each_answer_of_a_connection_is_measured_anew(protocol: ResponseHandler) -> None:
    for body in (b"body", b"more"):
        assert await receive(protocol, HEAD[:9], HEAD[9:] + body) == body
    assert not protocol.should_close


async def test_bytes_that_come_when_the_connection_is_lost_are_no_error(protocol: ResponseHandler) -> None:
    await receive(protocol, HEAD + b"body")
    protocol.transport = None
    protocol.data_received(b"stray")
    assert protocol.should_close


@pytest.mark.parametrize(
    ("answers", "piece", "lost", "told"),
    [
        (1, b"", None, KeptConnectionLostError),
        (1, b"", ConnectionResetError(104, "reset"), KeptConnectionLostError),
        (1, b"HTTP/1.1 2", None, aiohttp.ServerDisconnectedError),
        (0, b"", None, aiohttp.ServerDisconnectedError),
        (0, b"", ConnectionResetError(104, "reset"), aiohttp.ClientOSError),
    ],
)
async def test_the_loss_of_a_kept_connection_is_told_from_that_of_another(
    protocol: ResponseHandler, answers: int, piece: bytes, lost: Exception | None, told: type[Exception]
) -> None:
    for _ in range(answers):
        await receive(protocol, HEAD + b"body")
    protocol.set_response_params(read_until_eof=True)
    protocol.data_received(piece)
    protocol.connection_lost(lost)
    with pytest.raises(told) as caught:
        await protocol.read()
    assert type(caught.value) is told


async def test_other_failures_of_a_kept_connection_stay_what_they_are(protocol: ResponseHandler) -> None:
    await receive(protocol, HEAD + b"body")
    protocol.set_response_params(read_until_eof=True)
    protocol.data_received(b"garbage\r\n\r\n")
    with pytest.raises(aiohttp.http_exceptions.HttpProcessingError):
        await protocol.read()


async def test_a_connection_that_had_to_pause_resumes_once_its_body_is_read(protocol: ResponseHandler) -> None:
    transport = protocol.transport
    assert isinstance(transport, Mock)
    protocol.set_response_params(read_until_eof=True, read_bufsize=4)
    protocol.data_received(HEAD.replace(b"4", b"40") + b"x" * 30)
    _, payload = await protocol.read()
    assert transport.pause_reading.called
    transport.resume_reading.reset_mock()
    assert await payload.readany() == b"x" * 30
    assert transport.resume_reading.called


def receive_into_buffer(protocol: ResponseHandler, data: bytes) -> None:
    """Hand data over as a transport does."""
    assert isinstance(protocol, asyncio.BufferedProtocol)
    memoryview(protocol.get_buffer(-1))[: len(data)] = data
    protocol.buffer_updated(len(data))


async def test_what_connections_receive_into_the_buffer_that_they_share_is_copied_at_once() -> None:
    connector = Connector()
    first, second = connector._factory(), connector._factory()
    for protocol, head in ((first, HEAD), (second, HEAD.replace(b"4", b"5"))):
        protocol.connection_made(Mock(spec=asyncio.Transport))
        protocol.set_response_params(read_until_eof=True)
        receive_into_buffer(protocol, head)
    receive_into_buffer(first, b"body")
    receive_into_buffer(second, b"other")
    bodies = [await (await protocol.read())[1].read() for protocol in (first, second)]
    assert bodies == [b"body", b"other"]
    await connector.close()


@pytest.mark.parametrize("piece", [b"zz\r\n", b"-1\r\n", b"2\r\n{}x\r\n", b"0\r\nno colon\r\n\r\n"])
async def test_guarantee_8_a_malformed_chunk_that_comes_later_is_told(protocol: ResponseHandler, piece: bytes) -> None:
    protocol.set_response_params(read_until_eof=True)
    protocol.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    _, payload = await protocol.read()

    protocol.data_received(piece)

    with pytest.raises(HttpProcessingError):
        await asyncio.wait_for(payload.read(), 1)
