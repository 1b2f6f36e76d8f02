"""The call logs that the application shows, and the one client that fetches them."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import attrs

from ghl_voice_async import (
    AppointmentBookingActionParameters,
    CallLog,
    CallLogResult,
    CallTransferActionParameters,
    DataExtractionActionParameters,
    KnowledgeBaseParameters,
    RateLimit,
    SMSParameters,
    VoiceAIClient,
    WorkflowTriggerParameters,
)

HIGHLEVEL = "https://services.leadconnectorhq.com"
# Those of other actions may have the customer's keys to other services, in clear text.
WITHOUT_KEYS = (
    AppointmentBookingActionParameters,
    CallTransferActionParameters,
    DataExtractionActionParameters,
    KnowledgeBaseParameters,
    SMSParameters,
    WorkflowTriggerParameters,
)


@dataclass(frozen=True)
class Calls:
    """The calls of one location, which is the application's setting: no visitor names another."""

    client: VoiceAIClient
    location_id: str
    deadline: float
    stopping: anyio.Event

    async def get(self, call_id: str) -> CallLog:
        """Fetch a call log and leave out all that may be a key of the customer's: what nobody has documented."""
        call = await self.client.get_call_log(call_id, self.location_id, deadline=self.deadline)
        for action in call.executed_call_actions:
            if not isinstance(action.action_parameters, WITHOUT_KEYS):
                action.action_parameters = None
        leave_extra_out(call)
        return call

    def fetch(self, call_ids: Iterable[str]) -> AsyncGenerator[CallLogResult, None]:
        return self.client.fetch_call_logs(call_ids, self.location_id)


def leave_extra_out(value: Any) -> None:  # noqa: ANN401  # of any model, or none
    """Empty `extra` of a model and of every model within it."""
    if isinstance(value, list):
        for item in value:
            leave_extra_out(item)
    elif attrs.has(type(value)):
        for attribute in attrs.fields(type(value)):
            if attribute.name == "extra":
                value.extra.clear()
            else:
                leave_extra_out(getattr(value, attribute.name))


@asynccontextmanager
async def open_calls() -> AsyncIterator[Calls]:
    """Open the client that the whole application shares. It reads GHL_ACCESS_TOKEN by itself."""
    location_id = os.environ["GHL_LOCATION_ID"]
    base_url = os.environ.get("GHL_BASE_URL", HIGHLEVEL)
    rate_limit = RateLimit(max_requests=int(os.environ.get("GHL_MAX_REQUESTS", "100")))
    deadline = float(os.environ.get("GHL_DEADLINE", "10"))
    stopping = anyio.Event()
    async with VoiceAIClient(base_url=base_url, rate_limit=rate_limit) as client, asyncio.TaskGroup() as tasks:
        closing = tasks.create_task(_close_once_set(stopping, client))
        yield Calls(client, location_id, deadline, stopping)
        closing.cancel()


async def _close_once_set(stopping: anyio.Event, client: VoiceAIClient) -> None:
    await stopping.wait()
    await client.aclose()  # ends every bulk with a ClientClosedError, and so its stream with a word
