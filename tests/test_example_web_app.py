"""The example `web_app`, asked by an HTTP client."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from blocks import EXAMPLES
from leaks import MARKED_KEY, MARKED_TRANSCRIPT
from silences import WatchedSilence
from web_app.calls import Calls
from web_app.pages import clock, conversation, time_line
from web_app.problems import ANSWERS
from web_app_server import serving, serving_with_simulator

import ghl_voice_async
from ghl_voice_async import CallLog, GHLVoiceError, decode_call_log
from ghl_voice_async.testing import BadJSON, Silence, Status, VoiceAIServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator

    from ghl_voice_async import CallLogResult

A_LONG_TIME = 20.0


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, VoiceAIServer]]:
    with serving_with_simulator() as url_and_simulator:
        yield url_and_simulator


@pytest.fixture
def simulator(served: tuple[str, VoiceAIServer]) -> VoiceAIServer:
    return served[1]


@pytest.fixture
async def http(served: tuple[str, VoiceAIServer]) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(served[0]) as session:
        yield session


async def got(http: aiohttp.ClientSession, path: str) -> tuple[int, str, str]:
    async with http.get(path) as answer:
        return answer.status, answer.content_type, await answer.text()


async def events_of(answer: aiohttp.ClientResponse) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    """Read server-sent events, each a name and parsed JSON."""
    name = ""
    async for line in answer.content:
        field, _, value = line.decode().strip().partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def bulk(http: aiohttp.ClientSession, call_ids: Iterable[str]) -> Any:
    return http.post("/api/bulk", json={"call_ids": list(call_ids)})


# One call


async def test_a_call_log_is_json_in_the_form_of_the_api(http: aiohttp.ClientSession, simulator: VoiceAIServer) -> None:
    call_id = simulator.add_call_log({"id": "plain", "summary": "They want a boat.", "newKey": 1})
    status, content_type, body = await got(http, f"/api/calls/{call_id}")
    assert (status, content_type) == (200, "application/json")
    assert json.loads(body) == {"id": "plain", "summary": "They want a boat."}


SECRET = {"url": "https://x.example", "authenticationValue": MARKED_KEY, "headers": [{"value": MARKED_KEY}]}


@pytest.mark.parametrize("path", ["/api/calls/keys", "/calls/keys"])
@pytest.mark.parametrize(
    "action",
    [
        {"actionType": "CUSTOM_ACTION", "actionParameters": {"apiDetails": SECRET}},
        {"actionType": "CUSTOM_ACTION", "actionParameters": {"apiDetailsV2": SECRET}},
        {"actionType": "CUSTOM_ACTION_V2", "actionParameters": {"apiDetails": SECRET}},
        {"actionParameters": {"apiDetails": SECRET}},
        {"actionType": "SMS", "actionParameters": {"apiDetails": SECRET}},
        {"actionType": "CUSTOM_ACTION", "apiDetails": SECRET},
    ],
    ids=["a custom action", "in a new key", "of a new type", "of no type", "of another type", "beside the parameters"],
)
async def test_keys_of_the_customers_do_not_leave_the_application(
    http: aiohttp.ClientSession, simulator: VoiceAIServer, action: dict[str, Any], path: str
) -> None:
    simulator.add_call_log({"id": "keys", "executedCallActions": [{"actionName": "Look up", **action}]})
    _, _, body = await got(http, path)
    assert "Look up" in body
    assert MARKED_KEY not in body


@pytest.mark.parametrize("path", ["/api/calls/undocumented", "/calls/undocumented"])
@pytest.mark.parametrize(
    "members",
    [
        {"integration": SECRET},
        {"translation": {"enabled": True, "apiKey": MARKED_KEY}},
        {
            "executedCallActions": [
                {"actionType": "SMS", "actionParameters": {"apiKey": MARKED_KEY}, "apiKey": MARKED_KEY}
            ]
        },
        {"executedCallActions": [{"actionType": "KNOWLEDGE_BASE", "actionParameters": {"headers": [MARKED_KEY]}}]},
    ],
    ids=["of the call", "of its translation", "of an action", "of its parameters"],
)
async def test_no_undocumented_member_leaves_the_application(
    http: aiohttp.ClientSession, simulator: VoiceAIServer, members: dict[str, Any], path: str
) -> None:
    simulator.add_call_log({"id": "undocumented", "summary": "They want a boat.", **members})

    status, _, body = await got(http, path)

    assert status == 200
    assert "They want a boat." in body
    assert MARKED_KEY not in body


async def test_the_published_parameters_of_other_actions_do_leave_it(
    http: aiohttp.ClientSession, simulator: VoiceAIServer
) -> None:
    action = {"actionType": "SMS", "actionParameters": {"messageBody": "See you!"}}
    simulator.add_call_log({"id": "published", "executedCallActions": [action]})
    _, _, body = await got(http, "/api/calls/published")
    assert json.loads(body)["executedCallActions"] == [action]


async def test_the_page_of_a_call_has_its_conversation_and_its_actions(http: aiohttp.ClientSession) -> None:
    status, content_type, page = await got(http, "/calls/6500001fe412c3d768bfeb10")
    assert (status, content_type) == (200, "text/html")
    assert "Esme Duval called about a dental check-up" in page
    assert re.search(r"<b>Caller</b>\s*<span>My name is Esme Duval\.</span>", page)
    assert re.findall(r'class="at">([^<]*)<', page) == ["0:49", "16:45", "21:00"]


async def test_a_call_that_has_nothing_but_an_id_has_a_page(
    http: aiohttp.ClientSession, simulator: VoiceAIServer
) -> None:
    status, _, page = await got(http, f"/calls/{simulator.add_call_log({'id': 'bare'})}")
    assert status == 200
    assert "There is no transcript of this call." in page


async def test_markup_in_a_call_is_text_on_its_page(http: aiohttp.ClientSession, simulator: VoiceAIServer) -> None:
    evil = "<script>alert(1)</script>"
    action = {"actionType": evil, "actionName": evil}
    everywhere = {"summary": evil, "fromNumber": evil, "extractedData": {evil: [evil]}, "executedCallActions": [action]}
    simulator.add_call_log({"id": "evil", "transcript": f"bot: {evil}", **everywhere})
    _, _, page = await got(http, "/calls/evil")
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 6
    assert "<script" not in page.lower()


async def test_the_form_for_one_call_leads_to_its_page(http: aiohttp.ClientSession) -> None:
    async with http.get("/calls", params={"call_id": " a/b "}, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/calls/a%2Fb")


@pytest.mark.parametrize("dots", [".", "..", " .. "])
async def test_dots_that_a_browser_takes_out_of_an_address_are_no_call_id(
    http: aiohttp.ClientSession, dots: str
) -> None:
    async with http.get("/calls", params={"call_id": dots}, allow_redirects=False) as answer:
        assert (answer.status, answer.content_type) == (422, "text/html")
        assert "A call id is more than dots." in await answer.text()


@pytest.mark.parametrize(
    ("transcript", "turns"),
    [
        ("bot: Hello\nhuman:Hi", [("Agent", "Hello"), ("Caller", "Hi")]),
        ("bot: Hello\nand welcome", [("Agent", "Hello\nand welcome")]),
        ("Welcome\nbot: Hello", [("", "Welcome"), ("Agent", "Hello")]),
        ("", []),
    ],
)
def test_a_transcript_is_a_conversation(transcript: str, turns: list[tuple[str, str]]) -> None:
    assert [(turn.speaker, turn.text) for turn in conversation(transcript)] == turns


def test_actions_are_in_order_of_time_and_those_of_no_known_time_last() -> None:
    call = decode_call_log(
        {
            "id": "x",
            "createdAt": "2026-04-28T13:00:00Z",
            "executedCallActions": [
                {"actionName": "untimed"},
                {"actionName": "second", "executedAt": "2026-04-28T13:01:00Z"},
                {"actionName": "first", "triggerReceivedAt": "2026-04-28T13:00:30Z"},
            ],
        }
    )
    moments = [(moment.action.action_name, moment.seconds) for moment in time_line(call)]
    assert moments == [("first", 30.0), ("second", 60.0), ("untimed", None)]


def test_actions_of_a_call_of_no_known_time_are_in_the_order_of_the_api() -> None:
    actions = [{"actionName": "a", "executedAt": "2026-04-28T13:01:00Z"}, {"actionName": "b"}]
    call: CallLog = decode_call_log({"id": "x", "executedCallActions": actions})
    assert [moment.seconds for moment in time_line(call)] == [None, None]


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (1602, "26:42"), (-5, "-0:05")])
def test_times_are_minutes_and_seconds(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


# What goes wrong


@pytest.mark.parametrize(
    ("path", "fault", "status", "said"),
    [
        ("no-such-call", None, 404, "There is no such call. Check the id, and that the call is of this location."),
        ("a/b", None, 422, "call_id must be 1 to 256 of the characters A-Z a-z 0-9 _ -, not 'a/b'"),
        ("a", Status(401), 502, "HighLevel refused this application's token. You can do nothing about it"),
        ("a", Status(403), 502, "give its token the scope voice-ai-dashboard.readonly."),
        ("a", Status(503), 502, "HighLevel failed to answer. Try again in a moment."),
        ("a", BadJSON(), 502, "What HighLevel answered is not a call log."),
    ],
    ids=["404", "a malformed id", "401", "403", "503", "not JSON"],
)
async def test_an_error_is_a_problem_document(
    *,
    http: aiohttp.ClientSession,
    simulator: VoiceAIServer,
    path: str,
    fault: Status | BadJSON | None,
    status: int,
    said: str,
) -> None:
    if fault is not None:
        simulator.fail(fault, times=5 if fault == Status(503) else 1)
    answered, content_type, body = await got(http, f"/api/calls/{path}")
    problem = json.loads(body)
    assert (answered, content_type) == (status, "application/problem+json")
    assert (problem["status"], problem["call_id"]) == (status, path)
    assert said in problem["detail"]


async def test_an_error_of_a_page_is_a_page(http: aiohttp.ClientSession) -> None:
    status, content_type, page = await got(http, "/calls/no-such-call")
    assert (status, content_type) == (404, "text/html")
    assert "<h1>There is no such call.</h1>" in page


async def test_a_call_that_takes_too_long_is_given_up(voice_ai_server: VoiceAIServer) -> None:
    voice_ai_server.fail(Silence())
    with serving(voice_ai_server, deadline=0.2) as url:
        async with aiohttp.ClientSession(url) as http:
            status, _, body = await got(http, "/api/calls/a")
    assert (status, json.loads(body)["detail"]) == (504, "There was no answer in time. Try again in a moment.")


async def test_a_limit_says_when_to_come_back(voice_ai_server: VoiceAIServer) -> None:
    voice_ai_server.fail(Status(429, headers={"Retry-After": "3600"}))
    with serving(voice_ai_server) as url:
        async with aiohttp.ClientSession(url) as http, http.get("/api/calls/a") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "3600")


async def test_a_stopped_simulator_is_said_to_be_out_of_reach_until_it_is_back() -> None:
    simulator = VoiceAIServer(max_requests=None)
    await simulator.start()
    with serving(simulator) as url:
        async with aiohttp.ClientSession(url) as http:
            await simulator.aclose()
            status, _, body = await got(http, "/api/calls/a")
            assert (status, json.loads(body)["detail"]) == (502, "HighLevel cannot be reached. Try again in a moment.")
            await simulator.start()
            status, _, _ = await got(http, f"/api/calls/{simulator.call_ids(1)[0]}")
            assert status == 200
    await simulator.aclose()


async def test_what_was_asked_wrongly_is_a_problem_too(http: aiohttp.ClientSession) -> None:
    async with bulk(http, []) as answer:
        assert (answer.status, answer.content_type) == (422, "application/problem+json")
        assert "body.call_ids: List should have at least 1 item" in (await answer.json())["detail"]
    assert (await got(http, "/api/nowhere"))[:2] == (404, "application/problem+json")
    assert (await got(http, "/nowhere"))[:2] == (404, "text/html")


@pytest.mark.parametrize(
    ("call_id", "said"),
    [("a" * 257, "at most 256 characters"), ("\ud800", "valid string")],
    ids=["too long", "half a character"],
)
async def test_what_can_be_no_id_at_all_begins_no_bulk(http: aiohttp.ClientSession, call_id: str, said: str) -> None:
    async with bulk(http, ["a", call_id]) as answer:
        assert (answer.status, answer.content_type) == (422, "application/problem+json")
        detail = (await answer.json())["detail"]
    assert "body.call_ids.1" in detail
    assert said in detail


async def test_of_thousands_of_wrong_ids_three_are_named(http: aiohttp.ClientSession) -> None:
    async with bulk(http, ["a" * 257] * 1000) as answer:
        assert (await answer.json())["detail"].count("body.call_ids") == 3


def test_every_error_of_the_library_has_an_answer_of_its_own() -> None:
    kinds = {getattr(ghl_voice_async, name) for name in ghl_voice_async.__all__}
    errors = {kind for kind in kinds if isinstance(kind, type) and issubclass(kind, GHLVoiceError)}
    assert set(ANSWERS) == errors


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("InvalidInputError", 422),
        ("NotFoundError", 404),
        ("AuthenticationError", 502),
        ("PermissionDeniedError", 502),
        ("RateLimitError", 503),
        ("DailyLimitError", 503),
        ("AttemptTimeoutError", 504),
        ("DeadlineExceededError", 504),
        ("TransportError", 502),
        ("ServerError", 502),
        ("DecodeError", 502),
        ("ClientClosedError", 503),
    ],
)
def test_each_error_has_the_status_of_the_table_in_the_docs(error: str, status: int) -> None:
    kind = getattr(ghl_voice_async, error)
    assert ANSWERS[kind][0] == status
    page = (EXAMPLES.parent / "web-app.md").read_text()
    assert re.search(rf"^\|.*`{error}`.*\| {status} \|", page, re.MULTILINE)


@pytest.mark.parametrize(("path", "form"), [("/calls/a", "text/html"), ("/api/calls/a", "application/problem+json")])
async def test_an_error_of_the_applications_own_is_not_shown(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, path: str, form: str
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("secret")

    monkeypatch.setattr(Calls, "get", broken)
    status, content_type, body = await got(http, path)
    assert (status, content_type) == (500, form)
    assert "This application failed." in body
    assert "secret" not in body


async def test_a_method_that_is_not_allowed_comes_with_those_that_are(http: aiohttp.ClientSession) -> None:
    async with http.delete("/api/bulk") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("chunked", [False, True], ids=["of a known length", "in chunks"])
async def test_a_body_that_is_too_large_is_not_read_to_its_end(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, *, chunked: bool
) -> None:
    monkeypatch.setattr("web_app.middleware.MAX_BODY", 100)
    body = json.dumps({"call_ids": ["a" * 100]}).encode()

    async def pieces() -> AsyncIterator[bytes]:
        yield body[:50]
        yield body[50:]

    headers = {"Content-Type": "application/json"}
    async with http.post("/api/bulk", data=pieces() if chunked else body, headers=headers) as answer:
        assert (answer.status, answer.content_type) == (413, "application/problem+json")
        assert (await answer.json())["detail"] == "A request may have 100 bytes at most."


QUOTED = Status(422, '{"message": "cannot index: my name is Ada"}', headers={"X-Quote": "Ada"})


@pytest.mark.parametrize("status", [422, 500])
async def test_no_word_of_the_server_is_in_an_answer_or_in_the_log(
    http: aiohttp.ClientSession, simulator: VoiceAIServer, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    simulator.fail(Status(status, QUOTED.body, headers=QUOTED.headers), times=15, call_id=f"quoted-{status}")

    pages = [await got(http, f"{path}/quoted-{status}") for path in ("/calls", "/api/calls")]
    async with bulk(http, [f"quoted-{status}"]) as answer:
        events = [event async for event in events_of(answer)]

    assert "Ada" not in str(pages) + str(events)
    assert "Ada" not in caplog.text
    assert status < 500 or "ServerError: HTTP 500 [call 'quoted-500' of location" in caplog.text


# The host of all requests


@pytest.mark.parametrize("path", ["/", "/calls/a", "/api/calls/a", "/static/bulk.js"])
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil", ""],
)
async def test_a_request_for_another_host_is_refused(
    http: aiohttp.ClientSession, simulator: VoiceAIServer, host: str, path: str
) -> None:
    before = simulator.seen.requests

    async with http.get(path, headers={"Host": host}) as answer:
        text = await answer.text()

    assert answer.status == 421
    assert "This application does not answer for this host." in text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert simulator.seen.requests == before


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:9", "[::1]:8000", "[::1]"])
async def test_a_request_for_this_machine_is_answered(http: aiohttp.ClientSession, host: str) -> None:
    async with http.get("/", headers={"Host": host}) as answer:
        assert answer.status == 200


async def test_the_hosts_to_answer_for_are_a_setting(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "calls.example.com, Calls.Example")

    for host, status in {"calls.example.com": 200, "calls.example:443": 200, "localhost": 421}.items():
        async with http.get("/", headers={"Host": host}) as answer:
            assert answer.status == status, host


async def test_a_request_with_two_hosts_is_refused(served: tuple[str, VoiceAIServer]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(served[0].rpartition(":")[2]))

    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    status_line = await reader.readline()
    writer.close()

    assert status_line.split()[1] in {b"400", b"421"}


# The headers of all answers


@pytest.mark.parametrize("path", ["/", "/calls/6500001fe412c3d768bfeb10", "/api/calls/6500001fe412c3d768bfeb10", "/no"])
async def test_no_answer_about_calls_is_stored_or_framed_or_runs_what_is_not_ours(
    http: aiohttp.ClientSession, path: str
) -> None:
    async with http.get(path) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'self'; frame-ancestors 'none'"


async def test_static_files_may_be_stored(http: aiohttp.ClientSession) -> None:
    async with http.get("/static/bulk.js") as answer:
        assert "Cache-Control" not in answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_no_schema_is_published(http: aiohttp.ClientSession) -> None:
    assert (await got(http, "/openapi.json"))[0] == 404


# A bulk


async def test_a_bulk_is_streamed_with_its_progress_and_results(
    http: aiohttp.ClientSession, simulator: VoiceAIServer
) -> None:
    summary = simulator.add_call_log({"id": "summary", "summary": MARKED_TRANSCRIPT, "duration": 3})
    async with bulk(http, [*simulator.call_ids(20), summary, "no-such-call"]) as answer:
        assert answer.content_type == "text/event-stream"
        events = [event async for event in events_of(answer)]
    results = {data["call_id"]: data for name, data in events if name == "result"}
    assert [data["done"] for name, data in events if name == "result"] == [*range(1, 23)]
    assert results["summary"]["call"] == {"created_at": None, "duration": 3, "summary": MARKED_TRANSCRIPT}
    assert results["no-such-call"]["problem"]["detail"].startswith("There is no such call.")
    assert events[-1] == ("end", {"done": 22, "failed": 1, "total": 22})


async def test_a_bulk_whose_token_is_refused_ends_with_the_problem(
    http: aiohttp.ClientSession, simulator: VoiceAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulator, "token", "another")
    async with bulk(http, simulator.call_ids(5)) as answer:
        events = [event async for event in events_of(answer)]
    name, data = events[-1]
    assert (name, data["status"], data["total"]) == ("problem", 502, 5)
    assert data["detail"].startswith("HighLevel refused this application's token.")
    monkeypatch.undo()
    assert (await got(http, f"/calls/{simulator.call_ids(1)[0]}"))[0] == 200


@pytest.fixture
def bulk_closed(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Give an event that is set once a bulk is closed, by the application and not by the garbage collector."""
    closed = threading.Event()
    kept = []
    fetch = Calls.fetch

    async def watched(results: AsyncGenerator[CallLogResult, None]) -> AsyncGenerator[CallLogResult, None]:
        try:
            async for result in results:
                yield result
        finally:
            await results.aclose()
            closed.set()

    def keeping(self: Calls, call_ids: Iterable[str]) -> AsyncGenerator[CallLogResult, None]:
        kept.append(watched(fetch(self, call_ids)))
        return kept[-1]

    monkeypatch.setattr(Calls, "fetch", keeping)
    return closed


