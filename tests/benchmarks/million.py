"""A million ids from a generator, or as many as fit ten minutes, and the memory of the process on the way."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from ghl_voice_async import VoiceAIClient

sys.path.insert(0, str(Path(__file__).parents[1]))

from wire import CALL, answer

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = 1_000_000
LONGEST = 600.0  # seconds
BODY = answer(b'{"id": "%b", "summary": "%b"}' % (CALL.encode(), b"x" * 2000))


class Answering(asyncio.Protocol):
    """Answers each request at once, without a look at it."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(BODY * data.count(b"\r\n\r\n"))


def memory() -> float:
    """Return the resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def ids() -> Iterator[str]:
    for number in count():
        if number == IDS:
            return
        yield f"{number:024x}"


async def main() -> None:
    console = Console(highlight=False, soft_wrap=True)
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    started, cpu = time.perf_counter(), time.process_time()
    done = failed = 0
    async with server, VoiceAIClient("pit-x", base_url=url, rate_limit=None) as client:
        async for result in client.fetch_call_logs(ids(), "LOC"):
            done += 1
            failed += not result.ok
            if done % (IDS // 20) == 0:
                took = time.perf_counter() - started
                per_call = (time.process_time() - cpu) / done * 1e6
                console.print(f"{done:>9,} ids  {memory():6.1f} MB  {took:6.1f} s  {per_call:4.0f} µs of CPU a call")
                if took > LONGEST:
                    break
    console.print(
        f"{done:,} results, {failed} failed, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.1f} MB"
    )


if __name__ == "__main__":
    asyncio.run(main())
