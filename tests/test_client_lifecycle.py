from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import warnings
from typing import Any

import aiohttp
import pytest
from virtual_time import now, virtual_time
from watched import check_clean, client_of, until
from wire import CALL, LOCATION, TOKEN

import ghl_voice_async as ghl
from ghl_voice_async import RetryPolicy, VoiceAIClient, WindowRateLimiter
from ghl_voice_async.testing import (
    Silence,
    Status,
    VoiceAIServer,
)


async def test_promise_41_a_closed_client_says_so_and_may_be_closed_again(server: VoiceAIServer) -> None:
    client = client_of(server)
    await client.get_call_log(server.call_ids(1)[0], server.location_id)
    await asyncio.gather(client.aclose(), client.aclose())
    await client.aclose()
    with pytest.raises(ghl.ClientClosedError, match="the client is closed") as caught:
        await client.get_call_log("abc", "LOC")
    assert (caught.value.call_id, caught.value.attempts) == ("abc", 0)


@pytest.mark.parametrize(
    "busy_with",
    [Silence(), Status(503, headers={"Retry-After": "60"}), Status(429)],
    ids=["reading", "backoff", "permit"],
)
def test_promise_41_calls_in_flight_at_close_end_with_client_closed(busy_with: Any) -> None:
    @virtual_time
    async def scenario() -> None:
        limiter = WindowRateLimiter(ghl.RateLimit())
        async with VoiceAIServer() as server:
            client = client_of(server, rate_limit=limiter)
            server.fail(busy_with, times=5)
            started = now()
            task = asyncio.create_task(client.get_call_log(server.call_ids(1)[0], server.location_id))
            await asyncio.sleep(1)
            await client.aclose()
            with pytest.raises(ghl.ClientClosedError, match="closed while this call was under way"):
                await task
            assert now() - started < 2

    scenario()


@virtual_time
async def test_a_call_whose_deadline_passes_in_the_turn_of_the_close_ends_too() -> None:
    async with VoiceAIServer() as server:
        client = client_of(server)
        server.fail(Silence())
        task = asyncio.create_task(client.get_call_log(server.call_ids(1)[0], server.location_id, deadline=5.0))
        loop = asyncio.get_running_loop()
        closing: list[asyncio.Task[None]] = []
        await asyncio.sleep(0)
        loop.call_at(loop.time() + 5.0, lambda: closing.append(asyncio.create_task(client.aclose())))
        with pytest.raises(ghl.GHLVoiceError):
            await task
        await client.aclose()
        await asyncio.gather(*closing)


def test_promise_43_a_client_belongs_to_one_event_loop() -> None:
    client = VoiceAIClient(TOKEN, base_url="http://127.0.0.1:9", retry=RetryPolicy(max_attempts=1))

    async def use() -> None:
        await client.get_call_log(CALL, LOCATION)

    async def use_and_close() -> None:
        with pytest.raises(ghl.TransportError):
            await use()
        await client.aclose()

    other = VoiceAIClient(TOKEN, base_url="http://127.0.0.1:9", retry=RetryPolicy(max_attempts=1))

    async def use_other() -> None:
        with pytest.raises(ghl.TransportError):
            await other.get_call_log(CALL, LOCATION)
        await other._session.transport.aclose()

    asyncio.run(use_other())
    with pytest.raises(ghl.ClientClosedError, match="another event loop"):
        asyncio.run(other.get_call_log(CALL, LOCATION))
    asyncio.run(use_and_close())


