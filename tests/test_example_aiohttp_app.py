"""The example `aiohttp_app`."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp_app import make_app
from silences import WatchedSilence
from surroundings import ask

from ghl_voice_async.testing import Silence, Status, VoiceAIServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

A_LONG_TIME = 20.0


@asynccontextmanager
async def serving(server: VoiceAIServer) -> AsyncIterator[tuple[web.AppRunner, aiohttp.ClientSession]]:
    with pytest.MonkeyPatch.context() as patch:
        ask(server, patch)
        runner = web.AppRunner(make_app(), handler_cancellation=True, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as http:
                yield runner, http
        finally:
            await runner.cleanup()


@pytest.fixture
async def http(server: VoiceAIServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(server) as (_, session):
        yield session


async def lines_of(answer: aiohttp.ClientResponse) -> list[dict[str, Any]]:
    return [json.loads(line) async for line in answer.content]


async def test_a_call_is_json(http: aiohttp.ClientSession) -> None:
    async with http.get("/calls/6500001fe412c3d768bfeb10") as answer:
        assert (await answer.json())["summary"].startswith("Esme Duval called")


@pytest.mark.parametrize(
    ("call_id", "fault", "status", "said"),
    [
        ("no-such-call", None, 404, "NotFoundError"),
        ("a.b", None, 422, "InvalidInputError"),
        ("a", Status(401), 502, "AuthenticationError"),
        ("a", Status(503), 502, "ServerError"),
        ("a", Status(429, headers={"Retry-After": "3600"}), 503, "RateLimitError"),
    ],
)
async def test_an_error_is_an_answer(
    *, server: VoiceAIServer, http: aiohttp.ClientSession, call_id: str, fault: Status | None, status: int, said: str
) -> None:
    if fault is not None:
        server.fail(fault, times=5)
    async with http.get(f"/calls/{call_id}") as answer:
        assert (answer.status, answer.content_type) == (status, "application/problem+json")
        problem = await answer.json()
    assert problem["error"] == said
    assert status >= 500 or call_id in problem["detail"]


async def test_what_is_for_the_operator_is_in_the_log_and_not_in_the_answer(
    server: VoiceAIServer, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    server.token = "another"
    async with http.get("/calls/a") as answer:
        assert (await answer.json())["detail"] == "Bad Gateway"
    async with http.post("/bulk", data="b") as answer:
        assert [line["detail"] for line in await lines_of(answer)] == ["Bad Gateway"] * 2
    logged = [record.getMessage() for record in caplog.records if record.name == "aiohttp_app"]
    assert len(logged) == 3  # a call, a call of the bulk, and its end
    assert all(message.startswith("AuthenticationError: ") and "token" in message for message in logged)


@pytest.mark.parametrize("status", [404, 500])
async def test_no_word_of_the_server_is_in_an_answer_or_in_the_log(
    server: VoiceAIServer, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    server.fail(Status(status, '{"message": "my name is Ada"}'), times=10)

    async with http.get("/calls/a") as answer:
        said = await answer.text()
    async with http.post("/bulk", data="a") as answer:
        said += await answer.text()

    assert "Ada" not in said
    assert [record.getMessage() for record in caplog.records if "Ada" in record.getMessage()] == []
    assert status >= 500 or "HTTP 404 [call 'a' of location" in said


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1@evil", ""])
async def test_a_request_for_another_host_is_refused(
    server: VoiceAIServer, http: aiohttp.ClientSession, host: str
) -> None:
    async with http.get("/calls/a", headers={"Host": host}) as answer:
        assert (answer.status, answer.content_type) == (421, "application/problem+json")

    assert server.seen.requests == 0


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:9", "[::1]:8080"])
async def test_a_request_for_this_machine_is_answered(http: aiohttp.ClientSession, host: str) -> None:
    async with http.get("/calls/6500001fe412c3d768bfeb10", headers={"Host": host}) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"


async def test_the_hosts_to_answer_for_are_a_setting(server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "calls.example.com")

    async with serving(server) as (_, http):
        for host, status in {"calls.example.com:443": 422, "localhost": 421}.items():
            async with http.get("/calls/a.b", headers={"Host": host}) as answer:
                assert answer.status == status


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("text/plain; charset=klingon", b"a"), ("text/plain", b"\xff"), ("text/plain; charset=idna", b"\xff")],
    ids=["an unknown charset", "bytes of another charset", "a charset that fails in its own way"],
)
async def test_a_body_that_is_no_text_is_a_bad_request(
    http: aiohttp.ClientSession, content_type: str, body: bytes
) -> None:
    async with http.post("/bulk", data=body, headers={"Content-Type": content_type}) as answer:
        assert (answer.status, answer.content_type) == (400, "application/problem+json")
        assert (await answer.json())["detail"] == "The body is not text in the charset that it claims, or in UTF-8."


async def test_a_stopped_simulator_is_a_bad_gateway(server: VoiceAIServer, http: aiohttp.ClientSession) -> None:
    await server.aclose()
    async with http.get("/calls/a") as answer:
        assert (answer.status, (await answer.json())["error"]) == (502, "TransportError")


async def test_a_bulk_is_a_line_for_each_call(server: VoiceAIServer, http: aiohttp.ClientSession) -> None:
    call_ids = [*server.call_ids(20), "no-such-call"]
    async with http.post("/bulk", data="\n".join(call_ids)) as answer:
        lines = await lines_of(answer)
    assert {line["call_id"] for line in lines} == {*call_ids}
    assert [line["call_id"] for line in lines if "error" in line] == ["no-such-call"]


async def test_a_bulk_whose_token_is_refused_says_so_at_its_end(
    server: VoiceAIServer, http: aiohttp.ClientSession
) -> None:
    server.token = "another"
    async with http.post("/bulk", data="a b c") as answer:
        lines = await lines_of(answer)
    assert [line.get("call_id") is not None for line in lines] == [True, True, True, False]
    assert [line["error"] for line in lines] == ["AuthenticationError"] * 4


async def test_a_browser_that_leaves_ends_the_bulk(server: VoiceAIServer, http: aiohttp.ClientSession) -> None:
    silence = WatchedSilence()
    server.fail(silence, call_id="silent")
    async with http.post("/bulk", data="no-such-call silent") as answer:
        await answer.content.readline()
        assert await asyncio.to_thread(silence.begun.wait, A_LONG_TIME)
        answer.close()
    assert await asyncio.to_thread(silence.ended.wait, A_LONG_TIME)
    async with http.get(f"/calls/{server.call_ids(1)[0]}") as answer:
        assert answer.status == 200


async def test_an_application_that_stops_ends_its_bulks_with_a_word(server: VoiceAIServer) -> None:
    server.fail(Silence(), call_id="silent")
    async with serving(server) as (runner, http), http.post("/bulk", data="no-such-call silent") as answer:
        await answer.content.readline()
        async with asyncio.timeout(A_LONG_TIME):
            await runner.cleanup()
        assert [line["error"] for line in await lines_of(answer)] == ["ClientClosedError"]
