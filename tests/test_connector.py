"""What arrives behind an answer, in pieces that only a protocol of one's own can arrange."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import aiohttp
import pytest

from ghl_voice_async.connector import Connector, KeptConnectionLostError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: y\r\n\r\n"


async def receive(*pieces: bytes) -> tuple[bytes, bool, bool]:
    """Return the body that was read, whether the connection may be kept, and whether it was closed at once."""
    connector = Connector()
    protocol = connector._factory()
    protocol.transport = Mock(is_closing=lambda: False)
    protocol.set_response_params(read_until_eof=True)
    for piece in pieces:
        protocol.data_received(piece)
    _, payload = await protocol.read()
    body = await asyncio.wait_for(payload.read(), 1)
    closed = bool(protocol.transport.close.called)
    await connector.close()
    return body, not protocol.should_close, closed


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
    pieces: list[bytes], kept: bool, closed: bool
) -> None:
    assert await receive(*pieces) == (b"body", kept, closed)


async def test_other_framings_are_left_to_aiohttp() -> None:
    connector = Connector()
    protocol = connector._factory()
    protocol.transport = Mock()
    protocol.set_response_params(read_until_eof=True)
    protocol.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo")
    protocol.data_received(b"dy\r\n0\r\n\r\n")
    _, payload = await protocol.read()
    assert await payload.read() == b"body"
    assert not protocol.should_close
    await connector.close()


async def test_each_answer_of_a_connection_is_measured_anew() -> None:
    connector = Connector()
    protocol = connector._factory()
    protocol.transport = Mock()
    for body in (b"body", b"more"):
        protocol.set_response_params(read_until_eof=True)
        protocol.data_received(HEAD + body)
        _, payload = await protocol.read()
        assert await payload.read() == body
    assert not protocol.should_close
    await connector.close()


async def test_a_connection_that_is_lost_while_bytes_arrive_is_no_error() -> None:
    connector = Connector()
    protocol = connector._factory()
    protocol.transport = Mock()
    protocol.set_response_params(read_until_eof=True)
    protocol.data_received(HEAD + b"body")
    protocol.transport = None
    protocol.data_received(b"stray")
    assert protocol.should_close
    await connector.close()


@pytest.mark.parametrize(
    ("answers", "piece", "lost", "told"),
    [
        (1, b"", None, KeptConnectionLostError),
        (1, b"", ConnectionResetError(104, "reset"), KeptConnectionLostError),
        (1, b"HTTP/1.1 2", None, aiohttp.ServerDisconnectedError),
        (0, b"", None, aiohttp.ServerDisconnectedError),
        (0, b"", ConnectionResetError(104, "reset"), aiohttp.ClientOSError),
        (1, b"", ValueError(), ValueError),
    ],
)
async def test_the_loss_of_a_kept_connection_is_told_from_that_of_another(
    answers: int, piece: bytes, lost: Exception | None, told: type[Exception]
) -> None:
    connector = Connector()
    protocol = connector._factory()
    protocol.connection_made(Mock(spec=asyncio.Transport))
    for _ in range(answers):
        protocol.set_response_params(read_until_eof=True)
        protocol.data_received(HEAD + b"body")
        await protocol.read()
    protocol.set_response_params(read_until_eof=True)
    protocol.data_received(piece)
    if isinstance(lost, ValueError):
        protocol.set_exception(lost)
    else:
        protocol.connection_lost(lost)
    with pytest.raises(told) as caught:
        await protocol.read()
    assert type(caught.value) is told
    await connector.close()
