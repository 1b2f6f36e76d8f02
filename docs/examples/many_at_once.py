import asyncio
import os
import time

from ghl_voice_async import VoiceAIClient
from ghl_voice_async.testing import VoiceAIServer


async def main() -> None:
    count = 100
    simulator = VoiceAIServer()  # not started: only asked for the ids of its call logs
    wanted = [(call_id, name) for name in ("first", "second") for call_id in simulator.call_ids(count, name)]

    started = time.perf_counter()
    async with VoiceAIClient(base_url=os.environ["GHL_BASE_URL"]) as client:
        calls = await asyncio.gather(*(client.get_call_log(call_id, location) for call_id, location in wanted))
    print(f"{len(calls)} call logs in {time.perf_counter() - started:.1f} s")


asyncio.run(main())
