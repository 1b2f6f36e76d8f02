"""The documents tell the truth: their programs run, and print what is said that they print."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import runpy
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ghl_voice_async import CallEvent, LimitEvent, Permit, RateLimiter, RequestEvent, ResponseEvent, VoiceAIClient
from ghl_voice_async.cli.app import run
from ghl_voice_async.testing import VoiceAIServer, running_in_thread

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
README = (ROOT / "README.md").read_text()
TUTORIAL_CALL = "6500001fe412c3d768bfeb10"


def python_blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def environment(voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch) -> VoiceAIServer:
    """Be in the terminal that the tutorial asks for; failures are tried again without a wait."""
    monkeypatch.setenv("GHL_BASE_URL", voice_ai_server.url)
    monkeypatch.setenv("GHL_ACCESS_TOKEN", voice_ai_server.token)
    monkeypatch.setattr("ghl_voice_async.retry.random.random", lambda: 0.0)
    return voice_ai_server


@pytest.mark.parametrize("session", ["demo", "tests"])
def test_the_readme_has_the_commands_that_always_hold(session: str) -> None:
    command = f"python3 -m venv .venv && .venv/bin/pip install -q nox && .venv/bin/nox -s {session}"
    assert f"\n    {command}\n" in README


def test_the_readmes_first_call_runs(
    environment: VoiceAIServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    defaults = VoiceAIClient.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "base_url", environment.url)
    exec(compile(python_blocks(README)[0], "README.md", "exec"), {})  # ours
    printed = capsys.readouterr().out
    assert "Esme Duval called about a dental check-up" in printed
    assert "SMS Text the appointment" in printed


@pytest.mark.parametrize("document", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_every_python_block_is_python(document: str) -> None:
    for block in python_blocks((ROOT / document).read_text()):
        compile(block, document, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("document", [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"], ids=lambda path: path.name)
def test_every_link_within_the_project_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


@pytest.mark.usefixtures("environment")
def test_the_tutorials_page_is_what_get_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["get", TUTORIAL_CALL, "--location", "ve9EPM428h8vShlRW1KT", "--pretty"]) == 0
    shown = "".join(f"{line.rstrip()}\n" for line in capsys.readouterr().out.splitlines())
    assert shown == (EXAMPLES / "page.txt").read_text()


@pytest.mark.usefixtures("environment")
def test_the_tutorials_first_call_runs(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "first_call.py"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{TUTORIAL_CALL} 2026-04-28 13:43:46+00:00 1602"
    assert any(line.startswith("sent a text: See you on Thursday") for line in lines)


def test_the_tutorials_many_calls_run(environment: VoiceAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "many_at_once.py"))
    assert capsys.readouterr().out.startswith("200 call logs in ")
    assert (environment.seen.requests, environment.seen.refused) == (200, 0)


@pytest.mark.usefixtures("environment")
def test_the_tutorials_errors_are_what_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "errors.py"))
    assert capsys.readouterr().out == (EXAMPLES / "errors.txt").read_text()


def test_the_metrics_example_prints_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "metrics.py"))
    assert capsys.readouterr().out == (EXAMPLES / "metrics.txt").read_text()


def test_the_rate_limits_example_prints_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "rate_limits.py"))
    assert capsys.readouterr().out == (EXAMPLES / "rate_limits.txt").read_text()


def test_the_bulk_example_prints_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "many_calls.py"))
    assert capsys.readouterr().out == (EXAMPLES / "many_calls.txt").read_text()


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Have `ghl-voice fetch` put the calls of two locations into both kinds of output."""
    folder = tmp_path_factory.mktemp("fetched")
    with running_in_thread(VoiceAIServer(max_requests=None)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GHL_BASE_URL", server.url)
        patch.setenv("GHL_ACCESS_TOKEN", server.token)
        patch.chdir(folder)
        ids = [f"{id_},{name}" for name in ("dentist", "garage") for id_ in server.call_ids(50, name)]
        Path("ids.txt").write_text("\n".join(ids))
        for output in ("calls.jsonl", "calls.db"):
            assert run(["fetch", "ids.txt", "--output", output, "--quiet", "--rate-limit", "none"]) == 0
    return folder


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("calls_by_month.sql", [("2025-09", 3, 0.4), ("2025-10", 13, 4.0), ("2025-11", 3, 1.1)]),
        ("actions.sql", [("SMS", 42), ("IN_CALL_DATA_EXTRACTION", 40), ("CUSTOM_ACTION", 36)]),
    ],
)
def test_the_queries_answer(fetched: Path, query: str, rows: list[tuple[object, ...]]) -> None:
    with closing(sqlite3.connect(fetched / "calls.db")) as database:
        assert database.execute((EXAMPLES / query).read_text()).fetchall() == rows


@pytest.mark.parametrize("recipe", ["with_duckdb", "with_pandas", "extracted_data"])
def test_the_recipes_print_what_is_said(fetched: Path, recipe: str) -> None:
    # What these libraries warn of is not ours.
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONWARNINGS", "PYTHONDEVMODE"}}
    command = [sys.executable, str(EXAMPLES / f"{recipe}.py")]
    answer = subprocess.run(command, capture_output=True, check=False, text=True, cwd=fetched, env=environment)
    printed = "".join(f"{line.rstrip()}\n" for line in answer.stdout.splitlines())
    assert printed == (EXAMPLES / f"{recipe}.txt").read_text(), answer.stderr


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


def test_the_tests_of_the_testing_page_pass(tmp_path: Path) -> None:
    test_file = tmp_path / "test_summaries.py"
    test_file.write_text((EXAMPLES / "test_summaries.py").read_text())
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
        str(test_file),
    ]
    answer = subprocess.run(command, capture_output=True, check=False, text=True, cwd=tmp_path)
    assert "3 passed" in answer.stdout, answer.stdout


async def test_the_token_provider_refreshes_once_for_all_and_survives_a_cancellation() -> None:
    refreshed = 0

    async def refresh() -> str:
        nonlocal refreshed
        refreshed += 1
        await asyncio.sleep(0)
        return f"token-{refreshed}"

    provider = runpy.run_path(str(EXAMPLES / "token_provider.py"))["RefreshedToken"]("token-0", refresh)
    first, *others = [asyncio.create_task(provider.token_refused("LOC", "token-0")) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(*others)
    await provider.token_refused("LOC", "token-0")
    assert (await provider.get_token("LOC"), refreshed) == ("token-1", 1)


def test_the_changelog_names_the_version_or_what_is_unreleased() -> None:
    assert re.search(r"^## (Unreleased|\d+\.\d+\.\d+)", (ROOT / "docs" / "changelog.md").read_text(), re.MULTILINE)
