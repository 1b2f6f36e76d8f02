"""A program of yours, `caller`, and its tests with aioresponses."""

import inspect
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import aioresponses

from ghl_voice_async import NotFoundError, RetryPolicy, VoiceAIClient

URL = "https://services.leadconnectorhq.com/voice-ai/dashboard/call-logs/some-call?locationId=some-location"


@pytest.fixture(autouse=True)
def aioresponses_on_aiohttp_3_14(monkeypatch: pytest.MonkeyPatch) -> None:
    build = aiohttp.ClientResponse.__init__
    if "stream_writer" in inspect.signature(build).parameters:
        monkeypatch.setattr(
            aiohttp.ClientResponse,
            "__init__",
            lambda *args, **kwargs: build(*args, **{"stream_writer": Mock(), **kwargs}),
        )


async def caller(call_id: str) -> str | None:
    async with VoiceAIClient("pit-test", retry=RetryPolicy(backoff_base=0.001)) as client:
        return (await client.get_call_log(call_id, "some-location")).from_number


@pytest.mark.asyncio
async def test_the_caller_is_the_number_that_called() -> None:
    with aioresponses() as answers:
        answers.get(URL, payload={"id": "some-call", "fromNumber": "+12025550123"})
        assert await caller("some-call") == "+12025550123"


@pytest.mark.asyncio
async def test_a_server_that_is_down_for_a_moment_is_asked_again() -> None:
    with aioresponses() as answers:
        answers.get(URL, status=503)
        answers.get(URL, payload={"id": "some-call"})
        assert await caller("some-call") is None


@pytest.mark.asyncio
async def test_a_call_that_does_not_exist_is_an_error() -> None:
    with aioresponses() as answers:
        answers.get(URL, status=404, payload={"message": "Call log not found"})
        with pytest.raises(NotFoundError, match="Call log not found"):
            await caller("some-call")
