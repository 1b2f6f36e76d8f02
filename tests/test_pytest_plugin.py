from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ghl_voice_async as ghl
from ghl_voice_async import VoiceAIClient

if TYPE_CHECKING:
    from ghl_voice_async.testing import VoiceAIServer

PACKAGE = Path(ghl.__file__).parent


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


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Lay the package out as an installer does: pytest rewrites the asserts of what a plugin's record lists."""
    folder = tmp_path / "installed"
    metadata = folder / "ghl_voice_async-0.0.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "ghl_voice_async").symlink_to(PACKAGE, target_is_directory=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ghl-voice-async\nVersion: 0.0.0\n")
    (metadata / "entry_points.txt").write_text("[pytest11]\nghl_voice_async = ghl_voice_async.pytest_plugin\n")
    files = [path.relative_to(PACKAGE.parent).as_posix() for path in sorted(PACKAGE.rglob("*.py"))]
    (metadata / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    return folder


@pytest.mark.parametrize(
    ("start", "conftest"),
    [
        ("", "import ghl_voice_async.testing\n"),
        ("import ghl_voice_async; ", ""),
    ],
)
def test_an_import_before_pytest_rewrites_asserts_warns_of_nothing(
    start: str, conftest: str, installed: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pytest.ini").write_text("[pytest]\n")  # no settings of a folder above
    (project / "conftest.py").write_text(conftest)
    (project / "test_theirs.py").write_text("def test_it(voice_ai_server):\n    assert voice_ai_server.url\n")
    options = ["-q", "-W", "error", "-p", "no:asyncio", "-p", "no:xdist"]

    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{start}import pytest; raise SystemExit(pytest.main({options}))"],
        capture_output=True,
        check=False,
        text=True,
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(installed)},
    )

    assert (run.returncode, run.stderr) == (0, "")
    assert "1 passed" in run.stdout


def test_an_import_before_pytest_names_the_plugin_warns_of_nothing(tmp_path: Path) -> None:
    options = ["-q", "-W", "error", "-p", "ghl_voice_async.pytest_plugin", "--fixtures"]
    program = f"import ghl_voice_async.pytest_plugin, pytest; raise SystemExit(pytest.main({options}))"

    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        check=False,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )

    assert (run.returncode, run.stderr) == (0, "")
    assert "voice_ai_server" in run.stdout
