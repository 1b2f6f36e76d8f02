"""A process with no file descriptor left, which can open neither a socket nor a module."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, json, os, resource, sys
import aiohttp
from ghl_voice_async import RetryPolicy, VoiceAIClient

async def main():
    policy = RetryPolicy(max_attempts=3, backoff_base=0.001)
    async with aiohttp.ClientSession(trust_env={trust_env}) as session:
        settings = {{"session": session}} if {trust_env} else {{}}
        async with VoiceAIClient("pit-made-up", base_url={url!r}, retry=policy, **settings) as client:
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            held = []
            try:
                while True:
                    held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                pass
            loaded = set(sys.modules)
            try:
                await client.get_call_log("call-1", "location-1")
            except Exception as error:
                failure = error
            loaded = sorted(set(sys.modules) - loaded)
            for descriptor in held:
                os.close(descriptor)
            print(json.dumps([type(failure).__name__, str(failure), getattr(failure, "attempts", None), loaded]))

asyncio.run(main())
"""


@pytest.mark.parametrize("trust_env", [False, True])
@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://127.0.0.1:9", "http://localhost:9", "https://no.such"])
def test_the_first_failure_imports_nothing_and_is_retried(url: str, trust_env: bool) -> None:
    program = PROGRAM.format(url=url, trust_env=trust_env)

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)

    kind, text, attempts, loaded = json.loads(done.stdout)
    assert (kind, attempts, loaded) == ("TransportError", 3, [])
    assert "Too many open files" in text


def test_a_policy_alone_does_not_load_tenacity() -> None:
    program = "from ghl_voice_async import RetryPolicy; RetryPolicy(); import sys; print('tenacity' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)

    assert done.stdout == "False\n"
