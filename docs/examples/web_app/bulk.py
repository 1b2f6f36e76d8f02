"""A bulk, told to the browser as it happens."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from pydantic import BaseModel, Field
from sse_starlette import EventSourceResponse, JSONServerSentEvent

from ghl_voice_async import CallLogResult, GHLVoiceError
from web_app.calls import Calls
from web_app.problems import problem_of

logging.getLogger("sse_starlette").setLevel(logging.INFO)  # at DEBUG it logs what it sends, which is people's data

SEND_TIMEOUT = 30.0  # of a browser that takes nothing of what it is sent


class Wanted(BaseModel):
    call_ids: Annotated[list[Annotated[str, Field(max_length=256)]], Field(min_length=1, max_length=10_000)]


def stream(calls: Calls, wanted: Wanted) -> EventSourceResponse:
    results = calls.fetch(wanted.call_ids)
    return EventSourceResponse(
        events(results, len(wanted.call_ids)),
        send_timeout=SEND_TIMEOUT,
        shutdown_event=calls.stopping,
        shutdown_grace_period=2.0,
    )


async def events(results: AsyncGenerator[CallLogResult, None], total: int) -> AsyncIterator[JSONServerSentEvent]:
    """Give an event `result` for each call, and at last `end`, or `problem` where the bulk could not go on."""
    progress = {"done": 0, "failed": 0, "total": total}
    # When the browser leaves, this generator is closed, and with it the bulk: what is in flight is cancelled.
    async with aclosing(results):
        try:
            async for result in results:
                progress["done"] += 1
                progress["failed"] += not result.ok
                yield JSONServerSentEvent(progress | row(result), event="result")
        except GHLVoiceError as error:
            yield JSONServerSentEvent(progress | problem_of(error).as_json(), event="problem")
        else:
            yield JSONServerSentEvent(progress, event="end")


def row(result: CallLogResult) -> dict[str, Any]:
    if result.error is not None:
        return {"call_id": result.call_id, "problem": problem_of(result.error).as_json()}
    call = result.unwrap()
    when = None if call.created_at is None else call.created_at.isoformat()
    shown = {"created_at": when, "duration": call.duration, "summary": call.summary}
    return {"call_id": result.call_id, "call": shown}
