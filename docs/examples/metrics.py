import asyncio
from collections import Counter, defaultdict

from ghl_voice_async import CallEvent, LimitEvent, ResponseEvent, RetryEvent, RetryPolicy, VoiceAIClient
from ghl_voice_async.testing import ResetBeforeAnswer, Status, VoiceAIServer

answers: Counter[str] = Counter()
retries: Counter[str] = Counter()
seconds: defaultdict[str, float] = defaultdict(float)


def count(event: CallEvent) -> None:
    match event:
        case ResponseEvent(status=None):
            answers[str(event.error)] += 1
        case ResponseEvent():
            answers[str(event.status)] += 1
            seconds[event.path_template] += event.seconds
        case RetryEvent():
            retries[event.error] += 1
        case LimitEvent():
            seconds["waiting for the rate limit"] += event.waited


async def main() -> None:
    async with VoiceAIServer() as server:
        server.fail(Status(503), times=2)
        server.fail(ResetBeforeAnswer())
        policy = RetryPolicy(backoff_base=0.001)
        async with VoiceAIClient(server.token, base_url=server.url, retry=policy) as client:
            client.add_hook(count)
            for call_id in server.call_ids(10):
                await client.get_call_log(call_id, server.location_id)
    print(dict(answers), dict(retries))


asyncio.run(main())
