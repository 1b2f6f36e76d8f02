"""What people install: the wheel and the sdist, built from a copy of the project that has been worked in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import installer
import pytest
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from readme_renderer import markdown

from ghl_voice_async import __version__

ROOT = Path(__file__).parents[1]
PARTS = (".gitignore", "LICENSE", "README.md", "docs", "ghl_voice_async", "noxfile.py", "pyproject.toml", "tests")
MADE = shutil.ignore_patterns("__pycache__", "_build", ".*_cache")
# What people who work on the project have lying about, none of which is for anybody else.
LITTER = (
    ".ci/run",
    ".coverage",
    ".git/config",
    ".github/workflows/ci.yml",
    ".hypothesis/examples/1",
    ".mypy_cache/CACHEDIR.TAG",
    ".nox/tests-3-11/pyvenv.cfg",
    ".venv/pyvenv.cfg",
    "calls.jsonl",
    "dist/ghl_voice_async-0.0.1.tar.gz",
    "docs/_build/html/index.html",
    "docs/examples/__pycache__/metrics.cpython-311.pyc",
    "figures.json",
    "ghl_voice_async/__pycache__/client.cpython-311.pyc",
    "ghl_voice_async/cli/.ruff_cache/CACHEDIR.TAG",
    "tests/.pytest_cache/README.md",
    "tests/__pycache__/conftest.cpython-311.pyc",
)
# Warnings of the tools that build are not ours, and what is imported has to be what is installed.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


class Built(NamedTuple):
    files: set[str]  # of the project, without the litter
    sdist: Path
    wheel: Path  # built from the sdist, as `python -m build` does
    wheel_of_tree: Path


def build(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, check=False, text=True, env=ENVIRONMENT)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    tree = folder / "tree"
    tree.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, tree / part, ignore=MADE)
        else:
            shutil.copy(ROOT / part, tree)
    files = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    for name in LITTER:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("litter")
    build(tree, "--outdir", folder / "both")
    build(tree, "--outdir", folder / "of-tree", "--wheel")
    (sdist,), (wheel,) = (folder / "both").glob("*.tar.gz"), (folder / "both").glob("*.whl")
    (wheel_of_tree,) = (folder / "of-tree").iterdir()
    return Built(files, sdist, wheel, wheel_of_tree)


@pytest.fixture(scope="module")
def contents(built: Built) -> dict[str, bytes]:
    """Give the files of the wheel."""
    with zipfile.ZipFile(built.wheel) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


@pytest.fixture(scope="module")
def described(contents: dict[str, bytes]) -> Metadata:
    """Give the wheel's metadata, which an index would take as they are."""
    return Metadata.from_email(contents[f"ghl_voice_async-{__version__}.dist-info/METADATA"], validate=True)


def test_the_wheel_is_for_every_machine_and_python_3(built: Built) -> None:
    assert built.wheel.name == f"ghl_voice_async-{__version__}-py3-none-any.whl"


def test_the_wheel_has_every_file_of_the_package_and_beside_it_only_what_describes_it(
    built: Built, contents: dict[str, bytes]
) -> None:
    package = {name for name in built.files if name.startswith("ghl_voice_async/")}
    description = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    assert set(contents) == package | {f"ghl_voice_async-{__version__}.dist-info/{name}" for name in description}


def test_the_wheel_has_python_and_the_mark_that_it_is_typed(contents: dict[str, bytes]) -> None:
    package = {name for name in contents if name.startswith("ghl_voice_async/")}
    assert {name for name in package if not name.endswith(".py")} == {"ghl_voice_async/py.typed"}


def test_the_sdist_has_what_it_takes_to_build_test_and_document_the_package(built: Built) -> None:
    with tarfile.open(built.sdist) as sdist:
        names = {member.name for member in sdist.getmembers()}
    assert names == {f"ghl_voice_async-{__version__}/{name}" for name in {*built.files, "PKG-INFO"}}


def test_the_wheel_is_the_same_from_the_sdist_as_from_the_tree(built: Built) -> None:
    assert built.wheel.read_bytes() == built.wheel_of_tree.read_bytes()


def test_the_metadata_say_what_it_is(described: Metadata) -> None:
    assert (described.name, str(described.version)) == ("ghl-voice-async", __version__)
    assert described.summary == "The asyncio SDK for HighLevel Voice AI call logs: typed, paced, retried."
    assert described.requires_python == SpecifierSet(">=3.11")
    assert "Typing :: Typed" in (described.classifiers or [])


def test_the_licence_is_mit_and_comes_with_it(described: Metadata, contents: dict[str, bytes]) -> None:
    assert (described.license_expression, described.license_files) == ("MIT", ["LICENSE"])
    licence = contents[f"ghl_voice_async-{__version__}.dist-info/licenses/LICENSE"]
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert licence.startswith(b"MIT License")


def test_the_pythons_that_it_names_are_those_that_it_is_tested_with(described: Metadata) -> None:
    tested = re.findall(r"\((3), (\d+)\)", (ROOT / "noxfile.py").read_text())
    named = re.findall(r"Python :: (\d+)\.(\d+)", "\n".join(described.classifiers or []))
    assert named == tested
    assert described.requires_python == SpecifierSet(f">={'.'.join(tested[0])}")


