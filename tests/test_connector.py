"""What arrives on a connection, in pieces that only a test can arrange."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp.http_exceptions import HttpProcessingError

from ghl_voice_async.connector import Connector, KeptConnectionLostError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.client_proto import ResponseHandler

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: y\r\n\r\n"


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
    assert transport.close.called is closed


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
