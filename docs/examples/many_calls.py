import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from ghl_voice_async import CallRef, VoiceAIClient
from ghl_voice_async.testing import VoiceAIServer


async def ended_calls(server: VoiceAIServer) -> AsyncIterator[CallRef]:
    """Stand in for a query of your database, a file or a queue: it is read as there is room."""
    for location_id in ("dentist", "garage"):
        for call_id in server.call_ids(60, location_id):
            await asyncio.sleep(0)
            yield CallRef(call_id, location_id)
    yield CallRef("of-no-call", "garage")


async def main() -> None:
    seconds_spoken = 0.0
    async with (
        VoiceAIServer() as server,
        VoiceAIClient(server.token, base_url=server.url) as client,
        aclosing(client.fetch_call_logs(ended_calls(server))) as results,
    ):
        async for result in results:
            if result.call_log is not None:
                seconds_spoken += result.call_log.duration or 0.0
            else:
                print(f"number {result.index} of the input, {result.call_id} of {result.location_id}: {result.error}")
    print(f"{seconds_spoken / 3600:.1f} hours")


asyncio.run(main())
