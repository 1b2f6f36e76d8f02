from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from command_line import PROGRAM, error_line, quiet

from ghl_voice_async import __version__, cli, decode_call_log
from ghl_voice_async.cli.app import ghl_voice, run
from ghl_voice_async.cli.storing import Storing
from ghl_voice_async.testing import BadJSON, Status, VoiceAIServer

if TYPE_CHECKING:
    from collections.abc import Callable

Capture = pytest.CaptureFixture[str]
Command = list[str]


@pytest.fixture
def get(voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Command]:
    """Make command lines that ask for the server's first call log, with all that they need in the environment."""
    monkeypatch.setenv("GHL_ACCESS_TOKEN", voice_ai_server.token)
    monkeypatch.setenv("GHL_BASE_URL", voice_ai_server.url)
    monkeypatch.setenv("GHL_LOCATION_ID", voice_ai_server.location_id)
    return lambda *options: ["get", voice_ai_server.call_ids(1)[0], *options]


def test_get_prints_a_call_log_as_the_api_writes_it(
    get: Callable[..., Command], voice_ai_server: VoiceAIServer, capsys: Capture
) -> None:
    call_id = voice_ai_server.add_call_log({"id": "mine", "summary": "Grüße", "callScore": 7})
    assert run(["get", call_id]) == 0
    assert capsys.readouterr().out == '{\n  "id": "mine",\n  "summary": "Grüße",\n  "callScore": 7\n}\n'
    assert run(get()) == 0
    assert json.loads(capsys.readouterr().out)["id"] == voice_ai_server.call_ids(1)[0]


def test_get_pretty_prints_a_page(get: Callable[..., Command], voice_ai_server: VoiceAIServer, capsys: Capture) -> None:
    assert run(get("--pretty")) == 0
    assert f"Call {voice_ai_server.call_ids(1)[0]}" in capsys.readouterr().out


def test_options_stand_before_the_environment(
    get: Callable[..., Command], voice_ai_server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GHL_LOCATION_ID", "elsewhere")
    monkeypatch.setenv("GHL_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("GHL_ACCESS_TOKEN", "pit-other")
    token_file = tmp_path / "token"
    token_file.write_text(f"{voice_ai_server.token}\n")
    options = ["--location", voice_ai_server.location_id, "--base-url", voice_ai_server.url]
    assert run(get(*options, "--token-file", str(token_file))) == 0


def test_a_token_is_no_option_since_it_would_show_in_the_process_list(
    get: Callable[..., Command], capsys: Capture
) -> None:
    assert run(get("--token", "pit-secret")) == 2
    assert "pit-secret" not in error_line(capsys)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Status(404, '{"message": "Call log not found"}'), (1, "HTTP 404: Call log not found [call '65")),
        (Status(501), (1, "HTTP 501: Not Implemented")),
        (BadJSON(), (1, "not a call log: $: not JSON")),
        (Status(401, '{"message": "no"}'), (3, "HTTP 401: no")),
        (Status(403, '{"message": "no"}'), (3, "has the scope voice-ai-dashboard.readonly")),
        (Status(404, '{"message": "a\\u001b[2Jb\\nc"}'), (1, "HTTP 404: a [2Jb c")),
    ],
    ids=repr,
)
def test_a_call_that_fails_is_one_line_and_an_exit_code(
    get: Callable[..., Command],
    voice_ai_server: VoiceAIServer,
    capsys: Capture,
    fault: Status,
    outcome: tuple[int, str],
) -> None:
    code, text = outcome
    voice_ai_server.fail(fault)
    assert run(get()) == code
    assert text in error_line(capsys)


def test_a_call_log_that_is_nested_deeply_is_printed_at_its_depth(
    get: Callable[..., Command], voice_ai_server: VoiceAIServer, capsys: Capture
) -> None:
    command = get()
    body = f'{{"id": "{command[1]}", "x": {"[" * 1000}1{"]" * 1000}}}'
    voice_ai_server.fail(Status(200, body))

    assert run(command) == 0

    assert decode_call_log(capsys.readouterr().out) == decode_call_log(body)


