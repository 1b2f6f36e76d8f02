import asyncio
import os

from ghl_voice_async import CallTransferActionParameters, SMSParameters, VoiceAIClient


async def main() -> None:
    async with VoiceAIClient(base_url=os.environ["GHL_BASE_URL"]) as client:
        call = await client.get_call_log("6500001fe412c3d768bfeb10", "ve9EPM428h8vShlRW1KT")

    print(call.id, call.created_at, call.duration)
    print(call.summary)
    for action in call.executed_call_actions:
        match action.action_parameters:
            case SMSParameters(message_body=text):
                print("sent a text:", text)
            case CallTransferActionParameters(transfer_to_value=number):
                print("handed over to", number)
            case _:
                print("did", action.action_name)


asyncio.run(main())
