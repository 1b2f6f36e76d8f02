from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import struct
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import TransferEncodingError
from virtual_time import now, virtual_time
from watched import until
from wire import CALL, LOCATION, OK, TOKEN, RawServer, answer, raw_server
from yarl import URL

from ghl_voice_async import AttemptTimeoutError, ClientClosedError, TransportError
from ghl_voice_async.auth import BearerToken
from ghl_voice_async.request import call_log_request, request_headers
from ghl_voice_async.scope import Scope
from ghl_voice_async.transport import ERROR_BODY_LIMIT, RESPONSE_BODY_LIMIT, Transport, transport_error

if TYPE_CHECKING:
    from pathlib import Path

    from ghl_voice_async.response import Response
    from ghl_voice_async.testing import VoiceAIServer

KEY = ConnectionKey("example.com", 443, True, True, None, None, None)  # noqa: FBT003
REQUEST_INFO = aiohttp.RequestInfo(URL("https://example.com"), "GET", None, URL("https://example.com"))  # type: ignore[arg-type]
JSON = b'{"id": "%b"}' % CALL.encode()


class Unannounced:
    """Stands where the pipeline counts what goes out."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.scope = Scope(task)

    def begin(self) -> float:
        return asyncio.get_running_loop().time()

    async def begin_another(self) -> None:
        pass


async def send_with(transport: Transport, url: str) -> Response:
    request = call_log_request(url, request_headers("v3"), CALL, LOCATION)
    return await transport.send(request, BearerToken(TOKEN), Unannounced())


async def send(url: str, **settings: float) -> Response:
    transport = Transport(timeout=settings.get("timeout", 5.0), max_connections=10)
    try:
        return await send_with(transport, url)
    finally:
        await transport.aclose()


async def failure_of(raw: RawServer, **settings: float) -> TransportError:
    with pytest.raises(TransportError) as caught:
        await send(raw.url, **settings)
    return caught.value


async def test_one_request_goes_out_as_documented() -> None:
    async with raw_server(OK) as raw:
        response = await send(raw.url)
    (request,) = raw.requests
    assert request.startswith(f"GET /voice-ai/dashboard/call-logs/{CALL}?locationId={LOCATION} HTTP/1.1".encode())
    for header in (f"Authorization: Bearer {TOKEN}", "Version: v3", "Accept: application/json"):
        assert f"\r\n{header}\r\n".encode() in request
    assert b"\r\nUser-Agent: ghl-voice-async/" in request
    assert (response.status, response.body, response.reason) == (200, JSON, "OK")


async def test_a_status_of_any_kind_is_an_answer() -> None:
    async with raw_server(answer(b"<html>", "X-A: 1", status="503 Down for tea")) as raw:
        response = await send(raw.url)
    assert (response.status, response.reason, response.headers["x-a"]) == (503, "Down for tea", "1")


async def test_promise_6_a_redirect_is_not_followed() -> None:
    async with raw_server(OK) as target, raw_server(answer(b"", f"Location: {target.url}/", status="302 Found")) as raw:
        assert (await send(raw.url)).status == 302
        assert target.requests == []


@pytest.mark.parametrize("keep", [True, False])
async def test_promise_13_one_send_is_one_request_though_a_kept_connection_is_dead(keep: bool) -> None:
    async with raw_server(OK, None, OK, keep=True) as raw:
        transport = Transport(timeout=5.0, max_connections=10)
        if keep:
            await send_with(transport, raw.url)
        else:
            raw.answers.pop(0)
        with pytest.raises(TransportError, match="closed the connection before it answered"):
            await send_with(transport, raw.url)
        assert len(raw.requests) == (2 if keep else 1)
        await transport.aclose()


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n" + JSON,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n" + JSON,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"%x\r\n" % len(JSON) + JSON + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(JSON)[:-4],
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(JSON)[:-9],
        answer(gzip.compress(JSON)[:-8], "Content-Encoding: gzip"),
        answer(zlib.compress(JSON)[:-4], "Content-Encoding: deflate"),
    ],
    ids=["length", "inside a chunk", "no last chunk", "gzip trailer", "gzip data", "stated gzip", "stated deflate"],
)
async def test_promise_14_a_body_cut_short_is_an_error_that_can_be_retried(wire: bytes) -> None:
    async with raw_server(wire) as raw:
        failure = await failure_of(raw)
    assert "cut short" in str(failure)
    assert failure.retryable


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(JSON)),
        ("x-gzip", gzip.compress(JSON)),
        ("GZIP", gzip.compress(JSON)),
        ("deflate", zlib.compress(JSON)),
        ("deflate", zlib.compress(JSON)[2:-4]),
        ("identity", JSON),
    ],
    ids=["gzip", "x-gzip", "GZIP", "deflate", "bare deflate", "identity"],
)
async def test_compressed_bodies_are_unfolded(encoding: str, body: bytes) -> None:
    async with raw_server(answer(body, f"Content-Encoding: {encoding}")) as raw:
        assert (await send(raw.url)).body == JSON


@pytest.mark.parametrize("body", [b"not gzip at all", gzip.compress(JSON) + b"stray"], ids=["not gzip", "stray bytes"])
async def test_a_damaged_gzip_stream_is_an_error_that_can_be_retried(body: bytes) -> None:
    async with raw_server(answer(body, "Content-Encoding: gzip")) as raw:
        failure = await failure_of(raw)
    assert str(failure) == "the body is not valid gzip"
    assert failure.retryable


async def test_an_encoding_that_was_not_asked_for_is_refused() -> None:
    async with raw_server(answer(b"x", "Content-Encoding: br")) as raw:
        failure = await failure_of(raw)
    assert str(failure) == "the body has a Content-Encoding that was not asked for: 'br'"
    assert not failure.retryable


@pytest.mark.parametrize(
    ("wire", "limit"),
    [
        (answer(b"x" * (RESPONSE_BODY_LIMIT + 1)), RESPONSE_BODY_LIMIT),
        (answer(gzip.compress(bytes(200_000_000), 9), "Content-Encoding: gzip"), RESPONSE_BODY_LIMIT),
    ],
    ids=["plain", "bomb"],
)
async def test_promise_20_a_body_over_the_limit_is_refused_and_not_worth_another_try(wire: bytes, limit: int) -> None:
    async with raw_server(wire) as raw:
        failure = await failure_of(raw)
    assert str(failure) == f"the body is larger than the limit of {limit} bytes"
    assert not failure.retryable


async def test_promise_20_a_small_bomb_takes_less_than_three_times_the_limit_of_memory() -> None:
    bomb = answer(gzip.compress(bytes(200_000_000), 9), "Content-Encoding: gzip")
    async with raw_server(bomb) as raw:
        tracemalloc.start()
        try:
            await failure_of(raw)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 3 * RESPONSE_BODY_LIMIT


@virtual_time
async def test_guarantee_20_others_run_while_a_costly_body_is_read() -> None:
    members = gzip.compress(gzip.compress(b"") * 100_000)
    async with raw_server(answer(members, "Content-Encoding: gzip, gzip")) as raw:
        reading = asyncio.create_task(send(raw.url))
        turns = 0
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        assert (await reading).body == b""
    assert turns > 1000


UNREADABLE = {
    "over the limit": answer(b"x" * (ERROR_BODY_LIMIT + 1), status="429 No"),
    "over the limit in chunks": b"HTTP/1.1 429 No\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"8000\r\n%b\r\n" % bytes(32768) * 3,
    "a bomb": answer(gzip.compress(bytes(20_000_000)), "Content-Encoding: gzip", status="429 No"),
    "cut in its length": b"HTTP/1.1 429 No\r\nContent-Length: 50\r\n\r\n{",
    "cut in a chunk": b"HTTP/1.1 429 No\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n{",
    "not gzip": answer(b"{}", "Content-Encoding: gzip", status="429 No"),
    "gzip without its end": answer(gzip.compress(b"{}")[:-1], "Content-Encoding: gzip", status="429 No"),
    "gzip and more": answer(gzip.compress(b"{}") + b"x", "Content-Encoding: gzip", status="429 No"),
    "an unknown coding": answer(b"{}", "Content-Encoding: gzip, br", status="429 No"),
    "too many codings": answer(b"{}", "Content-Encoding: " + "gzip," * 6, status="429 No"),
    "a transfer coding": b"HTTP/1.1 429 No\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("wire", UNREADABLE.values(), ids=UNREADABLE)
async def test_guarantee_20_an_error_keeps_its_status_without_its_body(wire: bytes) -> None:
    async with raw_server(wire) as raw:
        transport = Transport(timeout=5.0, max_connections=1)
        response = await send_with(transport, raw.url)
        assert transport._connector is not None
        assert not transport._connector._acquired
        await transport.aclose()

    assert (response.status, response.reason, response.body) == (429, "No", b"")


async def test_guarantee_20_a_reset_within_the_body_of_an_error_keeps_its_status() -> None:
    async def answer_and_reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 50\r\n\r\n{")
        await writer.drain()
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with await asyncio.start_server(answer_and_reset, "127.0.0.1", 0) as listening:
        response = await send(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        listening.close()

    assert response.status == 503


@virtual_time
async def test_guarantee_15_an_error_whose_body_never_ends_keeps_its_status() -> None:
    async with raw_server(b"HTTP/1.1 401 No\r\nContent-Length: 50\r\nX: y\r\n\r\n{", keep=True) as raw:
        transport = Transport(timeout=30.0, max_connections=1)
        started = now()
        response = await send_with(transport, raw.url)
        waited = now() - started
        assert transport._connector is not None
        assert not transport._connector._acquired
        await transport.aclose()

    assert 30 <= waited < 31
    assert (response.status, response.headers["x"], response.body) == (401, "y", b"")


async def test_a_caller_who_cancels_while_an_error_is_read_is_cancelled() -> None:
    async with raw_server(b"HTTP/1.1 401 No\r\nContent-Length: 50\r\n\r\n{", keep=True) as raw:
        sending = asyncio.create_task(send(raw.url))
        await until(lambda: raw.requests)
        for _ in range(20):  # turns of the loop, in which the head arrives
            await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


@pytest.mark.parametrize(
    "headers",
    [["Content-Encoding: gzip, gzip"], ["Content-Encoding: gzip", "Content-Encoding: GZIP"]],
    ids=["one header", "two headers"],
)
async def test_content_codings_are_undone_in_the_order_of_the_headers(headers: list[str]) -> None:
    async with raw_server(answer(gzip.compress(gzip.compress(JSON)), *headers)) as raw:
        assert (await send(raw.url)).body == JSON


async def test_cookies_are_not_kept() -> None:
    async with raw_server(answer(JSON, "Set-Cookie: a=b"), keep=True) as raw:
        transport = Transport(timeout=5.0, max_connections=1)
        url = raw.url.replace("127.0.0.1", "localhost")  # aiohttp's own jar takes no cookies from addresses
        for _ in range(2):
            await send_with(transport, url)
        await transport.aclose()
    assert not any(b"cookie" in received.lower() for received in raw.requests)


async def test_a_body_of_just_the_limit_is_read() -> None:
    async with raw_server(answer(gzip.compress(bytes(RESPONSE_BODY_LIMIT)), "Content-Encoding: gzip")) as raw:
        assert len((await send(raw.url)).body) == RESPONSE_BODY_LIMIT


@pytest.mark.parametrize(
    "wire",
    [b"garbage\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"],
    ids=["status line", "status", "header"],
)
async def test_promise_8_an_answer_that_is_not_http_is_a_transport_error(wire: bytes) -> None:
    async with raw_server(wire) as raw:
        failure = await failure_of(raw)
    assert str(failure) == "the answer is not valid HTTP"
    assert failure.retryable


@virtual_time
async def test_promise_15_silence_ends_at_the_timeout() -> None:
    async with raw_server(b"", keep=True) as raw:
        started = now()
        failure = await failure_of(raw, timeout=30.0)
        assert 30 <= now() - started < 31
    assert isinstance(failure, AttemptTimeoutError)
    assert str(failure) == "no whole answer within 30 s"


@virtual_time
async def test_promise_15_a_body_that_never_ends_is_given_up_at_the_timeout() -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", keep=True) as raw:
        assert isinstance(await failure_of(raw, timeout=30.0), AttemptTimeoutError)


async def test_promise_18_a_refused_connection_names_the_server() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(TransportError, match=f"cannot connect to 127.0.0.1:{port}: Connection refused") as caught:
        await send(f"http://127.0.0.1:{port}")
    assert caught.value.retryable


async def test_promise_19_a_server_without_tls_is_not_worth_another_try(server: VoiceAIServer) -> None:
    with pytest.raises(TransportError, match="TLS failed") as caught:
        await send(server.url.replace("http://", "https://"))
    assert not caught.value.retryable


def dns_failure() -> aiohttp.ClientConnectorDNSError:
    return aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "Name or service not known"))


@pytest.mark.parametrize(
    ("error", "text", "retryable"),
    [
        (TransportError("ours"), "ours", True),
        (aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("x")), "TLS failed", False),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "bad record")), "TLS failed: bad record", True),
        (aiohttp.ServerFingerprintMismatch(b"a", b"b", "h", 1), "TLS failed", False),
        (ssl.SSLError(1, "bad record"), "TLS failed: bad record", True),
        (dns_failure(), "the name of the server example.com cannot be resolved", True),
        (
            aiohttp.ClientConnectorDNSError(KEY, OSError(24, "Too many open files")),
            "example.com cannot be resolved: Too many open files",
            True,
        ),
        (
            aiohttp.ClientConnectorError(KEY, socket.gaierror(-2, "Name or service not known")),
            "cannot connect to example.com:443: Name or service not known",
            True,
        ),
        (
            aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "Connection refused")),
            "cannot connect to example.com:443: Connection refused",
            True,
        ),
        (
            aiohttp.ClientProxyConnectionError(KEY, OSError(111, "?")),
            "cannot connect to the proxy: Connection ref",
            True,
        ),
        (aiohttp.ServerDisconnectedError(), "closed the connection before it answered", True),
        (aiohttp.ClientOSError(104, "Connection reset by peer"), "the connection failed: Connection reset", True),
        (aiohttp.ClientConnectionResetError("Cannot write"), "the connection failed: ClientConnectionResetError", True),
        (aiohttp.ClientPayloadError("x"), "the body was cut short", True),
        (aiohttp.ClientHttpProxyError(REQUEST_INFO, (), status=502), "the proxy answered 502", True),
        (aiohttp.ClientResponseError(REQUEST_INFO, (), status=400), "the answer is not valid HTTP", True),
        (aiohttp.ServerTimeoutError("x"), "the connection failed", True),
        (aiohttp.ClientConnectionError("Connector is closed."), "failed in aiohttp: ClientConnectionError", True),
        (aiohttp.InvalidURL("x"), "failed in aiohttp: InvalidUrl", False),
        (ConnectionResetError(104, "Connection reset by peer"), "the connection failed: Connection reset", True),
        (BrokenPipeError(), "the connection failed: BrokenPipeError", True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_every_error_of_aiohttp_has_one_of_ours(error: Exception, text: str, retryable: bool) -> None:
    ours = transport_error(error)
    assert text.lower() in str(ours).lower()
    assert ours.retryable is retryable
    assert ours.__cause__ is None


def test_no_error_class_of_aiohttps_client_is_left_out() -> None:
    for name in aiohttp.client_exceptions.__all__:
        error_class = getattr(aiohttp, name)
        is_error = isinstance(error_class, type) and issubclass(error_class, Exception)
        if is_error and not name.startswith("WS"):  # of web sockets, which nobody opens here
            assert issubclass(error_class, aiohttp.ClientError | OSError), f"{name} would not be caught"


async def test_a_timeout_of_somebody_elses_is_no_timeout_of_the_attempt() -> None:
    async def theirs(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        raise TimeoutError

    async with aiohttp.ClientSession(middlewares=[theirs]) as session:
        transport = Transport(timeout=5.0, max_connections=4, session=session)
        with pytest.raises(TransportError, match="the connection failed: TimeoutError") as caught:
            await send_with(transport, "https://example.com")
    assert not isinstance(caught.value, AttemptTimeoutError)


async def test_an_error_of_aiohttps_parser_is_one_of_ours_too() -> None:
    """Its parser in Python gives one to whoever waits for the body when a chunk is malformed."""

    async def theirs(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        raise TransferEncodingError("oops")

    async with aiohttp.ClientSession(middlewares=[theirs]) as session:
        transport = Transport(timeout=5.0, max_connections=4, session=session)
        with pytest.raises(TransportError, match="the answer is not valid HTTP") as caught:
            await send_with(transport, "https://example.com")
    assert caught.value.retryable


async def test_promise_16_waiting_for_a_place_is_not_charged_to_the_timeout() -> None:
    @virtual_time
    async def scenario() -> None:
        under_way = most_under_way = 0

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal under_way, most_under_way
            try:
                while True:
                    await reader.readuntil(b"\r\n\r\n")
                    under_way += 1
                    most_under_way = max(most_under_way, under_way)
                    await asyncio.sleep(0.9)
                    under_way -= 1
                    writer.write(OK)
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        async with await asyncio.start_server(slow, "127.0.0.1", 0) as listening:
            url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            transport = Transport(timeout=1.0, max_connections=10)
            responses = await asyncio.gather(*(send_with(transport, url) for _ in range(100)))
            assert {response.status for response in responses} == {200}
            assert most_under_way == 10
            await transport.aclose()
            listening.close()

    await asyncio.to_thread(scenario)


@pytest.mark.parametrize(
    ("limits", "at_most"), [({"limit": 2}, 2), ({"limit": 0, "limit_per_host": 3}, 3), ({"limit": 0}, 4)]
)
async def test_a_borrowed_connectors_smaller_limit_holds(limits: dict[str, int], at_most: int) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(**limits)) as session, raw_server(OK) as raw:  # type: ignore[arg-type]
        transport = Transport(timeout=5.0, max_connections=4, session=session)
        await send_with(transport, raw.url)
        assert transport._slots is not None
        assert transport._slots.free == at_most


async def test_a_borrowed_session_keeps_its_middlewares_and_is_never_closed() -> None:
    seen = []

    async def theirs(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        seen.append(request.url.path)
        return await handler(request)

    async with aiohttp.ClientSession(middlewares=[theirs]) as session, raw_server(OK) as raw:
        transport = Transport(timeout=5.0, max_connections=4, session=session)
        await send_with(transport, raw.url)
        await transport.aclose()
        assert seen == [f"/voice-ai/dashboard/call-logs/{CALL}"]
        assert not session.closed
        assert not transport.abandon()


async def test_a_borrowed_session_may_raise_for_status_of_its_own() -> None:
    async with aiohttp.ClientSession(raise_for_status=True) as session, raw_server(answer(b"", status="500 No")) as raw:
        transport = Transport(timeout=5.0, max_connections=4, session=session)
        assert (await send_with(transport, raw.url)).status == 500


@pytest.mark.parametrize("headers", [None, {"authorization": "Basic abc", "version": "1"}])
async def test_a_borrowed_session_may_have_credentials_and_headers_of_its_own(
    headers: dict[str, str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with aiohttp.ClientSession(trust_env=headers is None, headers=headers) as session, raw_server(OK) as raw:
        transport = Transport(timeout=5.0, max_connections=4, session=session)
        await send_with(transport, raw.url)
    received = raw.requests[0].lower().split(b"\r\n")
    sent = [line for line in received if line.startswith((b"authorization:", b"version:"))]
    assert sorted(sent) == [f"authorization: bearer {TOKEN}".encode(), b"version: v3"]


async def test_a_borrowed_session_that_its_owner_closed_is_said_to_be() -> None:
    session = aiohttp.ClientSession()
    await session.close()
    transport = Transport(timeout=5.0, max_connections=4, session=session)
    with pytest.raises(ClientClosedError, match="given to this client is closed"):
        await send_with(transport, "https://example.com")


async def test_a_session_that_its_owner_closes_while_a_call_waits_for_a_place_is_said_to_be() -> None:
    session = aiohttp.ClientSession()
    transport = Transport(timeout=5.0, max_connections=1, session=session)
    _, slots = transport._open()
    assert slots.try_acquire()
    waiting = asyncio.create_task(send_with(transport, "https://example.com"))
    await asyncio.sleep(0)
    await session.close()
    slots.release()
    with pytest.raises(ClientClosedError, match="given to this client is closed"):
        await waiting


async def test_an_error_whose_body_is_not_read_leaves_no_connection_behind() -> None:
    async with raw_server(answer(b"?" * 3_000_000, "Content-Encoding: br", status="503 Down")) as raw:
        transport = Transport(timeout=5.0, max_connections=1)
        assert (await send_with(transport, raw.url)).body == b""
        assert transport._connector is not None
        assert not transport._connector._acquired
        await transport.aclose()
        assert transport._timeout._timer is None