@pytest.mark.usefixtures("get")
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["get"], "Missing argument 'CALL_ID'. See ghl-voice get --help."),
        (["get", "a/b"], "call_id must be 1 to 256 of the characters"),
        (["get", "a", "--location", ""], "location_id must be 1 to 256"),
        (["get", "a", "--base-url", "http://example.com"], "use https://"),
        (["get", "a", "--token-file", "/no/such/file"], "does not exist"),
        (["fly"], "No such command 'fly'"),
        (["simulate", "--port", "70000"], "70000 is not in the range"),
        (["demo", "--calls", "0"], "0 is not in the range"),
        (["demo", "--faults", "nan"], "nan is not a finite number"),
        (["simulate", "--interval", "inf"], "inf is not a finite number"),
    ],
    ids=" ".join,
)
def test_bad_usage_is_one_line_and_exit_code_2(
    voice_ai_server: VoiceAIServer, capsys: Capture, arguments: Command, text: str
) -> None:
    assert run(arguments) == 2
    assert text in error_line(capsys)
    assert voice_ai_server.seen.requests == 0


@pytest.mark.parametrize("name", ["GHL_LOCATION_ID", "GHL_ACCESS_TOKEN"])
def test_what_is_missing_is_named(
    get: Callable[..., Command], monkeypatch: pytest.MonkeyPatch, capsys: Capture, name: str
) -> None:
    monkeypatch.delenv(name)
    assert run(get()) == 2
    assert {"GHL_LOCATION_ID": "--location", "GHL_ACCESS_TOKEN": "GHL_ACCESS_TOKEN"}[name] in error_line(capsys)


def test_without_a_command_the_help_is_pointed_to(capsys: Capture) -> None:
    assert run([]) == 2
    assert error_line(capsys) == "ghl-voice: Missing command. See ghl-voice --help.\n"
    assert run(["--help"]) == 0
    assert "Exit codes: 0 all is well" in " ".join(capsys.readouterr().out.split())


def test_the_version_is_shown(capsys: Capture) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"ghl-voice, version {__version__}\n"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, click.Abort])
def test_an_interruption_is_exit_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, interruption: type[BaseException]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise interruption

    monkeypatch.setattr(ghl_voice, "main", interrupt)
    assert run(["demo"]) == 130
    assert error_line(capsys) == "ghl-voice: interrupted\n"


@pytest.mark.parametrize("options", [[], ["--pretty"]])
def test_a_reader_that_leaves_early_is_no_traceback(get: Callable[..., Command], options: Command) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *get(*options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=quiet(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_output_that_cannot_be_written_is_one_line(
    get: Callable[..., Command], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ghl_voice, "main", full)
    assert run(get()) == 1
    assert error_line(capsys) == "ghl-voice: cannot write: No space left on device\n"


def test_the_console_script_runs() -> None:
    script = Path(sys.executable).with_name("ghl-voice")
    answer = subprocess.run([script, "--version"], capture_output=True, check=True, text=True)
    assert answer.stdout == f"ghl-voice, version {__version__}\n"


def test_main_gives_the_arguments_of_the_process_to_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys, "argv", ["ghl-voice", "--version"])
    assert cli.main() == 0
    assert __version__ in capsys.readouterr().out


def test_without_the_extra_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.delitem(sys.modules, "ghl_voice_async.cli.app")
    monkeypatch.setitem(sys.modules, "click", None)
    assert cli.main() == 2
    assert capsys.readouterr().err == "ghl-voice needs click: pip install 'ghl-voice-async[cli]'\n"


def test_an_interruption_while_it_is_loading_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "ghl_voice_async.cli.app")
    monkeypatch.setattr("builtins.__import__", interrupt)
    code = cli.main()
    monkeypatch.undo()
    assert code == 130
    assert error_line(capsys) == "ghl-voice: interrupted\n"


