import asyncio

from ghl_voice_async import RateLimit, VoiceAIClient
from ghl_voice_async.testing import VoiceAIServer


async def main() -> None:
    async with VoiceAIServer(max_requests=50) as server:
        limit = RateLimit(max_requests=40)
        async with VoiceAIClient(server.token, base_url=server.url, rate_limit=limit) as client:
            for call_id in server.call_ids(30):
                await client.get_call_log(call_id, server.location_id)
            for location_id, state in client.rate_limits.items():
                print(f"{location_id}: {state.in_use} of {state.limit} in use, {state.waiting} calls wait")
                print(f"the server has {state.remaining} left, and {state.daily_remaining:,} for the day")


asyncio.run(main())
