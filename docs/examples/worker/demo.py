"""Kills a worker in the middle of its work, and shows that nothing is lost.

    python -m worker.demo

Starts a Redis, a simulator of the API and two worker processes, whose log is printed as it comes.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from redis.asyncio import Redis

from ghl_voice_async.testing import Latency, VoiceAIServer, running_in_thread
from worker.redis_server import MISSING, running_redis_server
from worker.storage import Storage

LOCATIONS = ("dentist", "garage", "florist", "plumber")
BATCH = 40
WORKERS = 2
PATIENCE = 120.0
COMMAND = [sys.executable, "-m", "taskiq", "worker", "worker.broker:broker", "worker.tasks", "--workers", str(WORKERS)]

started_at = time.monotonic()


def say(text: str) -> None:
    print(f"\n=== {time.monotonic() - started_at:4.1f} s: {text}\n", flush=True)


def main() -> None:
    if shutil.which("redis-server") is None:
        sys.exit(MISSING)
    server = VoiceAIServer(faults={Latency(0.2): 0.5, Latency(1.5): 0.5})  # so that at any moment some are under way
    with TemporaryDirectory() as folder, running_redis_server() as redis_url, running_in_thread(server):
        os.environ |= {
            "REDIS_URL": redis_url,
            "GHL_BASE_URL": server.url,
            "GHL_ACCESS_TOKEN": server.token,
            "GHL_PROCESSES": str(WORKERS),
            "CALLS_DATABASE": str(Path(folder, "calls.db")),
            "REDELIVER_AFTER": "3",
        }
        say("two workers start, each with half of the 100 requests in 10 s")
        with running_workers():
            asyncio.run(asyncio.wait_for(show(server, Storage(Path(folder, "calls.db"))), PATIENCE))


@contextmanager
def running_workers() -> Iterator[None]:
    with subprocess.Popen(COMMAND) as workers:  # noqa: S603  # ours
        try:
            yield
        finally:
            workers.terminate()


async def show(server: VoiceAIServer, storage: Storage) -> None:
    from worker.broker import broker, settings  # noqa: PLC0415  # which has its settings from the environment
    from worker.tasks import fetch_batch, fetch_call  # noqa: PLC0415  # likewise

    await broker.startup()
    async with Redis.from_url(settings.redis_url) as redis:
        while (await redis.info("clients"))["blocked_clients"] < WORKERS:  # noqa: ASYNC110  # or one might take it all
            await asyncio.sleep(0.02)
    wanted = {name: server.call_ids(2 * BATCH + 1, name) for name in LOCATIONS}
    asked = sum(len(call_ids) for call_ids in wanted.values())
    say(f"{2 * len(LOCATIONS)} batches of {BATCH} calls are sent, and some events, one of them for no call")
    tasks: list[Any] = []
    for name, (event, *others) in wanted.items():
        tasks += [await fetch_batch.kiq(batch, name) for batch in (others[:BATCH], others[BATCH:])]
        tasks.append(await fetch_call.kiq(event, name))
    no_call = await fetch_call.kiq("of-no-call", "garage")

    while await stored(storage, wanted) < asked / 5:  # noqa: ASYNC110  # it is told nowhere else
        await asyncio.sleep(0.02)
    async with Redis.from_url(settings.redis_url) as redis:
        process_id, messages = await busiest(redis)
    os.kill(process_id, signal.SIGKILL)
    before = await stored(storage, wanted)
    say(f"process {process_id} is killed; it had {messages} messages, and {before} calls are stored")

    for task in tasks:
        (await task.wait_result()).raise_for_error()
    failure = (await no_call.wait_result()).error
    say("all results are there")
    found = await stored(storage, wanted)
    print(f"asked for:              {asked} calls")
    print(f"stored:                 {found}, each once")
    print(f"fetched a second time:  {sum(count - 1 for count in server.seen.calls.values())}")
    print(f"refused with a 429:     {server.seen.refused}")
    print(f"the error of no call:   {failure!r}", flush=True)
    await broker.shutdown()
    await storage.aclose()
    say("the workers are told to stop")
    if found != asked:
        sys.exit("calls were lost")


async def busiest(redis: Redis) -> tuple[int, int]:
    """Find the worker process that has most messages: its id is in its name."""
    consumers = await redis.xinfo_consumers("ended-calls", "workers")
    found = max(consumers, key=lambda consumer: consumer["pending"])
    return int(found["name"].rpartition(b"-")[2]), found["pending"]


async def stored(storage: Storage, wanted: dict[str, list[str]]) -> int:
    return sum([len(call_ids) - len(await storage.missing(call_ids, name)) for name, call_ids in wanted.items()])


if __name__ == "__main__":
    main()