def test_the_help_of_get_names_what_the_environment_can_say(capsys: Capture) -> None:
    assert run(["get", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "GHL_LOCATION_ID" in shown
    assert "GHL_BASE_URL" in shown


@pytest.mark.parametrize("command", [[], ["get"], ["fetch"], ["simulate"], ["demo"]], ids=" ".join)
def test_the_help_is_the_same_without_docstrings(command: Command) -> None:
    texts = {
        flags: subprocess.run(
            [sys.executable, *flags, "-c", PROGRAM, *command, "--help"],
            capture_output=True,
            check=True,
            env=quiet(),
            text=True,
        ).stdout
        for flags in ((), ("-OO",))
    }

    assert texts[()] == texts["-OO",]
    assert len(texts[()].splitlines()) > 5


def test_demo_of_a_frozen_program_runs(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)

    assert run(["demo", "--calls", "3", "--locations", "1", "--faults", "0"]) == 0

    assert re.search(r"as the simulator has it │ +3 │", capsys.readouterr().out)


def test_demo_without_a_python_to_start_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")

    assert run(["demo"]) == 1

    assert "The simulator does not start: the server's process cannot be started" in error_line(capsys)


def test_demo_interrupted_in_a_terminal_is_one_line_and_no_traceback() -> None:
    """A Ctrl+C goes to every process of the terminal's group, the simulator's included."""
    command = [sys.executable, "-c", PROGRAM, "demo", "--calls", "300", "--locations", "1", "--faults", "0"]
    # Not measured: a KeyboardInterrupt in the middle of coverage's own lock would hang the process.
    environment = {name: value for name, value in quiet().items() if not name.startswith("COVERAGE_")}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(2)]
        os.killpg(process.pid, signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
    assert complaint.strip() == "ghl-voice: interrupted"
    assert said[1].startswith("It allows 20 requests")
    assert process.returncode == 130


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_simulate_answers_until_it_is_stopped(stop: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "simulate"], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(4)]
        settings = dict(word.split("=") for word in said[2].split() if "=" in word)
        command = said[3].split()
        answer = subprocess.run(
            [Path(sys.executable).with_name(command[0]), *command[1:]],
            capture_output=True,
            check=False,
            text=True,
            env={**os.environ, **settings},
        )
        process.send_signal(stop)
        last = process.stdout.read().split("\n")[-2]
    assert answer.returncode == 0, answer.stderr
    assert "Call 65" in answer.stdout
    assert process.returncode == 0
    assert last == "requests 1, refused 0, faults 0"


def test_simulate_on_a_taken_port_says_so(voice_ai_server: VoiceAIServer, capsys: Capture) -> None:
    port = voice_ai_server.url.rpartition(":")[2]
    assert run(["simulate", "--port", port]) == 2
    assert f"port {port} cannot be used: " in error_line(capsys)


def test_simulate_does_without_signal_handlers_where_there_are_none(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """As on Windows, where Ctrl+C comes as KeyboardInterrupt."""

    def missing(*_: object) -> None:
        raise NotImplementedError

    async def interrupted(self: asyncio.Event) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", missing)
    monkeypatch.setattr(asyncio.Event, "wait", interrupted)
    assert run(["simulate"]) == 130
    assert "Simulating HighLevel at http://127.0.0.1:" in capsys.readouterr().out


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghl_voice_async.retry.random.random", lambda: 0.0)


@pytest.mark.usefixtures("no_backoff")
def test_demo_fetches_all_through_faults_and_compares_the_file_with_the_simulator(capsys: Capture) -> None:
    options = ["--calls", "60", "--locations", "3", "--faults", "0.1", "--interval", "0.1"]
    assert run(["demo", *options]) == 0
    shown = capsys.readouterr().out
    rows = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in shown.splitlines() if "│" in line}
    assert list(rows) == [
        "fetched",
        "failed",
        "retried",
        "calls a second",
        "time",
        "as the simulator has it",
        "faults",
        "refused (429)",
    ]
    assert (rows["fetched"], rows["failed"], rows["refused (429)"]) == ("60", "0", "0")
    assert rows["as the simulator has it"] == "60"


@pytest.mark.usefixtures("no_backoff")
def test_demo_counts_what_failed(capsys: Capture) -> None:
    assert run(["demo", "--calls", "2", "--locations", "1", "--faults", "1"]) == 1
    (failed,) = (line for line in capsys.readouterr().out.splitlines() if "failed" in line)
    assert "2" in failed
    assert "Error" in failed


@pytest.mark.usefixtures("no_backoff")
def test_demo_says_so_when_what_was_stored_is_not_what_the_simulator_has(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("ghl_voice_async.cli.demo._is_right", lambda *_: False)
    assert run(["demo", "--calls", "3", "--locations", "1", "--faults", "0"]) == 1
    assert re.search(r"as the simulator has it │ +0 │", capsys.readouterr().out)


def test_demo_that_was_ended_by_a_signal_is_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    async def ended(self: Storing, console: object) -> None:
        await self.results.aclose()

    monkeypatch.setattr(Storing, "run", ended)
    assert run(["demo", "--calls", "3"]) == 130
    assert capsys.readouterr().err == "ghl-voice: interrupted\n"
