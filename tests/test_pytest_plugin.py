from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

from ghl_voice_async import VoiceAIClient

if TYPE_CHECKING:
    from pathlib import Path

    from ghl_voice_async.testing import VoiceAIServer


async def fetch(server: VoiceAIServer) -> str:
    async with VoiceAIClient(server.token, base_url=server.url) as client:
        return (await client.get_call_log(server.call_ids(1)[0], server.location_id)).id


def test_the_fixture_serves_a_test_that_is_not_async(voice_ai_server: VoiceAIServer) -> None:
    assert asyncio.run(fetch(voice_ai_server)) == voice_ai_server.call_ids(1)[0]


async def test_the_fixture_serves_a_test_that_is_async(voice_ai_server: VoiceAIServer) -> None:
    assert await fetch(voice_ai_server) == voice_ai_server.call_ids(1)[0]


def test_the_fixture_is_there_for_whoever_installs_the_package(tmp_path: Path) -> None:
    test_file = tmp_path / "test_theirs.py"
    test_file.write_text(
        "def test_it(voice_ai_server):\n    assert voice_ai_server.url.startswith('http://127.0.0.1:')\n"
    )
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", "asyncio_default_fixture_loop_scope=function", str(test_file)],
        capture_output=True,
        check=False,
        text=True,
        cwd=tmp_path,
    )
    assert "1 passed" in answer.stdout


def test_pytest_starts_without_loading_a_web_server() -> None:
    program = "import sys, ghl_voice_async.pytest_plugin; print('aiohttp' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert answer.stdout.strip() == "False"
