"""Through a proxy, or with certificates of one's own: what the page *Go through a proxy* says of a borrowed session."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import trustme
from command_line import PROGRAM, quiet
from relays import Relay
from watched import Counting, WatchedClient, client_of
from wire import CALL, LOCATION, TOKEN
from yarl import URL

import ghl_voice_async as ghl
from ghl_voice_async.testing import VoiceAIServer, running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def simulator() -> Iterator[VoiceAIServer]:
    with running_in_thread(VoiceAIServer(max_requests=None)) as running:
        yield running


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the file of a certificate authority that nobody else knows, with a certificate for the gateway beside it."""
    made = trustme.CA()
    folder = tmp_path_factory.mktemp("certificates")
    made.cert_pem.write_to_path(folder / "company-ca.pem")
    made.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "gateway.pem")
    return folder / "company-ca.pem"


@pytest.fixture(scope="module")
def gateway(simulator: VoiceAIServer, authority: Path) -> Iterator[str]:
    """Have the simulator behind TLS, and give the URL of that."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(authority.with_name("gateway.pem"))
    with Relay(simulator.url, tls=tls).running() as relay:
        yield f"https://localhost:{relay.port}"


def trusting(authority: Path) -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(authority)))


async def fetch(client: WatchedClient, simulator: VoiceAIServer) -> str:
    return (await client.get_call_log(simulator.call_ids(1)[0], simulator.location_id)).id


async def test_a_file_of_certificates_is_all_that_a_gateway_of_ones_own_needs(
    simulator: VoiceAIServer, authority: Path, gateway: str
) -> None:
    async with (
        aiohttp.ClientSession(connector=trusting(authority)) as session,
        client_of(simulator, base_url=gateway, session=session) as client,
    ):
        assert await fetch(client, simulator) == simulator.call_ids(1)[0]


async def test_without_that_file_the_call_ends_before_the_token_is_sent(simulator: VoiceAIServer, gateway: str) -> None:
    seen = simulator.seen.requests
    async with client_of(simulator, base_url=gateway) as client:
        with pytest.raises(ghl.TransportError, match="TLS failed"):
            await fetch(client, simulator)
    assert simulator.seen.requests == seen


def test_the_command_line_trusts_the_file_that_ssl_cert_file_names(
    simulator: VoiceAIServer, authority: Path, gateway: str
) -> None:
    command = [sys.executable, "-c", PROGRAM, "get", simulator.call_ids(1)[0], "--location", simulator.location_id]
    environment = {**quiet(), "GHL_BASE_URL": gateway, "GHL_ACCESS_TOKEN": simulator.token}
    environment["SSL_CERT_FILE"] = str(authority)
    answer = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
    assert answer.returncode == 0, answer.stderr


async def test_over_tls_a_proxy_is_asked_for_a_tunnel_and_sees_no_more(
    simulator: VoiceAIServer, authority: Path, gateway: str
) -> None:
    with Relay().running() as proxy:
        async with (
            aiohttp.ClientSession(connector=trusting(authority), proxy=f"http://127.0.0.1:{proxy.port}") as session,
            client_of(simulator, base_url=gateway, session=session) as client,
        ):
            assert await fetch(client, simulator) == simulator.call_ids(1)[0]
    assert proxy.asked == [f"CONNECT {gateway.removeprefix('https://')} HTTP/1.1"]


@pytest.mark.parametrize("trust_env", [True, False])
async def test_the_environments_proxy_is_used_by_a_session_that_trusts_the_environment(
    simulator: VoiceAIServer, authority: Path, gateway: str, trust_env: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.lower() == "no_proxy"]:
        monkeypatch.delenv(name)
    with Relay().running() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with (
            aiohttp.ClientSession(connector=trusting(authority), trust_env=trust_env) as session,
            client_of(simulator, base_url=gateway, session=session) as client,
        ):
            await fetch(client, simulator)
    assert len(proxy.asked) == trust_env


async def test_a_proxy_that_is_not_there_is_said_to_be_one(simulator: VoiceAIServer, gateway: str) -> None:
    async with (
        aiohttp.ClientSession(proxy="http://127.0.0.1:9") as session,
        client_of(simulator, base_url=gateway, session=session) as client,
    ):
        with pytest.raises(ghl.TransportError, match="cannot connect to the proxy: Connection refused"):
            await fetch(client, simulator)


async def test_a_proxy_that_refuses_is_a_transport_error_with_its_status_after_the_retries(
    simulator: VoiceAIServer, gateway: str
) -> None:
    with Relay(refusal=b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").running() as proxy:
        async with (
            aiohttp.ClientSession(proxy=f"http://127.0.0.1:{proxy.port}") as session,
            client_of(simulator, base_url=gateway, session=session) as client,
        ):
            with pytest.raises(ghl.TransportError, match="the proxy answered 403") as caught:
                await fetch(client, simulator)
    assert (caught.value.attempts, len(proxy.asked)) == (5, 5)


MALFORMED = [
    "http://proxy.example:80port",
    "http://[::1",
    "http://:3128",
    "http://127.0.0.1:99999",
    "http://user:marked",
    "http://user:mar/ked@127.0.0.1:9",
    "http://user:marked@a..b:9",
    f"http://{'a' * 300}:9",
    "proxy.example",
    "proxy.example:8080",
]


async def failure_of(session: aiohttp.ClientSession, url: str = "https://localhost:9") -> ghl.TransportError:
    policy = ghl.RetryPolicy(max_attempts=3, backoff_base=0.001)
    async with session, WatchedClient(TOKEN, base_url=url, session=session, retry=policy, rate_limit=None) as client:
        with pytest.raises(ghl.TransportError) as caught:
            await client.get_call_log(CALL, LOCATION)
    assert caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize("value", MALFORMED)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
async def test_a_proxy_of_the_environment_that_is_no_url_is_named(
    value: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in [other for other in os.environ if other.lower().endswith("_proxy")]:
        monkeypatch.delenv(other)
    monkeypatch.setenv(name, value)

    failure = await failure_of(aiohttp.ClientSession(trust_env=True))

    assert "the proxy that HTTPS_PROXY names cannot be used: it is not a URL" in str(failure)
    assert "marked" not in str(failure)
    assert (failure.attempts, failure.retryable) == (1, False)


async def test_a_malformed_proxy_for_other_schemes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp reads the proxies of all schemes for each request."""
    monkeypatch.setenv("HTTP_PROXY", "http://[::1")

    failure = await failure_of(aiohttp.ClientSession(trust_env=True))

    assert "the proxy that HTTP_PROXY names" in str(failure)
    assert failure.attempts == 1