async def test_when_the_browser_leaves_the_bulk_is_closed_and_nothing_more_is_asked(
    http: aiohttp.ClientSession, simulator: VoiceAIServer, bulk_closed: threading.Event
) -> None:
    first, silent, *others = simulator.call_ids(5000)
    simulator.fail(Silence(), call_id=silent)  # without which a fast machine could be through before the end
    async with bulk(http, [silent, first, *others]) as answer:
        async for _ in events_of(answer):
            break
        answer.close()
    assert await asyncio.to_thread(bulk_closed.wait, A_LONG_TIME)
    for _ in range(100):  # what was under way may still arrive
        before = simulator.seen.requests
        assert (await got(http, f"/api/calls/{first}"))[0] == 200
        if simulator.seen.requests == before + 1:
            break
    else:
        pytest.fail("requests go on")
    assert sum(simulator.seen.calls[call_id] for call_id in others) < len(others)


async def test_a_browser_that_leaves_while_nothing_comes_is_noticed(
    http: aiohttp.ClientSession, simulator: VoiceAIServer
) -> None:
    silence = WatchedSilence()
    simulator.fail(silence, call_id="silent")
    async with bulk(http, ["no-such-call", "silent"]) as answer:
        async for _ in events_of(answer):
            break
        assert await asyncio.to_thread(silence.begun.wait, A_LONG_TIME)
        answer.close()
    assert await asyncio.to_thread(silence.ended.wait, A_LONG_TIME)


