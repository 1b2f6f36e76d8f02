"""The documents tell the truth: links lead somewhere, and drawings show what is there."""

from __future__ import annotations

import asyncio
import inspect
import io
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from blocks import DOCUMENTS, ROOT, blocks_of
from command_line import PROGRAM, quiet
from rich.console import Console
from virtual_time import run_in_virtual_time

import ghl_voice_async.session
from ghl_voice_async import (
    CallEvent,
    CallRef,
    LimitEvent,
    Permit,
    RateLimit,
    RateLimiter,
    RequestEvent,
    ResponseEvent,
    VoiceAIClient,
)
from ghl_voice_async.cli.progress import Tally, show_progress
from ghl_voice_async.testing import VoiceAIServer, running_in_thread

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = ROOT / "ghl_voice_async"
README = (ROOT / "README.md").read_text()


def block_with(part: str, document: str) -> str:
    (found,) = [block.text for block in blocks_of(document) if part in block.text]
    return found


@pytest.mark.parametrize("session", ["demo", "tests"])
def test_the_readme_has_the_commands_that_always_hold(session: str) -> None:
    command = f"python3 -m venv .venv && .venv/bin/pip install -q nox && .venv/bin/nox -s {session}"
    assert f"\n    {command}\n" in README


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_within_the_project_leads_somewhere(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_every_page_is_in_one_table_of_contents() -> None:
    contents = [block.text for block in blocks_of("docs/index.md") if block.kind == "{toctree}"]
    listed = [line for text in contents for line in text.splitlines() if line and not line.startswith(":")]
    assert sorted(f"docs/{page}.md" for page in ["index", *listed]) == [name for name in DOCUMENTS if "/" in name]


def test_the_drawing_and_the_map_of_the_source_name_files_that_are_there() -> None:
    document = (ROOT / "docs/how-a-call-goes.md").read_text()
    named = set(re.findall(r"([a-z_]+\.py)", document))
    assert named <= {path.name for path in PACKAGE.iterdir()}
    unnamed = {path.name for path in PACKAGE.glob("*.py")} - named
    assert unnamed == {"__init__.py", "version.py", "validation.py", "result.py", "pytest_plugin.py"}


def test_the_pipeline_is_drawn_as_in_the_source() -> None:
    drawn = block_with("deadline( retry(", "docs/how-a-call-goes.md").strip()
    assert drawn in str(ghl_voice_async.session.__doc__)


def test_the_bar_that_fetch_shows_is_as_drawn() -> None:
    drawn = block_with("1166/3000", "docs/fetch.md").strip()
    tally = Tally.of([CallRef(str(number), "LOC") for number in range(3000)], RateLimit())
    seconds = 1166 / 9.8
    tally.clock = lambda: seconds
    tally._started_at, tally.fetched, tally.retried = 0.0, 1166, 14
    tally.remaining["LOC"] -= 1166
    console = Console(force_terminal=True, force_interactive=True, width=120, record=True, file=io.StringIO())

    async def look() -> None:
        showing = asyncio.create_task(show_progress(tally, console))
        await asyncio.sleep(0.3)
        showing.cancel()

    run_in_virtual_time(look())
    assert drawn in console.export_text()


def test_the_line_of_the_crontab_fetches(tmp_path: Path) -> None:
    line = block_with("15 2 * * *", "docs/fetch.md")
    command = line.split(maxsplit=5)[5].replace("/var/lib/calls", str(tmp_path))
    (tmp_path / "ghl-voice").write_text(f"#!/bin/sh\nexec {sys.executable} -c '{PROGRAM}' \"$@\"\n")
    (tmp_path / "ghl-voice").chmod(0o755)
    with running_in_thread(VoiceAIServer()) as server:
        (tmp_path / "ids.txt").write_text("\n".join(server.call_ids(2)))
        settings = {"GHL_BASE_URL": server.url, "GHL_ACCESS_TOKEN": server.token, "GHL_LOCATION_ID": server.location_id}
        environment = {**quiet(), **settings, "PATH": f"{tmp_path}:/usr/bin:/bin"}
        answer = subprocess.run(command, shell=True, env=environment, capture_output=True, check=False)
        assert (answer.returncode, answer.stderr, server.seen.requests) == (0, b"", 2)
    assert (tmp_path / "calls.db").exists()


async def test_the_limiter_in_the_docstring_of_the_protocol_works(server: VoiceAIServer) -> None:
    _, _, example = inspect.cleandoc(str(RateLimiter.__doc__)).partition("::\n")
    names: dict[str, Any] = {"asyncio": asyncio, "Mapping": Mapping, "Permit": Permit}
    exec(compile(textwrap.dedent(example), "RateLimiter", "exec"), names)  # ours
    limiter = names["OneAtATime"]()
    kinds: list[type[CallEvent]] = []

    async with VoiceAIClient(server.token, base_url=server.url, rate_limit=limiter) as client:
        client.add_hook(lambda event: kinds.append(type(event)))
        await asyncio.gather(*(client.get_call_log(call_id, server.location_id) for call_id in server.call_ids(5)))
    assert [kind for kind in kinds if kind is not LimitEvent] == [RequestEvent, ResponseEvent] * 5
