"""A program of yours, `unhappy`, and its tests."""

import asyncio

import pytest

from ghl_voice_async import NotFoundError, RetryPolicy, VoiceAIClient
from ghl_voice_async.testing import Status, VoiceAIServer

QUICK = RetryPolicy(backoff_base=0.001)


async def unhappy(client: VoiceAIClient, call_id: str, location_id: str) -> bool:
    call = await client.get_call_log(call_id, location_id)
    return "refund" in (call.summary or "").lower()


def run(server: VoiceAIServer, call_id: str) -> bool:
    async def ask() -> bool:
        async with VoiceAIClient(server.token, base_url=server.url, retry=QUICK) as client:
            return await unhappy(client, call_id, server.location_id)

    return asyncio.run(ask())


def test_a_caller_who_wants_a_refund_is_unhappy(voice_ai_server: VoiceAIServer) -> None:
    call_id = voice_ai_server.add_call_log({"id": "angry", "summary": "Wants a refund at once."})
    assert run(voice_ai_server, call_id)


def test_it_does_not_mind_a_server_that_is_down_for_a_moment(voice_ai_server: VoiceAIServer) -> None:
    voice_ai_server.fail(Status(503), times=2)
    call_id = voice_ai_server.call_ids(1)[0]
    assert not run(voice_ai_server, call_id)
    assert voice_ai_server.seen.calls[call_id] == 3


def test_a_call_that_does_not_exist_is_an_error(voice_ai_server: VoiceAIServer) -> None:
    with pytest.raises(NotFoundError):
        run(voice_ai_server, "no-such-call")
