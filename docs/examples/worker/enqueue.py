"""Sends calls to the worker, and prints what becomes of them.

python -m worker.enqueue LOCATION CALL ...    an event for each call
python -m worker.enqueue LOCATION < ids.txt   batches of what stands in the file, an id a line
python -m worker.enqueue --failed             batches of all that could not be fetched before
"""

import asyncio
import sys
from itertools import groupby
from typing import Any

from taskiq import AsyncTaskiqTask, TaskiqResult, TaskiqResultTimeoutError

from worker.broker import broker, settings
from worker.storage import Storage
from worker.tasks import fetch_batch, fetch_call

PATIENCE = 60.0  # seconds without a result, after which to look whether there is a worker at all
BATCH = 500  # little enough to be done in a minute or two, since one that is cut off is begun again


async def main(arguments: list[str]) -> None:
    await broker.startup()
    try:
        sent = await send(arguments)
        for task in sent:
            result = await result_of(task)
            outcome = result.return_value or "stored"
            print(outcome if result.error is None else f"{type(result.error).__name__}: {result.error}")
    finally:
        await broker.shutdown()


async def result_of(task: AsyncTaskiqTask[Any]) -> TaskiqResult[Any]:
    while True:
        try:
            return await task.wait_result(timeout=PATIENCE)
        except TaskiqResultTimeoutError:
            if not await broker.has_workers():
                sys.exit("No worker is running. What was sent waits in Redis for the next: do not send it again.")


async def send(arguments: list[str]) -> list[AsyncTaskiqTask[Any]]:
    match arguments:
        case ["--failed"]:
            storage = Storage(settings.database)
            by_location = groupby(await storage.failed(), key=lambda ref: ref.location_id)
            wanted = [(location_id, [ref.call_id for ref in refs]) for location_id, refs in by_location]
            await storage.aclose()
            return [task for location_id, call_ids in wanted for task in await send_batches(call_ids, location_id)]
        case [location_id]:
            return await send_batches(sys.stdin.read().split(), location_id)
        case [location_id, *call_ids]:
            return [await fetch_call.kiq(call_id, location_id) for call_id in call_ids]
        case _:
            sys.exit(__doc__)


async def send_batches(call_ids: list[str], location_id: str) -> list[AsyncTaskiqTask[Any]]:
    batches = [call_ids[start : start + BATCH] for start in range(0, len(call_ids), BATCH)]
    return [await fetch_batch.kiq(batch, location_id) for batch in batches]


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
