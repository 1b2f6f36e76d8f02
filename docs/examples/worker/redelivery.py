"""A Redis stream whose messages outlive the process that took them."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError, RedisError, TimeoutError  # noqa: A004  # not Python's
from taskiq import AckableMessage, NoResultError, TaskiqMessage, TaskiqMiddleware, TaskiqResult
from taskiq_redis import RedisStreamBroker

from ghl_voice_async import GHLVoiceError

logger = logging.getLogger(__name__)

OUTCOMES = (GHLVoiceError, TypeError, ValueError)
"""What would come out again: what became of the call, and what is wrong with the message itself."""

is_to_be_redelivered = ContextVar("is_to_be_redelivered", default=False)  # each message has a context of its own


class RedeliveringBroker(RedisStreamBroker):
    """A message stays in Redis until its result is there. Those of a process that died go to another one.

    Five things are other than in `RedisStreamBroker`. It looks for messages of the dead only after new ones arrived,
    and here that does not take any. It takes a message that is worked at for longer than `idle_timeout` for one of
    the dead, and here the living give a sign of life for each that they have. It leaves all messages in the stream for
    ever, and here those that are done are deleted. It ends when Redis is away for a moment, and here it waits for it.
    And a process that stops leaves what it did not finish to others.
    """

    _held: set[bytes]
    _signs_of_life: asyncio.Task[None] | None = None
    is_stopping = False

    async def startup(self) -> None:
        self._held = set()
        await super().startup()
        if self.is_worker_process:
            self._signs_of_life = asyncio.create_task(self._give_signs_of_life())

    async def shutdown(self) -> None:
        self.is_stopping = True
        if self._signs_of_life is not None:
            self._signs_of_life.cancel()
            with suppress(asyncio.CancelledError):
                await self._signs_of_life
        await super().shutdown()

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        cursor = b"0-0"
        async with Redis(connection_pool=self.connection_pool) as redis:
            while not _is_cancelled():
                try:
                    cursor, messages = await self._receive(redis, cursor)
                except (ConnectionError, TimeoutError) as error:
                    logger.warning("Redis is away, asked again in a second: %s", error)
                    await asyncio.sleep(1)
                    continue
                for message in self._hold(messages):
                    yield message

    async def _receive(self, redis: Redis, cursor: bytes) -> tuple[bytes, list[Any]]:
        """Take what the dead left or, where that is nothing, what is new. Return with it where to go on looking."""
        group, consumer = self.consumer_group_name, self.consumer_name
        streams: Any  # redis types the answers of all its protocols at once
        cursor, abandoned, *_ = await redis.xautoclaim(
            self.queue_name, group, consumer, self.idle_timeout, start_id=cursor, count=10
        )
        if abandoned:
            return cursor, abandoned
        # One at a time: what a process has no room for is another's.
        streams = await redis.xreadgroup(group, consumer, {self.queue_name: ">"}, count=1, block=self.block)
        return cursor, [message for _, new in streams for message in new]

    async def has_workers(self) -> bool:
        """Tell whether some process looked for messages, or gave a sign of life, within `idle_timeout`."""
        async with Redis(connection_pool=self.connection_pool) as redis:
            consumers = await redis.xinfo_consumers(self.queue_name, self.consumer_group_name)
        return any(consumer["idle"] < self.idle_timeout for consumer in consumers)

    def _hold(self, messages: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> list[AckableMessage]:
        """Keep the messages from others, but for those that this process has already."""
        taken = {id_: fields[b"data"] for id_, fields in messages if id_ not in self._held}
        self._held.update(taken)
        return [AckableMessage(data=data, ack=partial(self._acknowledge, id_)) for id_, data in taken.items()]

    async def _acknowledge(self, id_: bytes) -> None:
        self._held.discard(id_)
        if self.is_stopping or is_to_be_redelivered.get():
            return
        try:
            async with Redis(connection_pool=self.connection_pool) as redis, redis.pipeline() as both:
                both.xack(self.queue_name, self.consumer_group_name, id_)
                both.xdel(self.queue_name, id_)
                await both.execute()
        except RedisError as error:
            logger.warning("message %s is not acknowledged, and is delivered again later: %s", id_.decode(), error)

    async def _give_signs_of_life(self) -> None:
        async with Redis(connection_pool=self.connection_pool) as redis:
            while not self.is_stopping:
                await asyncio.sleep(self.idle_timeout / 1000 / 3)
                if not self._held:
                    continue
                try:  # claiming what one has already sets its idle time to 0
                    await redis.xclaim(
                        self.queue_name, self.consumer_group_name, self.consumer_name, 0, [*self._held], justid=True
                    )
                except RedisError as error:
                    logger.warning("no sign of life for %d messages: %s", len(self._held), error)


def _is_cancelled() -> bool:
    """Tell whether this task is to end: in Python 3.11, `asyncio.wait_for` within redis may lose the CancelledError."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class RedeliveredOnFailure(TaskiqMiddleware):
    """Keeps what goes wrong in this process, and not with the call, from being the result: there will be a better one.

    That is all that happens because the process stops, and errors such as those of a database that is full.
    """

    def on_error(self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException) -> None:
        if isinstance(self.broker, RedeliveringBroker) and self.broker.is_stopping:
            logger.info("task %s is left to another process, since this one stops", message.task_id)
        elif isinstance(exception, OUTCOMES):
            return
        else:
            kind = type(exception).__name__  # its repr may hold the text that did not fit
            logger.error("task %s stays in Redis and is run again later: %s: %s", message.task_id, kind, exception)
        is_to_be_redelivered.set(True)
        result.error = NoResultError()
