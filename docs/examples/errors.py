import asyncio
import os

from ghl_voice_async import GHLVoiceError, VoiceAIClient

LOCATION = "ve9EPM428h8vShlRW1KT"


async def attempt(client: VoiceAIClient, call_id: str) -> None:
    try:
        await client.get_call_log(call_id, LOCATION)
    except GHLVoiceError as error:
        print(f"{type(error).__name__}: {error}")


async def main() -> None:
    url = os.environ["GHL_BASE_URL"]
    async with VoiceAIClient(base_url=url) as client:
        await attempt(client, "there/is/no/such/id")
        await attempt(client, "507f1f77bcf86cd799439011")
    async with VoiceAIClient("pit-wrong", base_url=url) as client:
        await attempt(client, "507f1f77bcf86cd799439011")
    async with VoiceAIClient(base_url="http://127.0.0.1:9") as client:
        await attempt(client, "507f1f77bcf86cd799439011")


asyncio.run(main())
