from __future__ import annotations

from asyncio import sleep
from typing import Any

import aiohttp
import pytest
from virtual_time import virtual_time

from ghl_voice_async.testing import Latency, ResetBeforeAnswer, Status, VoiceAIServer

LIMIT_HEADERS = {
    "X-RateLimit-Limit-Daily",
    "X-RateLimit-Daily-Remaining",
    "X-RateLimit-Interval-Milliseconds",
    "X-RateLimit-Max",
    "X-RateLimit-Remaining",
}


async def ask(
    server: VoiceAIServer, call_id: str | None = None, location_id: str | None = None, **headers: str
) -> tuple[int, dict[str, str], Any]:
    path = f"/voice-ai/dashboard/call-logs/{server.call_ids(1, location_id)[0] if call_id is None else call_id}"
    query = {"locationId": server.location_id if location_id is None else location_id}
    sent = {"Authorization": f"Bearer {server.token}", "Version": "2021-04-15", **headers}
    async with (
        aiohttp.ClientSession(server.url, headers=sent) as session,
        session.get(path, params=query) as answer,
    ):
        body = await answer.json() if answer.content_type == "application/json" else await answer.text()
        return answer.status, dict(answer.headers), body


async def test_a_call_log_is_answered_as_call_log_shows_it() -> None:
    async with VoiceAIServer() as server:
        for call_id in server.call_ids(30):
            status, headers, body = await ask(server, call_id)
            assert (status, body) == (200, server.call_log(call_id))
            assert headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("version", ["2021-04-15", "v3"])
async def test_both_versions_in_use_are_known(server: VoiceAIServer, version: str) -> None:
    assert (await ask(server, Version=version))[0] == 200


@pytest.mark.parametrize("authorization", ["", "Bearer pit-other", "pit-simulator"])
async def test_a_wrong_token_is_a_401(server: VoiceAIServer, authorization: str) -> None:
    status, headers, body = await ask(server, Authorization=authorization)
    assert (status, body["statusCode"], body["error"]) == (401, 401, "Unauthorized")
    assert isinstance(body["message"], str)
    assert not LIMIT_HEADERS & set(headers)


async def test_a_wrong_version_is_a_400(server: VoiceAIServer) -> None:
    status, _, body = await ask(server, Version="1999-01-01")
    assert (status, body) == (400, {"statusCode": 400, "message": "version header is invalid"})


@pytest.mark.parametrize("location_id", ["", "no such/location"])
async def test_a_bad_location_is_a_422_with_a_list_of_messages(server: VoiceAIServer, location_id: str) -> None:
    status, _, body = await ask(server, "65000000", location_id)
    assert (status, body["error"]) == (422, "Unprocessable Entity")
    assert body["message"] == ["locationId must be a string", "locationId should not be empty"]


async def test_a_bad_call_id_is_a_400(server: VoiceAIServer) -> None:
    status, _, body = await ask(server, "no+id")
    assert (status, body["statusCode"]) == (400, 400)


async def test_an_id_of_another_location_is_a_404() -> None:
    async with VoiceAIServer() as server:
        status, headers, body = await ask(server, server.call_ids(1, "elsewhere")[0])
        assert (status, body["message"]) == (404, "Call log not found")
        assert set(headers) >= LIMIT_HEADERS


async def test_the_limits_headers_count_down() -> None:
    async with VoiceAIServer(max_requests=3, interval=60.0, daily=10) as server:
        answers = [await ask(server) for _ in range(4)]
    assert [status for status, *_ in answers] == [200, 200, 200, 429]
    limits = [{name: headers[name] for name in sorted(LIMIT_HEADERS)} for _, headers, _ in answers]
    assert [limit["X-RateLimit-Remaining"] for limit in limits] == ["2", "1", "0", "0"]
    assert limits[0] == {
        "X-RateLimit-Limit-Daily": "10",
        "X-RateLimit-Daily-Remaining": "9",
        "X-RateLimit-Interval-Milliseconds": "60000",
        "X-RateLimit-Max": "3",
        "X-RateLimit-Remaining": "2",
    }
    assert answers[3][2] == {"statusCode": 429, "message": "Too Many Requests"}
    assert server.seen.refused == 1