async def test_a_browser_that_reads_nothing_is_given_up_and_its_bulk_closed(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, bulk_closed: threading.Event
) -> None:
    monkeypatch.setattr("web_app.bulk.SEND_TIMEOUT", 0.1)
    call_ids = ["/" * 256] * 10_000  # HighLevel is not asked for such, and their problems are more than buffers hold
    body = io.BytesIO(json.dumps({"call_ids": call_ids}).encode())
    async with http.post("/api/bulk", data=body, headers={"Content-Type": "application/json"}):
        assert await asyncio.to_thread(bulk_closed.wait, A_LONG_TIME)


# The command


async def test_ctrl_c_ends_the_application_in_good_order_and_an_open_stream_with_a_word() -> None:
    command = [sys.executable, "-m", "web_app.simulated", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES)}
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environment)
    assert process.stderr is not None
    log = ""
    while not (started := re.search(r"running on (http://127\.0\.0\.1:\d+) ", log)):
        line = await process.stderr.readline()
        assert line, log
        log += line.decode()
    async with aiohttp.ClientSession(started[1]) as http, bulk(http, VoiceAIServer().call_ids(500)) as answer:
        events = events_of(answer)
        assert (await anext(events))[0] == "result"
        process.send_signal(signal.SIGINT)
        *_, (name, data) = [event async for event in events]
    log += (await process.stderr.read()).decode()
    assert (name, data["detail"]) == ("problem", "This application is being stopped. Try again in a moment.")
    assert await process.wait() == 0
    assert "Application shutdown complete." in log
    assert not re.search("Traceback|ERROR|WARNING", log), log
