"""Handshakes that fail, with servers that speak TLS as OpenSSL does, alerts included."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager, contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING

import aiohttp
import pytest
import trustme
from watched import WatchedClient
from wire import CALL, LOCATION, OK, TOKEN

import ghl_voice_async as ghl
from ghl_voice_async import RetryPolicy
from ghl_voice_async.tls import tls_error
from ghl_voice_async.transport import transport_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

THREE = RetryPolicy(max_attempts=3, backoff_base=0.001)
AUTHORITY, STRANGER = trustme.CA(), trustme.CA()


def server_side() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("localhost").configure_cert(context)
    return context


def client_side() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


def serve(listening: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
            if secured.recv(4096):
                secured.sendall(OK)


@contextmanager
def blocking_server(context: ssl.SSLContext) -> Iterator[str]:
    """Serve in a thread with blocking sockets, since those of asyncio send no alert when a handshake fails."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=serve, args=(listening, context))
        thread.start()
        try:
            yield f"https://localhost:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@asynccontextmanager
async def answers_to_hello(wire: bytes) -> AsyncIterator[tuple[str, list[int]]]:
    """Give the URL of a server that sends `wire` after the hello of a client, and a list with its connections."""
    connections: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        with suppress(ConnectionError):
            await reader.read(4096)
            writer.write(wire)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        yield f"https://localhost:{listening.sockets[0].getsockname()[1]}", connections
        listening.close()


async def failure_of(url: str, context: ssl.SSLContext | None = None) -> ghl.TransportError:
    connector = aiohttp.TCPConnector(ssl=context or client_side())
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        WatchedClient(TOKEN, base_url=url, session=session, retry=THREE, rate_limit=None) as client,
    ):
        with pytest.raises(ghl.TransportError) as caught:
            await client.get_call_log(CALL, LOCATION)
    return caught.value


def alert(number: int) -> bytes:
    return bytes([21, 3, 3, 0, 2, 2, number])


MAY_PASS = {
    "closed": b"",
    "closed in a record": b"\x16\x03",
    "internal_error": alert(80),
    "bad_record_mac": alert(20),
    "unexpected_message": alert(10),
    "record_overflow": alert(22),
    "decode_error": alert(50),
    "decrypt_error": alert(51),
    "user_canceled": alert(90),
    "unknown": alert(255),
    "close_notify": b"\x15\x03\x03\x00\x02\x01\x00",
    "data": b"\x17\x03\x03\x00\x02ab",
    "no hello": b"\x16\x03\x03\x00\x04\x02\x00\x00\x00",
}


@pytest.mark.parametrize("wire", MAY_PASS.values(), ids=MAY_PASS)
async def test_guarantee_19_a_handshake_that_may_pass_is_retried(wire: bytes) -> None:
    async with answers_to_hello(wire) as (url, connections):
        failure = await failure_of(url)

    assert (failure.attempts, len(connections)) == (3, 3)


@pytest.mark.parametrize("number", [40, 42, 43, 44, 45, 46, 48, 49, 70, 71, 86, 112, 116, 120])
async def test_guarantee_19_an_alert_that_stays_is_not_retried(number: int) -> None:
    async with answers_to_hello(alert(number)) as (url, connections):
        failure = await failure_of(url)

    assert "TLS failed" in str(failure)
    assert (failure.attempts, len(connections)) == (1, 1)


@pytest.mark.parametrize(
    "wire", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b"220 mail\r\n", b"GET / HTTP/1.1\r\n\r\n"]
)
async def test_guarantee_19_a_server_that_speaks_no_tls_is_not_retried(wire: bytes) -> None:
    async with answers_to_hello(wire) as (url, connections):
        failure = await failure_of(url)

    assert "TLS failed" in str(failure)
    assert (failure.attempts, len(connections)) == (1, 1)


def only_new(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    client.maximum_version = ssl.TLSVersion.TLSv1_2


def only_old(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    client.minimum_version = ssl.TLSVersion.TLSv1_3


def no_cipher_in_common(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    server.set_ciphers("ECDHE+AES128")
    client.set_ciphers("ECDHE+AES256")


def certificate_of_the_client_refused(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    server.verify_mode = ssl.CERT_REQUIRED
    AUTHORITY.configure_trust(server)
    STRANGER.issue_cert("somebody").configure_cert(client)


def unknown_name(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    server.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME


@pytest.mark.parametrize(
    "difference", [only_new, only_old, no_cipher_in_common, certificate_of_the_client_refused, unknown_name]
)
async def test_guarantee_19_peers_with_nothing_in_common_try_once(
    difference: Callable[[ssl.SSLContext, ssl.SSLContext], None],
) -> None:
    server, client = server_side(), client_side()
    difference(server, client)

    with blocking_server(server) as url:
        failure = await failure_of(url, client)

    assert "TLS failed" in str(failure)
    assert failure.attempts == 1


async def test_guarantee_19_a_server_in_trouble_is_retried() -> None:
    server = server_side()
    server.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_INTERNAL_ERROR

    with blocking_server(server) as url:
        failure = await failure_of(url)

    assert "TLS failed" in str(failure)
    assert failure.attempts == 3


async def test_guarantee_19_a_refused_certificate_says_why() -> None:
    with blocking_server(server_side()) as url:
        failure = await failure_of(url, ssl.create_default_context())

    assert "certificate verify failed: unable to get local issuer certificate" in str(failure)
    assert failure.attempts == 1


def ssl_error(reason: str | None, text: str) -> ssl.SSLError:
    error = ssl.SSLError(1, text)
    error.reason = reason  # type: ignore[assignment]  # None, where Python does not know the name
    return error


@pytest.mark.parametrize(
    ("error", "in_handshake", "retryable"),
    [
        (ssl_error("WRONG_VERSION_NUMBER", "x"), True, False),
        (ssl_error("WRONG_VERSION_NUMBER", "x"), False, True),
        (ssl_error(None, "[SSL] record layer failure (_ssl.c:1000)"), True, False),
        (ssl_error(None, "[SSL] record layer failure (_ssl.c:1000)"), False, True),
        (ssl_error(None, "[SSL] tlsv1 alert no application protocol (_ssl.c:1006)"), True, False),
        (ssl_error(None, "[SSL] something new"), True, True),
        (ssl_error("TLSV13_ALERT_CERTIFICATE_REQUIRED", "x"), False, False),
        (ssl.SSLError(1, "no brackets"), True, True),
        (ssl.SSLError("no number"), True, True),
        (ssl.SSLCertVerificationError("no number"), False, False),
    ],
)
def test_guarantee_19_openssl_names_the_failure(error: ssl.SSLError, in_handshake: bool, retryable: bool) -> None:
    assert tls_error(error, in_handshake=in_handshake).retryable is retryable


@pytest.mark.parametrize("reason", ["TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSV1_ALERT_UNKNOWN_CA"])
def test_guarantee_19_tls_1_3_may_refuse_after_the_handshake(reason: str) -> None:
    error = aiohttp.ClientOSError(1, "[SSL] x")
    error.__cause__ = ssl_error(reason, "[SSL] x")

    ours = transport_error(error)

    assert str(ours) == "TLS failed: [SSL] x"
    assert not ours.retryable
