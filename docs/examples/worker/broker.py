"""The broker, and what each worker process has once: a client and a storage."""

import logging
import os
import socket
import sys
from datetime import timedelta

from taskiq import TaskiqEvents, TaskiqState
from taskiq.serializers import JSONSerializer

from ghl_voice_async import GHLVoiceError, RetryPolicy, VoiceAIClient
from worker.redelivery import RedeliveredOnFailure, RedeliveringBroker
from worker.results import ErrorKeepingBackend
from worker.settings import Settings
from worker.storage import Storage

settings = Settings.from_environment()

broker = (
    RedeliveringBroker(
        settings.redis_url,
        queue_name="ended-calls",
        consumer_group_name="workers",
        consumer_name=f"{socket.gethostname()}-{os.getpid()}",  # to be known by in XINFO CONSUMERS
        consumer_id="0",  # by default, what was sent before the first start of all is never read
        idle_timeout=round(settings.redeliver_after * 1000),
        xread_block=min(2000, round(settings.redeliver_after * 250)),
    )
    .with_result_backend(
        ErrorKeepingBackend(
            settings.redis_url,
            prefix_str="ended-calls-result",
            result_ex_time=round(timedelta(days=1).total_seconds()),
            serializer=JSONSerializer(),  # the default, pickle, runs whatever code somebody wrote into Redis
        )
    )
    .with_middlewares(RedeliveredOnFailure())
)


def says_more_than_the_task(record: logging.LogRecord) -> bool:
    """Leave out taskiq's traceback of errors that the task has told of in a line of its own."""
    return record.exc_info is None or not isinstance(record.exc_info[1], GHLVoiceError)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def open_client(state: TaskiqState) -> None:
    logging.getLogger("taskiq.receiver.receiver").addFilter(says_more_than_the_task)
    try:
        state.client = VoiceAIClient(
            base_url=settings.base_url,
            retry=RetryPolicy(max_attempts=settings.max_attempts),
            rate_limit=settings.rate_limit,
        )
    except (GHLVoiceError, ValueError) as error:
        sys.exit(f"This worker process cannot start: {error}")
    state.storage = Storage(settings.database)


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def close_client(state: TaskiqState) -> None:
    if "client" in state:
        await state.client.aclose()
    if "storage" in state:
        await state.storage.aclose()
