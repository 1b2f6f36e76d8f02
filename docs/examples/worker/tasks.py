"""What the worker does: fetch one call, or a batch of them. All retries are the client's."""

import logging
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated

from taskiq import Context, TaskiqDepends

from ghl_voice_async import CallLogResult, CallRef, ClientClosedError, GHLVoiceError, VoiceAIClient
from worker.broker import broker
from worker.results import without_words
from worker.storage import Storage

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FailedCall:
    call_id: str
    error: str
    message: str


@dataclass(frozen=True)
class BatchSummary:
    """What becomes of a batch, and the result of its task: the call logs are in the storage, and never in Redis."""

    stored_before: int
    fetched: int
    failed: list[FailedCall]


def client_of_process(context: Annotated[Context, TaskiqDepends()]) -> VoiceAIClient:
    client: VoiceAIClient = context.state.client
    return client


def storage_of_process(context: Annotated[Context, TaskiqDepends()]) -> Storage:
    storage: Storage = context.state.storage
    return storage


@broker.task
async def fetch_call(
    call_id: str,
    location_id: str,
    client: VoiceAIClient = TaskiqDepends(client_of_process),
    storage: Storage = TaskiqDepends(storage_of_process),
) -> None:
    """Fetch the log of a call that ended, and store it. What goes wrong is the error of the task."""
    ref = CallRef(call_id, location_id)
    try:
        call_log = await client.get_call_log(call_id, location_id)
    except ClientClosedError:  # this process is stopping, and another one does it all again
        raise
    except GHLVoiceError as error:
        logger.warning("%s: %s", type(error).__name__, without_words(error))
        await storage.save_failures([ref], error)
        raise
    await storage.save(ref, call_log)
    logger.info("stored call %s of location %s", call_id, location_id)


@broker.task
async def fetch_batch(
    call_ids: list[str],
    location_id: str,
    client: VoiceAIClient = TaskiqDepends(client_of_process),
    storage: Storage = TaskiqDepends(storage_of_process),
) -> BatchSummary:
    """Fetch those of the calls that are not stored yet, and store each as it comes.

    What goes wrong with a call is in the summary. What ends them all, such as a refused token, is the task's error.
    """
    wanted = [*dict.fromkeys(call_ids)]
    missing = await storage.missing(wanted, location_id)
    failed: list[CallLogResult] = []
    try:
        async with aclosing(client.fetch_call_logs(missing, location_id)) as results:
            async for result in results:
                if result.error is None:
                    await storage.save(result.ref, result.unwrap())
                else:
                    await storage.save_failures([result.ref], result.error)
                    failed.append(result)
    except ClientClosedError:
        raise
    except GHLVoiceError as error:
        left = await storage.missing(missing, location_id)
        kind = type(error).__name__
        reason = without_words(error)
        logger.error("%d of %d calls not fetched: %s: %s", len(left), len(wanted), kind, reason)  # noqa: TRY400  # it says all
        await storage.save_failures([CallRef(call_id, location_id) for call_id in left], error)
        raise
    summary = _summary(len(wanted), len(missing), failed)
    _log(summary, location_id)
    return summary


def _summary(asked: int, missing: int, failed: list[CallLogResult]) -> BatchSummary:
    return BatchSummary(
        stored_before=asked - missing,
        fetched=missing - len(failed),
        failed=[failed_call(result.call_id, result.error) for result in failed if result.error is not None],
    )


def failed_call(call_id: str, error: Exception) -> FailedCall:
    return FailedCall(call_id, type(error).__name__, str(without_words(error)))


def _log(summary: BatchSummary, location_id: str) -> None:
    """Write a line for each kind of error: when the server is down, one for each call would bury all else."""
    logger.info(
        "batch of location %s: %d fetched, %d stored before, %d failed",
        location_id,
        summary.fetched,
        summary.stored_before,
        len(summary.failed),
    )
    for kind, count in Counter(call.error for call in summary.failed).items():
        first = next(call for call in summary.failed if call.error == kind)
        logger.warning("%d of the batch failed with %s, one of them: %s", count, kind, first.message)
