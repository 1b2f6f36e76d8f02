"""Calls through the official SDK, which is installed in an environment of its own."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from highlevel import HighLevel
from rounds import LOCATION, FetchAll, serve, with_workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def official_sdk(url: str, concurrency: int) -> AsyncIterator[FetchAll]:
    HighLevel.BASE_URL = url
    client = HighLevel(private_integration_token="pit-benchmark")
    yield with_workers(lambda call_id: client.voice_ai.get_call_log(call_id, LOCATION), concurrency)
    await client.http_client.aclose()


asyncio.run(serve(official_sdk(sys.argv[2], int(sys.argv[3]))))
