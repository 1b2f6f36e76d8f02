"""The client on uvloop, which is the caller's to bring."""

from __future__ import annotations

from contextlib import aclosing

import pytest
import uvloop
from watched import client_of

import ghl_voice_async as ghl
from ghl_voice_async.testing import CloseAfterAnswer, ResetBeforeAnswer, Status, StrayBytes, VoiceAIServer

LOCATION = "LOC1"


def test_single_calls_and_bulks_run_through_faults_of_every_kind() -> None:
    async def scenario() -> None:
        async with VoiceAIServer(max_requests=None) as server, client_of(server) as client:
            call_ids = server.call_ids(300, LOCATION)
            for fault in (CloseAfterAnswer(), ResetBeforeAnswer(), StrayBytes(), Status(503)):
                server.fail(fault, times=5)
            async with aclosing(client.fetch_call_logs(call_ids, LOCATION)) as results:
                fetched = {result.index: result.unwrap() async for result in results}
            assert sorted(fetched) == list(range(300))
            assert fetched[0] == await client.get_call_log(call_ids[0], LOCATION)
            server.fail(Status(404))
            with pytest.raises(ghl.NotFoundError):
                await client.get_call_log(call_ids[1], LOCATION)

    uvloop.run(scenario())
