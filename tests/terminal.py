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
from itertools import takewhile
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Final

from attrs import define
from blocks import EXAMPLES, ROOT
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
                words = shlex.split(part)
                settings = [*takewhile(re.compile("[A-Z_]+=").match, words)]
                self._export(settings)
                self._run(words[len(settings) :], said)

    def _run(self, words: list[str], said: str) -> None:
        match words:
            case ["ghl-voice", "simulate", *options]:
                self._simulate(options, said)
            case ["ghl-voice", *arguments]:
                assert run(arguments) == 0, self.captured.readouterr().err
                assert self.captured.readouterr().out == said or not said
            case ["export", *assignments]:
                self._export(assignments)
            case ["python", "-c", program, ">", file]:
                command = [sys.executable, "-c", program]
                printed = subprocess.run(command, env=quiet(), capture_output=True, check=True).stdout
                Path(file).write_bytes(printed)
            case _:
                assert said == "", "this command is only looked at, so what it prints cannot be compared"
                look_at(words)

    def _export(self, assignments: list[str]) -> None:
        for assignment in assignments:
            name, _, value = assignment.partition("=")
            assert re.fullmatch("(GHL|REDIS)_[A-Z_]+", name), assignment
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


def look_at(words: list[str]) -> None:
    """Look whether what a command names is there, where running it would install things, take minutes, or never end."""
    match [words[0].removeprefix(".venv/bin/"), *words[1:]]:
        case ["python3", "-m", "venv", ".venv"] | [".", ".venv/bin/activate"]:
            pass  # the tests have an environment already
        case ["pip", "install", *requirements]:
            check_installable([word for word in requirements if not word.startswith("-")])
        case ["nox", *arguments]:
            check_sessions(arguments)
        case ["python", "-m", "pytest", *paths]:
            assert all((ROOT / path).exists() for path in paths), paths
        case ["python", program]:
            assert (EXAMPLES / program).exists()  # and test_docs_examples.py sees to it that it has its test
        case ["uvicorn" | "taskiq", *arguments]:
            (application,) = [word for word in arguments if ":" in word]
            check_application(application)
        case _:
            raise AssertionError(f"tests/terminal.py does not know how to run {shlex.join(words)}")


def check_application(application: str) -> None:
    """Look whether there is such an example, whose own tests start it: it serves until it is stopped."""
    module, _, name = application.partition(":")
    source = ast.parse((EXAMPLES / f"{module.replace('.', '/')}.py").read_text())
    assigned = [target for node in source.body if isinstance(node, ast.Assign) for target in node.targets]
    assert name in [ast.unparse(target) for target in assigned]


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
    extras: dict[str, list[str]] = project["project"]["optional-dependencies"]
    groups: dict[str, list[object]] = project["dependency-groups"]
    needed = [line for group in groups.values() for line in group if isinstance(line, str)]
    used = {"nox", *(re.split(r"[\[>=]", line)[0] for line in needed)}
    for requirement in requirements:
        if requirement not in used:
            found = re.fullmatch(r"(?:ghl-voice-async|\.)(?:\[([a-z,]+)\])?", requirement)
            assert found, requirement
            assert set((found[1] or "").split(",")) <= {"", *extras}, requirement


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