async def test_promise_43_a_forked_child_is_told_so(server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with client_of(server) as client:
        await client.get_call_log(server.call_ids(1)[0], server.location_id)
        # What a forked child sees: the same objects, and another process id.
        with monkeypatch.context() as child:
            parent = os.getpid()
            child.setattr(os, "getpid", lambda: parent + 1)
            with pytest.raises(ghl.ClientClosedError, match="before a fork"):
                await client.get_call_log(server.call_ids(1)[0], server.location_id)
    assert server.seen.requests == 1


async def test_promise_42_a_client_dropped_without_close_warns_and_names_itself(server: VoiceAIServer) -> None:
    client = client_of(server)
    await client.get_call_log(server.call_ids(1)[0], server.location_id)
    session = client._session.transport._session
    clients = [client]
    del client
    with pytest.warns(ResourceWarning, match="unclosed <VoiceAIClient of http://127"):
        clients.clear()
    assert session is not None
    await session.close()


async def test_promise_42_a_borrowed_session_is_used_and_never_closed(server: VoiceAIServer) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer theirs", "X-Theirs": "1"}) as session:
        async with client_of(server, session=session) as client:
            await client.get_call_log(server.call_ids(1)[0], server.location_id)
        assert not session.closed
    headers = server.seen.latest[0].headers
    assert (headers["Authorization"], headers["X-Theirs"]) == (f"Bearer {server.token}", "1")


def run_program(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of its own, where a warning that nobody expects is an error."""
    return subprocess.run(
        [sys.executable, "-X", "dev", "-c", text, *arguments], capture_output=True, check=False, text=True, timeout=60
    )


FORKING = """
import asyncio, os, sys
from ghl_voice_async import ClientClosedError, VoiceAIClient
from ghl_voice_async.testing import VoiceAIServer

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60.0  # the machine may be slow
    async with VoiceAIServer(max_requests=None) as server:
        call_id, location_id = server.call_ids(1)[0], server.location_id
        async with VoiceAIClient(server.token, base_url=server.url) as client:
            await client.get_call_log(call_id, location_id)
            seen = server.seen.requests
            child = os.fork()
            if not child:
                try:
                    asyncio.run(client.get_call_log(call_id, location_id))
                except ClientClosedError as error:
                    os._exit(7 if "before a fork" in str(error) else 1)
                os._exit(2)
            while (done := os.waitpid(child, os.WNOHANG)) == (0, 0):
                await asyncio.sleep(0.01)
            assert os.waitstatus_to_exitcode(done[1]) == 7, done
            assert server.seen.requests == seen
            await client.get_call_log(call_id, location_id)
            assert server.seen.requests == seen + 1
            del client
asyncio.run(main())
print("done")
"""


def test_promise_43_in_a_forked_child_the_client_refuses_and_in_the_parent_it_goes_on() -> None:
    answer = run_program(FORKING)
    assert (answer.stdout, answer.returncode) == ("done\n", 0), answer.stderr


DROPPING = """
import asyncio, gc, logging, sys, warnings
from ghl_voice_async import VoiceAIClient
from ghl_voice_async.testing import VoiceAIServer

logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="LOG %(name)s %(message)s")
logging.getLogger("asyncio").setLevel(logging.WARNING)

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60.0  # the machine may be slow
    async with VoiceAIServer(max_requests=None) as server:
        client = VoiceAIClient(server.token, base_url=server.url)
        ids = server.call_ids(20)
        await asyncio.gather(*(client.get_call_log(call_id, server.location_id) for call_id in ids))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del client
            gc.collect()
            for _ in range(5):
                await asyncio.sleep(0)
            gc.collect()
        for warning in caught:
            print(warning.category.__name__, warning.message)
asyncio.run(main())
"""


def test_promise_42_a_client_dropped_without_close_is_one_warning_and_nothing_of_aiohttps() -> None:
    answer = run_program(DROPPING)
    lines = answer.stdout.splitlines()
    assert len(lines) == 1, answer.stdout
    assert lines[0].startswith("ResourceWarning unclosed <VoiceAIClient of http://127.0.0.1:")
    assert lines[0].endswith("use `async with`, or await its aclose()")
    assert (answer.stderr, answer.returncode) == ("", 0)


DROPPED_AFTER_ITS_LOOP = """
import asyncio, sys, warnings
from ghl_voice_async import VoiceAIClient
from ghl_voice_async.testing import VoiceAIServer

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60.0  # the machine may be slow
    async with VoiceAIServer(max_requests=None) as server:
        client = VoiceAIClient(server.token, base_url=server.url)
        await client.get_call_log(server.call_ids(1)[0], server.location_id)
        return client

client = asyncio.run(main())
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    del client
print([str(warning.message).split(" of ")[0] for warning in caught if "VoiceAIClient" in str(warning.message)])
"""


def test_promise_42_a_client_that_outlives_its_loop_is_one_warning_too() -> None:
    answer = run_program(DROPPED_AFTER_ITS_LOOP)
    assert answer.stdout == "['unclosed <VoiceAIClient']\n"
    assert "Traceback" not in answer.stderr
    assert "Unclosed" not in answer.stderr


def test_promise_42_a_client_never_used_is_dropped_in_silence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client = VoiceAIClient(TOKEN)
        del client
        gc.collect()


async def test_promise_42_in_a_forked_child_dropping_the_client_leaves_the_parents_connections_alone(
    server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client_of(server) as client:
        await client.get_call_log(server.call_ids(1)[0], server.location_id)
        with monkeypatch.context() as child:
            parent = os.getpid()
            child.setattr(os, "getpid", lambda: parent + 1)
            assert not client._session.abandon()
        await client.get_call_log(server.call_ids(1)[0], server.location_id)


async def test_promise_41_a_client_closed_by_two_tasks_while_calls_are_in_flight_ends_them_once(
    server: VoiceAIServer,
) -> None:
    server.fail(Silence(), times=50)
    client = client_of(server)
    calls = [asyncio.create_task(client.get_call_log(call_id, server.location_id)) for call_id in server.call_ids(50)]
    await until(lambda: server.seen.requests == 50)
    await asyncio.gather(client.aclose(), client.aclose())
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {ghl.ClientClosedError}
    await check_clean(client)


@pytest.mark.parametrize("session", [3, "session", VoiceAIClient])
def test_promise_24_what_is_no_session_cannot_be_borrowed(session: Any) -> None:
    with pytest.raises(ghl.InvalidInputError, match=r"session must be an aiohttp\.ClientSession"):
        VoiceAIClient(TOKEN, session=session)
