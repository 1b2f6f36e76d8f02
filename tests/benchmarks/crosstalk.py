"""Ten thousand calls to a server with stray responses: over plain TCP and TLS, on asyncio and uvloop.

It fails where a call got the body of another. The argument is the number of calls of each run.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
from pathlib import Path

import aiohttp
import uvloop

from ghl_voice_async.connector import Connector

sys.path.append(str(Path(__file__).parents[1]))  # what the tests share

from stray_responses import Certificates, Outcome, StrayResponses, fetch_all, serving


async def run(calls: int, certificates: Certificates, kind: type[aiohttp.TCPConnector], *, has_tls: bool) -> Outcome:
    tls = certificates.server if has_tls else None
    async with (
        serving(StrayResponses(random.Random(calls)), tls=tls) as server,
        aiohttp.ClientSession(connector=certificates.connector(kind)) as session,
    ):
        return await fetch_all(server.url, calls, session)


def main() -> int:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    logging.getLogger("ghl_voice_async").setLevel(logging.ERROR)
    certificates = Certificates()
    wrong = 0
    for kind in (Connector, aiohttp.TCPConnector):
        for has_tls in (False, True):
            for loop_factory in (asyncio.new_event_loop, uvloop.new_event_loop):
                with asyncio.Runner(loop_factory=loop_factory) as runner:
                    outcome = runner.run(run(calls, certificates, kind, has_tls=has_tls))
                names = kind.__name__, "TLS" if has_tls else "TCP", loop_factory.__module__.split(".")[0]
                print(*names, outcome, flush=True)  # noqa: T201
                wrong += outcome.wrong
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
