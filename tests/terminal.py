"""The terminal that the documents' `console` blocks are typed into."""

from __future__ import annotations

import ast
import re
import shlex
import signal
import socket
import subprocess
import sys
import tomllib
from threading import Timer
from typing import TYPE_CHECKING, Any, Final

from attrs import define
from blocks import ROOT
from command_line import PROGRAM, quiet

from ghl_voice_async.cli.app import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from ghl_voice_async.testing import VoiceAIServer

PATIENCE: Final = 30.0


@define
class Terminal:
    """Knows each command that a reader is asked to type, and what it is to a test."""

    server: VoiceAIServer
    environment: pytest.MonkeyPatch
    captured: pytest.CaptureFixture[str]

    def run_all(self, text: str) -> None:
        """Type each command of a block, and compare what it prints with what is said that it does."""
        for command, said in commands_of(text.replace("pit-…", self.server.token)):
            for part in command.split(" && "):
                self._run(shlex.split(part), said)

    def _run(self, words: list[str], said: str) -> None:
        match [words[0].removeprefix(".venv/bin/"), *words[1:]]:
            case ["ghl-voice", "simulate", *options]:
                self._simulate(options, said)
            case ["ghl-voice", *arguments]:
                assert run(arguments) == 0, self.captured.readouterr().err
                assert self.captured.readouterr().out == said or not said
            case ["export", *assignments]:
                self._export(assignments)
            case ["pip", "install", *words]:
                check_installable([word for word in words if not word.startswith("-")])
            case ["nox", *arguments]:
                check_sessions(arguments)
            case ["python", "-m", "pytest", *paths]:
                assert all((ROOT / path).exists() for path in paths), paths
            case ["python3", "-m", "venv", ".venv"] | [".", ".venv/bin/activate"]:
                pass  # the tests have an environment already
            case _:
                raise AssertionError(f"tests/terminal.py does not know how to run {shlex.join(words)}")

    def _export(self, assignments: list[str]) -> None:
        for assignment in assignments:
            name, _, value = assignment.partition("=")
            assert re.fullmatch("GHL_[A-Z_]+", name), assignment
            self.environment.setenv(name, self.server.url if name == "GHL_BASE_URL" else value)

    def _simulate(self, options: list[str], said: str) -> None:
        """Start the simulator on a port that is free, and stop it as one does."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        command = [sys.executable, "-c", PROGRAM, "simulate", *(port if word == "8765" else word for word in options)]
        with subprocess.Popen(command, env=quiet(), stdout=subprocess.PIPE, text=True) as simulator:
            assert simulator.stdout is not None
            overdue = Timer(PATIENCE, simulator.kill)
            overdue.start()
            shown = "".join(simulator.stdout.readline() for _ in said.splitlines() or [""])
            simulator.send_signal(signal.SIGINT)
            simulator.stdout.read()
            overdue.cancel()
        assert simulator.returncode == 0
        assert shown
        assert shown == said.replace("8765", port) or not said


def commands_of(text: str) -> Iterator[tuple[str, str]]:
    """Give each command of a block with the output that is shown for it."""
    first, *blocks = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert first == "", "a console block begins with a command"
    for block in blocks:
        command, _, output = block.partition("\n")
        yield command, output


def check_installable(requirements: list[str]) -> None:
    """Look whether what pip is asked for are extras of this project, or what its own groups name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    known: dict[str, Any] = project["project"]["optional-dependencies"]
    tools = {"nox"}
    for requirement in requirements:
        found = re.fullmatch(r"(ghl-voice-async|\.)(?:\[([a-z,]+)\])?", requirement)
        assert found or requirement in tools, requirement
        if found and found[2]:
            assert set(found[2].split(",")) <= set(known), requirement


def check_sessions(arguments: list[str]) -> None:
    """Look whether the sessions that nox is asked for exist, and the tables of benchmarks."""
    source = ast.parse((ROOT / "noxfile.py").read_text())
    functions = {node.name for node in source.body if isinstance(node, ast.FunctionDef) and node.decorator_list}
    match arguments:
        case ["-l"]:
            pass
        case ["-s", "benchmarks", "--", *tables]:
            assert all((ROOT / f"tests/benchmarks/bench_{table}.py").exists() for table in tables), tables
        case ["-s", *sessions]:
            assert sessions
            assert set(sessions) <= functions, sessions
        case _:
            raise AssertionError(f"nox is not known to take {arguments}")
