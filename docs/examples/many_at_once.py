import asyncio
import os
import time

from ghl_voice_async import CallRef, VoiceAIClient
from ghl_voice_async.testing import VoiceAIServer


async def main() -> None:
    count = 100
    simulator = VoiceAIServer()  # not started: only asked for the ids of its call logs
    wanted = [CallRef(call_id, name) for name in ("first", "second") for call_id in simulator.call_ids(count, name)]

    started = time.perf_counter()
    fetched = 0
    async with VoiceAIClient(base_url=os.environ["GHL_BASE_URL"]) as client:
        async for result in client.fetch_call_logs(wanted):
            if result.ok:
                fetched += 1
            else:
                print(f"{result.call_id}: {result.error}")
    print(f"{fetched} call logs in {time.perf_counter() - started:.1f} s")


asyncio.run(main())