def test_it_asks_for_five_libraries_and_for_more_in_two_extras(described: Metadata) -> None:
    asked: dict[str, set[str]] = {}
    for requirement in described.requires_dist or []:
        extra = re.fullmatch(r"extra == ['\"](\w+)['\"]", str(requirement.marker or 'extra == "none"'))
        assert extra, requirement
        asked.setdefault(extra[1], set()).add(requirement.name)
    assert asked == {
        "none": {"aiohttp", "attrs", "cattrs", "orjson", "tenacity"},
        "cli": {"click", "rich"},
        "testing": {"hypothesis"},
    }
    assert described.provides_extra == ["cli", "testing"]


def test_it_sets_no_ceiling_to_the_libraries_that_it_asks_for(described: Metadata) -> None:
    """A ceiling would keep whoever installs it from the fixes of others, for a breakage that may never come."""
    operators = {specifier.operator for item in described.requires_dist or [] for specifier in item.specifier}
    assert operators == {">="}


def test_it_brings_a_command_and_a_pytest_plugin(contents: dict[str, bytes]) -> None:
    entry_points = ConfigParser()
    entry_points.read_string(contents[f"ghl_voice_async-{__version__}.dist-info/entry_points.txt"].decode())
    assert {section: dict(entry_points[section]) for section in entry_points.sections()} == {
        "console_scripts": {"ghl-voice": "ghl_voice_async.cli:main"},
        "pytest11": {"ghl_voice_async": "ghl_voice_async.pytest_plugin"},
    }


def test_an_index_can_show_the_readme_and_no_link_in_it_is_dead(described: Metadata) -> None:
    assert described.description_content_type == "text/markdown"
    assert described.description is not None
    assert described.description.startswith("# ghl-voice-async\n")
    page = markdown.render(described.description)
    assert page is not None
    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_the_pages_that_an_index_names_are_in_the_sdist(described: Metadata, built: Built) -> None:
    pages = set(re.findall(r"\(`(docs/[^`]+)`\)", described.description or ""))
    assert "docs/tutorial.md" in pages
    assert pages <= built.files


def with_what_it_asks_for(requirement: Requirement) -> set[NormalizedName]:
    """Return the names of a library, of those that it asks for, and of those that they ask for, without extras."""
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return set()
    further = map(Requirement, metadata.requires(requirement.name) or [])
    return {canonicalize_name(requirement.name)}.union(*map(with_what_it_asks_for, further))


@pytest.fixture(scope="module")
def bin_folder(built: Built, described: Metadata, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an environment with the wheel and the libraries that it asks for, and nothing else.

    The libraries are those of the environment that the tests run in, so that nothing is downloaded.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.EnvBuilder(symlinks=True).create(folder)
    paths = sysconfig.get_paths("venv", vars={"base": str(folder), "platbase": str(folder)})
    python = Path(paths["scripts"], "python")
    with WheelFile.open(built.wheel) as wheel:
        installer.install(wheel, SchemeDictionaryDestination(paths, str(python), "posix"), additional_metadata={})
    for name in set[NormalizedName]().union(*map(with_what_it_asks_for, described.requires_dist or [])):
        library = metadata.distribution(name)
        for top in {file.parts[0] for file in library.files or []} - {"..", "__pycache__"}:
            Path(paths["purelib"], top).symlink_to(str(library.locate_file(top)))
    return python.parent


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, check=False, text=True, env=ENVIRONMENT, timeout=60
    )


@pytest.mark.parametrize("module", ["click", "rich", "hypothesis", "pytest"])
def test_the_environment_of_these_tests_has_no_extra(bin_folder: Path, module: str) -> None:
    answer = run(bin_folder / "python", "-c", f"import {module}")
    assert f"No module named '{module}'" in answer.stderr


def test_without_an_extra_it_gets_a_call_log(bin_folder: Path) -> None:
    program = """
import asyncio

from ghl_voice_async import *
from ghl_voice_async.testing import VoiceAIServer


async def main():
    async with VoiceAIServer() as server, VoiceAIClient(server.token, base_url=server.url) as client:
        call = await client.get_call_log(server.call_ids(1)[0], server.location_id)
        assert call == decode_call_log(server.call_log(call.id))
        print(__version__)


asyncio.run(main())
"""
    answer = run(bin_folder / "python", "-W", "error", "-c", program)
    assert (answer.stdout, answer.stderr) == (f"{__version__}\n", "")


def test_without_its_extra_the_command_line_says_in_one_line_what_to_install(bin_folder: Path) -> None:
    answer = run(bin_folder / "ghl-voice", "get", "CALL")
    assert answer.stderr == "ghl-voice needs click: pip install 'ghl-voice-async[cli]'\n"
    assert (answer.stdout, answer.returncode) == ("", 2)


def test_without_their_extra_the_strategies_say_what_to_install(bin_folder: Path) -> None:
    answer = run(bin_folder / "python", "-c", "import ghl_voice_async.testing.strategies")
    assert answer.stderr.splitlines()[-2:] == [
        "ModuleNotFoundError: No module named 'hypothesis'",
        "pip install 'ghl-voice-async[testing]' brings it.",
    ]