@pytest.mark.parametrize("value", [*MALFORMED, 7, b"http://127.0.0.1:9"])
async def test_a_proxy_of_the_session_that_is_no_url_is_named(value: Any) -> None:
    failure = await failure_of(aiohttp.ClientSession(proxy=value))

    assert "the proxy of the aiohttp session cannot be used: it is not a URL" in str(failure)
    assert "marked" not in str(failure)
    assert (failure.attempts, failure.retryable) == (1, False)


async def test_credentials_of_a_proxy_that_cannot_be_encoded_are_not_shown() -> None:
    failure = await failure_of(aiohttp.ClientSession(proxy="http://user:\N{SNOWMAN}marked@127.0.0.1:9"))

    assert "the proxy of the aiohttp session cannot be used (UnicodeEncodeError)" in str(failure)
    assert "marked" not in str(failure)
    assert failure.attempts == 1


async def test_a_netrc_file_that_cannot_be_decoded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_bytes(b"machine localhost login marked password \xff\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    failure = await failure_of(aiohttp.ClientSession(trust_env=True))

    assert "the proxy settings or the netrc file of the environment cannot be used" in str(failure)
    assert failure.attempts == 1


@pytest.mark.parametrize("headers", [{"X-Own": "a\nb"}, {"X-Own": 7}])
async def test_a_session_with_headers_that_cannot_be_sent_is_told(simulator: VoiceAIServer, headers: Any) -> None:
    failure = await failure_of(aiohttp.ClientSession(headers=headers), simulator.url)

    assert "aiohttp cannot make the request with this session" in str(failure)
    assert failure.attempts == 1


async def raises(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    raise ValueError("theirs")


async def parses(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    URL("http://[::1")
    return await handler(request)


async def spoils(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    request.headers["X-Own"] = "a\nb"
    return await handler(request)


@pytest.mark.parametrize("middleware", [raises, parses])
async def test_a_value_error_of_a_middleware_reaches_the_caller_as_it_is(
    simulator: VoiceAIServer, middleware: aiohttp.ClientMiddlewareType
) -> None:
    async with (
        aiohttp.ClientSession(middlewares=[middleware]) as session,
        client_of(simulator, session=session) as client,
    ):
        with pytest.raises(ValueError, match=r"theirs|IPv6") as caught:
            await fetch(client, simulator)

    assert type(caught.value) is ValueError


async def test_an_error_of_aiohttp_below_a_middleware_is_one_of_ours(simulator: VoiceAIServer) -> None:
    failure = await failure_of(aiohttp.ClientSession(middlewares=[spoils]), simulator.url)

    assert "aiohttp cannot make the request with this session" in str(failure)


async def test_an_invalid_input_error_of_a_rate_limiter_reaches_the_caller(simulator: VoiceAIServer) -> None:
    async def twice(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        (await handler(request)).close()
        return await handler(request)

    class RefusesTheSecond(Counting):
        async def acquire(self, location_id: str, *, max_pause: float) -> Counting:
            if self.taken:
                raise ghl.InvalidInputError("theirs")
            return await super().acquire(location_id, max_pause=max_pause)

    async with (
        aiohttp.ClientSession(middlewares=[twice]) as session,
        client_of(simulator, session=session, rate_limit=RefusesTheSecond()) as client,
    ):
        with pytest.raises(ghl.InvalidInputError, match="theirs"):
            await fetch(client, simulator)