@virtual_time
async def test_the_window_slides_and_is_each_locations_own() -> None:
    async with VoiceAIServer(max_requests=2, interval=10.0) as server:
        statuses = [(await ask(server))[0]]
        await sleep(6)
        statuses += [(await ask(server))[0], (await ask(server))[0]]
        assert (await ask(server, location_id="elsewhere"))[0] == 200
        await sleep(5)  # the first has left the window, the second has not
        statuses += [(await ask(server))[0], (await ask(server))[0]]
    assert statuses == [200, 200, 429, 200, 429]


@virtual_time
async def test_a_used_up_day_is_a_429_with_nothing_remaining() -> None:
    async with VoiceAIServer(max_requests=1, interval=1.0, daily=2) as server:
        for _ in range(2):
            assert (await ask(server))[0] == 200
            await sleep(2)
        status, headers, _ = await ask(server)
    assert (status, headers["X-RateLimit-Daily-Remaining"]) == (429, "0")


async def test_a_new_day_begins_for_every_location() -> None:
    async with VoiceAIServer(daily=1) as server:
        for location in (server.location_id, "elsewhere"):
            assert (await ask(server, location_id=location))[0] == 200
            assert (await ask(server, location_id=location))[0] == 429
        server.start_new_day()
        for location in (server.location_id, "elsewhere"):
            assert (await ask(server, location_id=location))[0] == 200


@virtual_time
async def test_a_fixed_window_begins_where_it_is_told_to() -> None:
    async with VoiceAIServer(max_requests=1, interval=10.0, window="fixed", window_start=4.0) as server:
        statuses = []
        for _ in range(4):
            statuses += [(await ask(server))[0]]
            await sleep(3.5)  # 0, 3.5, 7, 10.5: the second window has begun at 4
    assert statuses == [200, 429, 200, 429]


async def test_the_limits_headers_can_be_left_out() -> None:
    async with VoiceAIServer(max_requests=1, limit_headers=False) as server:
        answers = [await ask(server) for _ in range(2)]
    assert [status for status, *_ in answers] == [200, 429]
    assert all(not {*LIMIT_HEADERS, "Retry-After"} & set(headers) for _, headers, _ in answers)


@virtual_time
async def test_a_429_says_when_there_will_be_room_if_it_is_told_to() -> None:
    async with VoiceAIServer(max_requests=1, interval=10.0, daily=2, retry_after=True) as server:
        assert "Retry-After" not in (await ask(server))[1]
        await sleep(2.5)
        assert (await ask(server))[1]["Retry-After"] == "8"
        await sleep(8)
        assert (await ask(server))[0] == 200
        status, headers, _ = await ask(server)  # nobody knows when the day will end
    assert status == 429
    assert "Retry-After" not in headers


def test_a_window_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="window must be 'sliding' or 'fixed', not 'tumbling'"):
        VoiceAIServer(window="tumbling")  # type: ignore[arg-type]


async def test_without_a_limit_there_are_no_headers_of_one(server: VoiceAIServer) -> None:
    answers = [await ask(server) for _ in range(3)]
    assert all(status == 200 and not LIMIT_HEADERS & set(headers) for status, headers, _ in answers)


async def test_a_fault_meets_the_next_requests_and_no_more(server: VoiceAIServer) -> None:
    server.fail(Status(503), times=2)
    server.fail(Status(500))
    assert [(await ask(server))[0] for _ in range(4)] == [503, 503, 500, 200]
    assert server.seen.faults == {"Status": 3}


async def test_a_fault_can_be_for_one_call_or_one_location(server: VoiceAIServer) -> None:
    first, second = server.call_ids(2)
    server.fail(Status(500), call_id=second)
    server.fail(Status(503), location_id="elsewhere")
    assert (await ask(server, first))[0] == 200
    assert (await ask(server, second))[0] == 500
    assert (await ask(server, second))[0] == 200
    assert (await ask(server, location_id="elsewhere"))[0] == 503


async def test_faults_come_at_random_at_their_rates_and_follow_from_the_seed() -> None:
    async def statuses(seed: int) -> list[int]:
        async with VoiceAIServer(seed=seed, max_requests=None, faults={Status(500): 0.2, Status(503): 0.3}) as server:
            return [(await ask(server))[0] for _ in range(200)]

    first = await statuses(1)
    assert 20 <= first.count(500) <= 60
    assert 35 <= first.count(503) <= 85
    assert first == await statuses(1)
    assert first != await statuses(2)


