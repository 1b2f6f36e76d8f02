import asyncio
import logging
import sys

from ghl_voice_async import RetryPolicy, VoiceAIClient
from ghl_voice_async.testing import ResetBeforeAnswer, Status, VoiceAIServer

logging.basicConfig(stream=sys.stdout)
logging.getLogger("ghl_voice_async").setLevel(logging.INFO)


async def main() -> None:
    async with VoiceAIServer() as server:
        server.fail(Status(503))
        server.fail(ResetBeforeAnswer())
        policy = RetryPolicy(backoff_base=0.001)
        async with VoiceAIClient(server.token, base_url=server.url, retry=policy) as client:
            await client.get_call_log(server.call_ids(1)[0], server.location_id)


asyncio.run(main())
