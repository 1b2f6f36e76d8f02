"""Bulks over real sockets. What does not need them is in test_bulk, on a virtual clock, and in test_schedule."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from virtual_time import without_debugging
from watched import QUICK, client_of, until
from wire import OK, raw_server

from ghl_voice_async import (
    AuthenticationError,
    BadRequestError,
    CallLogResult,
    CallRef,
    ClientClosedError,
    DecodeError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    RateLimit,
    RetryPolicy,
    ServerError,
    StatusError,
    TransportError,
    UnprocessableEntityError,
    VoiceAIClient,
)
from ghl_voice_async.testing import (
    BadJSON,
    CutShort,
    Fault,
    Latency,
    Oversized,
    Silence,
    Status,
    VoiceAIServer,
    everyday_faults,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from watched import WatchedClient

IMPATIENT = RetryPolicy(max_attempts=2, backoff_base=0.001, backoff_cap=0.001)


async def drained(results: AsyncGenerator[CallLogResult, None]) -> list[CallLogResult]:
    return [result async for result in results]


async def test_a_thousand_ids_with_ten_that_fail_in_ten_ways_are_990_call_logs_and_ten_errors(
    server: VoiceAIServer,
) -> None:
    """Promise 36."""
    without_debugging()
    ways: list[tuple[Fault | str, type[Exception]]] = [
        ("no/id", InvalidInputError),
        ("65000000no-such-call-log", NotFoundError),
        (Status(400), BadRequestError),
        (Status(403), PermissionDeniedError),
        (Status(409), StatusError),
        (Status(422), UnprocessableEntityError),
        (Status(503), ServerError),
        (BadJSON(), DecodeError),
        (CutShort(), TransportError),
        (Oversized(9_000_000), TransportError),
    ]
    ids = server.call_ids(1000)
    expected = {}
    for number, (way, error) in enumerate(ways):
        index = 17 + 97 * number
        expected[index] = error
        if isinstance(way, Fault):
            server.fail(way, times=2, call_id=ids[index])
        else:
            ids[index] = way
    async with client_of(server, retry=IMPATIENT) as client:
        results = await drained(client.fetch_call_logs(ids, server.location_id))
    assert sorted(result.index for result in results) == [*range(1000)]
    assert all(result.ref == (ids[result.index], server.location_id) for result in results)
    assert all(result.unwrap().id == result.call_id for result in results if result.ok)
    failed = {result.index: result.error for result in results if not result.ok}
    assert {index: type(error) for index, error in failed.items()} == expected
    assert all(getattr(error, "call_id", None) == ids[index] for index, error in failed.items())


@pytest.mark.parametrize("ordered", [False, True])
async def test_through_everyday_faults_and_several_limited_locations_all_arrive(ordered: bool) -> None:
    without_debugging()
    faults = {fault: rate for fault, rate in everyday_faults(0.05).items() if not isinstance(fault, Silence)}
    async with VoiceAIServer(max_requests=20, interval=0.2, faults=faults) as server:
        calls = [CallRef(id_, name) for name in ("A", "B", "C") for id_ in server.call_ids(60, name)]
        async with client_of(server, rate_limit=RateLimit(20, 0.2), timeout=0.5) as client:
            results = await drained(client.fetch_call_logs(calls, ordered=ordered))
        assert {result.ref for result in results if result.ok} == set(calls)
        assert len(results) == len(calls)
        assert not ordered or [result.ref for result in results] == calls
        assert server.seen.refused == 0


async def test_no_more_requests_are_under_way_than_asked_for(server: VoiceAIServer) -> None:
    under_way = most = 0

    def count(event: Any) -> None:
        nonlocal under_way, most
        under_way += {"RequestEvent": 1, "ResponseEvent": -1}.get(type(event).__name__, 0)
        most = max(most, under_way)

    server.fail(Status(503), times=20)
    async with client_of(server) as client:
        client.add_hook(count)
        await drained(client.fetch_call_logs(server.call_ids(100), server.location_id, concurrency=7))
    assert most == 7


async def test_guarantee_40_a_token_refused_in_mid_bulk_ends_it(server: VoiceAIServer) -> None:
    got: list[CallLogResult] = []

    async def take(client: WatchedClient) -> None:
        async for result in client.fetch_call_logs(server.call_ids(500), server.location_id, concurrency=8):
            got.append(result)
            if len(got) == 50:
                server.token = "pit-new"

    async with client_of(server) as client:
        with pytest.raises(AuthenticationError):
            await take(client)

    refused = [result for result in got if not result.ok]
    assert sorted(result.index for result in got) == [*range(500)]
    assert all(isinstance(result.error, AuthenticationError) for result in refused)
    assert 2 <= server.seen.statuses[401] <= 8
    assert server.seen.statuses == {200: 500 - len(refused), 401: server.seen.statuses[401]}


class TokensByLocation:
    """Has a token for each location, and no other when that is refused."""

    def __init__(self, default: str, **tokens: str) -> None:
        self.default = default
        self.tokens = tokens

    async def get_token(self, location_id: str) -> str:
        return self.tokens.get(location_id, self.default)

    async def token_refused(self, location_id: str, token: str) -> None:
        """Have no other."""


@pytest.mark.parametrize("position", [0, 20, 39])
@pytest.mark.parametrize("grouped", [False, True])
async def test_guarantee_40_a_refused_location_costs_two_requests_and_no_other_location(
    server: VoiceAIServer, position: int, grouped: bool
) -> None:
    without_debugging()
    names = [f"LOC-{number}" for number in range(40)]
    refused = names[position]
    calls = [CallRef(server.call_ids(20, name)[number], name) for number in range(20) for name in names]
    if grouped:
        calls.sort(key=lambda ref: names.index(ref.location_id))
    tokens = TokensByLocation(server.token, **{refused: "pit-revoked"})

    async with client_of(server, token=tokens) as client:
        results = await drained(client.fetch_call_logs(calls))

    failed = [result for result in results if not result.ok]
    assert Counter(result.ref for result in results) == Counter(calls)
    assert {result.location_id for result in failed} == {refused}
    assert len(failed) == 20
    assert all(isinstance(result.error, AuthenticationError) for result in failed)
    assert [getattr(result.error, "call_id", None) for result in failed] == [result.call_id for result in failed]
    assert sorted(getattr(result.error, "attempts", None) or 0 for result in failed) == [0] * 18 + [1] * 2
    assert server.seen.statuses[401] == 2
    assert "pit-revoked" not in repr([vars(result.error) for result in failed if result.error])


class NewTokens(TokensByLocation):
    """Takes its time for another token. It has one each time, unless it `is_stuck` with the first."""

    is_stuck = False
    refusals = 0

    async def get_token(self, location_id: str) -> str:
        await asyncio.sleep(0)
        return f"pit-{0 if self.is_stuck else self.refusals}"

    async def token_refused(self, location_id: str, token: str) -> None:
        await asyncio.sleep(0.01)
        self.refusals += 1


@pytest.mark.parametrize(("is_stuck", "requests"), [(True, 2), (False, 4)])
async def test_guarantee_40_a_location_that_refuses_each_new_token_is_closed(
    server: VoiceAIServer, is_stuck: bool, requests: int
) -> None:
    tokens = NewTokens(server.token)
    tokens.is_stuck = is_stuck
    got = []

    async with client_of(server, token=tokens) as client:
        with pytest.raises(AuthenticationError):  # noqa: PT012  # the loop raises
            async for result in client.fetch_call_logs(server.call_ids(50), server.location_id):
                got.append(result)  # noqa: PERF401  # a comprehension would lose them

    assert len(got) == 50
    assert server.seen.statuses == {401: requests}


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("position", [0, 1, 150, 299])
async def test_guarantee_40_a_call_that_is_always_refused_fails_alone(
    server: VoiceAIServer, status: int, position: int
) -> None:
    ids = server.call_ids(300)
    server.fail(Status(status), times=10, call_id=ids[position])

    async with client_of(server) as client:
        results = await drained(client.fetch_call_logs(ids, server.location_id, ordered=True))

    assert [result.index for result in results if not result.ok] == [position]


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError)])
async def test_guarantee_40_a_bulk_whose_locations_are_all_refused_raises_the_error(
    server: VoiceAIServer, status: int, error: type[StatusError]
) -> None:
    server.fail(Status(status), times=10_000)
    calls = [CallRef(id_, name) for name in "ABC" for id_ in server.call_ids(50, name)]
    got: list[CallLogResult] = []

    async def take(client: WatchedClient) -> None:
        async for result in client.fetch_call_logs(calls):
            got.append(result)  # noqa: PERF401  # a comprehension would lose them

    async with client_of(server) as client:
        with pytest.raises(error) as caught:
            await take(client)

    assert len(got) == 150
    assert all(type(result.error) is error for result in got)
    assert all(caught.value is not result.error for result in got)
    assert server.seen.requests == 6


class Refreshed:
    """Offers the token that the server wants once the old one was refused."""

    def __init__(self, server: VoiceAIServer) -> None:
        self.server = server
        self.token = server.token
        self.refusals = 0

    async def get_token(self, location_id: str) -> str:
        return self.token

    async def token_refused(self, location_id: str, token: str) -> None:
        self.refusals += 1
        await asyncio.sleep(0)
        self.token = self.server.token


async def test_a_token_that_expires_in_mid_bulk_and_has_a_successor_is_nothing_to_the_consumer(
    server: VoiceAIServer,
) -> None:
    """Promise 40."""
    got = 0
    provider = Refreshed(server)
    async with client_of(server, token=provider) as client:
        async for result in client.fetch_call_logs(server.call_ids(300), server.location_id):
            assert result.ok
            got += 1
            if got == 100:
                server.token = "pit-new"
    assert got == 300
    assert 1 <= provider.refusals <= 64


async def test_a_network_that_drops_in_mid_bulk_fails_some_and_the_bulk_goes_on(server: VoiceAIServer) -> None:
    """Promise 40: within the policy, whose two attempts are soon made."""
    results: list[CallLogResult] = []
    async with client_of(server, retry=IMPATIENT) as client:
        async for result in client.fetch_call_logs(server.call_ids(400), server.location_id, concurrency=8):
            results.append(result)
            if len(results) == 100:
                await server.aclose()
            if len(results) == 200:
                await server.start()
    failed = [result for result in results if not result.ok]
    assert len(results) == 400
    assert all(isinstance(result.error, TransportError) for result in failed)
    assert 50 < len(failed) < 200
    assert all(result.ok for result in results[-50:])


async def test_an_outage_is_not_answered_with_a_storm(server: VoiceAIServer) -> None:
    """Promise 5."""
    without_debugging()
    server.fail(Status(503), times=100_000)
    async with client_of(server) as client:
        results = await drained(client.fetch_call_logs(server.call_ids(1000), server.location_id))
    assert all(isinstance(result.error, ServerError) for result in results)
    assert 1000 < server.seen.requests <= 1200


async def test_leaving_early_cancels_what_is_in_flight() -> None:
    """Promises 26 and 36."""
    async with VoiceAIServer(max_requests=None, faults={Latency(0.02): 1.0}) as server:
        async with (
            client_of(server) as client,
            aclosing(client.fetch_call_logs(server.call_ids(500), server.location_id, concurrency=8)) as results,
        ):
            await anext(results)
        assert server.seen.requests <= 3 * 8


async def test_a_client_closed_in_mid_bulk_ends_it_with_client_closed_error(server: VoiceAIServer) -> None:
    """Promise 41."""
    got: list[CallLogResult] = []

    async def take(client: VoiceAIClient) -> None:
        async for result in client.fetch_call_logs(server.call_ids(500), server.location_id):
            got.append(result)
            await client.aclose()

    async with client_of(server) as client:
        with pytest.raises(ClientClosedError):
            await take(client)
    assert all(result.ok for result in got)


async def test_a_closed_client_raises_before_the_first_result(server: VoiceAIServer) -> None:
    client = client_of(server)
    await client.aclose()
    with pytest.raises(ClientClosedError, match="the client is closed"):
        await anext(client.fetch_call_logs(["x"], "A"))
    assert server.seen.requests == 0


async def test_two_bulks_on_one_client_do_not_get_in_each_others_way(server: VoiceAIServer) -> None:
    async with client_of(server) as client:
        both = await asyncio.gather(
            *(drained(client.fetch_call_logs(server.call_ids(100, name), name)) for name in ("A", "B"))
        )
    assert [Counter(result.location_id for result in results) for results in both] == [{"A": 100}, {"B": 100}]


async def test_a_single_call_beside_a_bulk_waits_for_a_few_permits_and_not_for_the_bulk() -> None:
    """Promise 35."""
    without_debugging()
    async with VoiceAIServer(max_requests=10, interval=0.2) as server:
        done = 0

        async def bulk(client: WatchedClient) -> None:
            nonlocal done
            async for _ in client.fetch_call_logs(server.call_ids(10_000), server.location_id):
                done += 1

        async with client_of(server, rate_limit=RateLimit(10, 0.2)) as client:
            task = asyncio.create_task(bulk(client))
            await until(lambda: done >= 10)
            before = done
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
            assert done - before <= 2 * 10  # those of its own window, and those that were on their way
            task.cancel()
            await asyncio.wait([task])


async def test_all_but_one_place_of_a_smaller_connector_are_enough(server: VoiceAIServer) -> None:
    async with client_of(server, max_connections=2) as client:
        results = await drained(client.fetch_call_logs(server.call_ids(50), server.location_id, concurrency=20))
    assert all(result.ok for result in results)


async def test_what_a_token_provider_raises_is_the_result_of_its_call(server: VoiceAIServer) -> None:
    class OneLocation:
        async def get_token(self, location_id: str) -> str:
            return {server.location_id: server.token}[location_id]

        async def token_refused(self, location_id: str, token: str) -> None:
            """Never called."""

    good = CallRef(server.call_ids(1)[0], server.location_id)
    async with client_of(server, token=OneLocation()) as client:
        first, second = await drained(client.fetch_call_logs([good, CallRef("x", "elsewhere")], ordered=True))
    assert first.ok
    assert isinstance(second.error, KeyError)


async def test_an_answer_with_another_id_is_the_result_of_the_call_asked_for() -> None:
    async with raw_server(OK) as server, client_of(server) as client:
        (result,) = await drained(client.fetch_call_logs(["asked-for"], "LOC"))
    assert result.call_id == "asked-for"
    assert result.unwrap().id != "asked-for"


@pytest.mark.parametrize(
    ("calls", "settings", "problem"),
    [
        (["x"], {"concurrency": 0}, "concurrency must be at least 1, not 0"),
        (["x"], {"concurrency": 1.5}, "concurrency must be a whole number, not float"),
        (["x"], {"look_ahead": 0}, "look_ahead must be at least 1, not 0"),
        (["x"], {"look_ahead": float("nan")}, "look_ahead must be a whole number, not float"),
        (["x"], {"location_id": "a/b"}, "location_id must be 1 to 256"),
        (["x"], {"location_id": ""}, "location_id must be 1 to 256"),
        ("x", {}, "calls must be an iterable of call ids or CallRefs, not str"),
        (b"x", {}, "not bytes"),
        (CallRef("x", "A"), {}, "not CallRef"),
        (7, {}, "not int"),
        (None, {}, "not NoneType"),
    ],
)
async def test_what_cannot_be_right_is_refused_before_anything_is_read(
    calls: Any, settings: dict[str, Any], problem: str
) -> None:
    """Promises 23 and 24."""
    client = VoiceAIClient("pit-x", retry=QUICK)
    with pytest.raises(InvalidInputError) as caught:
        client.fetch_call_logs(calls, **{"location_id": "A", **settings})
    assert problem in str(caught.value)


async def test_a_bad_id_costs_neither_a_permit_nor_a_request(server: VoiceAIServer) -> None:
    """Promise 23."""
    async with client_of(server, rate_limit=RateLimit()) as client:
        results = await drained(client.fetch_call_logs(["", "..", "a b", "ü", "x" * 257], server.location_id))
        assert client.rate_limits == {}
    assert [type(result.error) for result in results] == [InvalidInputError] * 5
    assert server.seen.requests == 0


@pytest.mark.parametrize("kind", ["RequestEvent", "ResponseEvent", "RetryEvent"])
async def test_guarantee_37_a_hook_that_raises_no_exception_ends_the_bulk(server: VoiceAIServer, kind: str) -> None:
    """And the permit of its call is given back, which the client checks when it is left."""
    told = 0

    def hook(event: Any) -> None:
        nonlocal told
        told += type(event).__name__ == kind
        if told == 3:
            raise SystemExit(3)

    server.fail(Status(503), times=20)
    async with client_of(server, rate_limit=RateLimit()) as client:
        client.add_hook(hook)
        with pytest.raises(SystemExit):
            await drained(client.fetch_call_logs(server.call_ids(50), server.location_id))