async def test_what_was_seen_can_be_asserted(server: VoiceAIServer) -> None:
    first, second = server.call_ids(2)
    server.fail(Latency(0.0), call_id=second)
    server.fail(Status(503), call_id="unknown")
    server.fail(ResetBeforeAnswer(), times=2, call_id="broken")  # aiohttp sends a GET twice
    await ask(server, first)
    await ask(server, first)
    await ask(server, second)
    await ask(server, "unknown", "elsewhere")
    await ask(server, "unknown", "elsewhere")
    with pytest.raises(aiohttp.ClientError):
        await ask(server, "broken")
    seen = server.seen
    assert seen.requests == 7
    assert seen.calls == {first: 2, second: 1, "unknown": 2, "broken": 2}
    assert seen.locations == {server.location_id: 5, "elsewhere": 2}
    assert seen.statuses == {200: 3, 503: 1, 404: 1}
    assert seen.faults == {"Latency": 1, "Status": 1, "ResetBeforeAnswer": 2}
    assert [request.call_id for request in seen.latest] == [
        first,
        first,
        second,
        "unknown",
        "unknown",
        "broken",
        "broken",
    ]
    assert "Bearer" not in repr(seen.latest[0])


async def test_a_call_log_of_ones_own_is_answered(server: VoiceAIServer) -> None:
    mine = {"id": "mine", "summary": "They want a boat."}
    assert server.add_call_log(mine) == "mine"
    assert (await ask(server, "mine"))[2] == mine
    assert server.call_log("mine") == mine
    assert (await ask(server, "mine", "elsewhere"))[0] == 404


def test_servers_with_one_seed_hold_the_same_call_logs() -> None:
    first, second, other = VoiceAIServer(seed=3), VoiceAIServer(seed=3), VoiceAIServer(seed=4)
    ids = first.call_ids(50)
    assert ids == second.call_ids(50)
    assert [first.call_log(call_id) for call_id in ids] == [second.call_log(call_id) for call_id in reversed(ids)][::-1]
    assert not set(ids) & set(other.call_ids(50))
    assert not set(ids) & set(first.call_ids(50, "elsewhere"))


@pytest.mark.parametrize("call_id", ["", "zz", "not-hexadecimal", "000000000000000a", "65000000ffffffffffffffff"])
def test_an_id_that_names_no_call_log_is_a_key_error(call_id: str) -> None:
    with pytest.raises(KeyError):
        VoiceAIServer().call_log(call_id)


def test_a_server_that_is_not_running_has_no_url() -> None:
    with pytest.raises(RuntimeError, match="is not running; use `async with"):
        _ = VoiceAIServer().url


async def test_a_server_can_be_closed_twice_and_used_no_more() -> None:
    async with VoiceAIServer() as server:
        url = server.url
        await server.aclose()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_requests": 0},
        {"interval": 0},
        {"daily": 0},
        {"faults": {Status(500): -0.1}},
        {"faults": {Status(500): 1.1}},
        {"faults": {Status(500): 0.6, Status(503): 0.6}},
        {"faults": {503: 0.1}},
    ],
    ids=repr,
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at least 1|above 0|from 0 to 1|a fault is one of"):
        VoiceAIServer(**settings)


@pytest.mark.parametrize("times", [0, -1, True, 1.5, None])
def test_a_fault_cannot_be_asked_for_no_time_at_all(times: Any) -> None:
    with pytest.raises(ValueError, match="times must be a whole number of at least 1"):
        VoiceAIServer().fail(Status(503), times=times)


@pytest.mark.parametrize("fault", [503, Status, None])
def test_what_is_no_fault_cannot_be_asked_for(fault: Any) -> None:
    with pytest.raises(ValueError, match=r"a fault is one of ghl_voice_async\.testing"):
        VoiceAIServer().fail(fault)


@pytest.mark.parametrize("call_log", [{}, {"id": None}, {"id": 7}, {"id": ""}, {"id": "a/b"}])
def test_a_call_log_that_nobody_could_ask_for_cannot_be_added(call_log: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a call log needs an id"):
        VoiceAIServer().add_call_log(call_log)
