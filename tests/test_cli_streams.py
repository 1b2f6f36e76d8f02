from __future__ import annotations

import errno
import io
import json
import os
import pty
import subprocess
import sys
import termios
from typing import TYPE_CHECKING, Any

import pytest
from command_line import PROGRAM, quiet

from ghl_voice_async.cli.streams import OutputLostError, _Stream, console, safe_streams
from ghl_voice_async.testing import Status, VoiceAIServer, running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENCODINGS = ["cp1252:strict", "ascii", "utf-8"]
SAID = "Grüße \u202e→\x9b31m \U0001f600"


@pytest.fixture(scope="module")
def server() -> Iterator[VoiceAIServer]:
    with running_in_thread(VoiceAIServer(max_requests=None)) as running:
        running.add_call_log({"id": "said", "summary": SAID, "transcript": f"bot: {SAID}", "fromNumber": SAID})
        yield running


def environment(server: VoiceAIServer, **more: str) -> dict[str, str]:
    left = {name: value for name, value in quiet().items() if name not in {"COLUMNS", "LINES", "PYTHONUTF8"}}
    settings = {"GHL_BASE_URL": server.url, "GHL_ACCESS_TOKEN": server.token, "GHL_LOCATION_ID": server.location_id}
    return left | settings | more


def ghl_voice(server: VoiceAIServer, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a command with its standard output and standard error captured, unless settings say otherwise."""
    more = settings.pop("env", {})
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | settings
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, env=environment(server, **more), check=False, timeout=60, **streams)


def closed(number: int) -> dict[str, Any]:
    """Return settings that start a command with this file descriptor closed, as `>&-` of a shell does."""
    return {"preexec_fn": lambda: os.close(number)}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_is_whole_in_every_encoding(server: VoiceAIServer, encoding: str) -> None:
    done = ghl_voice(server, "get", "said", env={"PYTHONIOENCODING": encoding})

    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding.partition(":")[0])
    assert json.loads(text)["summary"] == SAID
    assert not {"\u202e", "\x9b"} & set(text)
    assert ("Grüße" in text) == (not encoding.startswith("ascii"))


def test_json_is_whole_in_the_locale_c(server: VoiceAIServer) -> None:
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    done = ghl_voice(server, "get", "said", env=locale)

    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout.decode("ascii"))["summary"] == SAID


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_page_is_whole_in_every_encoding(server: VoiceAIServer, encoding: str) -> None:
    done = ghl_voice(server, "get", "said", "--pretty", env={"PYTHONIOENCODING": encoding})

    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding.partition(":")[0])
    assert "Call said" in text
    assert "Transcript" in text
    assert not {"\u202e", "\x9b"} & set(text)


@pytest.mark.parametrize("encoding", ["latin-1:strict", "ascii:strict"])
def test_a_fetch_ends_with_its_summary_in_every_encoding(server: VoiceAIServer, tmp_path: Path, encoding: str) -> None:
    (tmp_path / "ids").write_text("said\nsaid,Zürich→\x9b\n", "utf-8")
    arguments = ["fetch", str(tmp_path / "ids"), "--output", str(tmp_path / "Zürich→.jsonl")]

    done = ghl_voice(server, *arguments, env={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "1"})

    text = done.stderr.decode(encoding.partition(":")[0])
    assert "location 'Z" in text
    assert "UnicodeEncodeError" not in text
    assert "\x9b" not in text
    assert done.returncode == 1


@pytest.mark.parametrize("encoding", ["cp1252:strict", "ascii"])
def test_an_error_is_one_line_in_every_encoding(server: VoiceAIServer, encoding: str) -> None:
    done = ghl_voice(server, "get", "said", "--location", "Zürich→\u202e", env={"PYTHONIOENCODING": encoding})

    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"\\u2192" in done.stderr


@pytest.mark.parametrize("options", [["get", "said"], ["get", "said", "--pretty"], ["--help"], ["--version"]], ids=str)
@pytest.mark.parametrize("way", ["full", "closed"])
def test_output_that_is_lost_is_one_line_and_exit_code_1(server: VoiceAIServer, options: list[str], way: str) -> None:
    if way == "full":
        with open("/dev/full", "wb") as full:  # noqa: PTH123  # a device
            done = ghl_voice(server, *options, stdout=full)
    else:
        done = ghl_voice(server, *options, stdout=None, **closed(1))

    reason = {"full": "No space left on device", "closed": "it is closed"}[way]
    assert done.returncode == 1
    assert done.stderr.decode() == f"ghl-voice: cannot write to standard output: {reason}\n"


@pytest.mark.parametrize("way", ["full", "closed", "broken pipe"])
def test_a_fetch_goes_on_when_nobody_can_read_what_it_says(server: VoiceAIServer, tmp_path: Path, way: str) -> None:
    (tmp_path / "ids").write_text("said\nother/id\n")
    output = tmp_path / "calls.jsonl"
    arguments = ["fetch", str(tmp_path / "ids"), "--output", str(output)]

    if way == "closed":
        done = ghl_voice(server, *arguments, stderr=None, **closed(2))
    elif way == "full":
        with open("/dev/full", "wb") as full:  # noqa: PTH123  # a device
            done = ghl_voice(server, *arguments, stderr=full)
    else:
        reader, writer = os.pipe()
        os.close(reader)
        done = ghl_voice(server, *arguments, stderr=writer)
        os.close(writer)

    assert done.returncode == 1
    assert json.loads(output.read_text("utf-8"))["id"] == "said"


def test_a_program_without_standard_streams_does_its_work(server: VoiceAIServer, tmp_path: Path) -> None:
    """As under `pythonw`."""
    (tmp_path / "ids").write_text("said\n")
    output = tmp_path / "calls.jsonl"
    program = f"import sys; sys.stdin = sys.stdout = sys.stderr = None; {PROGRAM}"
    arguments = ["fetch", str(tmp_path / "ids"), "--output", str(output)]

    done = subprocess.run([sys.executable, "-c", program, *arguments], env=environment(server), check=False, timeout=60)

    assert done.returncode == 0
    assert output.exists()


def test_what_others_write_to_standard_error_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr

    with safe_streams():
        sys.stderr.write("a\x1b[2Jb\u202ec\n")
        sys.stdout.write("d\x9be\n")

    assert capsys.readouterr() == ("d e\n", "a [2Jb c\n")
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize(
    "fault",
    [Status(404, '{"message": "x\\u202ey\\u009bz\\u2028"}'), Status(401, '{"message": "\\udb40\\udc41x\\u061c"}')],
)
def test_a_message_of_the_server_steers_no_terminal(server: VoiceAIServer, fault: Status) -> None:
    call_id = server.call_ids(1)[0]
    server.fail(fault, call_id=call_id)

    done = ghl_voice(server, "get", call_id, env={"PYTHONIOENCODING": "utf-8"})

    assert done.stderr.decode().strip().isprintable()
    assert done.stderr.count(b"\n") == 1


def test_text_is_no_markup(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")

    with safe_streams():
        console().print("[red]x[/red] [link=https://x.example]y[/link] :smile: https://x.example 12", soft_wrap=True)

    shown = capsys.readouterr().out
    assert shown == "[red]x[/red] [link=https://x.example]y[/link] :smile: https://x.example 12\n"


@pytest.mark.parametrize(
    ("columns", "width"),
    [
        ("0", 80),
        ("1", 20),
        ("19", 20),
        ("20", 20),
        ("120", 120),
        ("99999999999", 1000),
        ("-1", 80),
        ("²", 80),
        ("", 80),
    ],
)
def test_a_console_has_room_for_a_page(monkeypatch: pytest.MonkeyPatch, columns: str, width: int) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", columns)

    assert console().width == width


@pytest.mark.parametrize("settings", [{"COLUMNS": "0"}, {"COLUMNS": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1"}], ids=str)
def test_a_page_is_printed_on_every_terminal(server: VoiceAIServer, settings: dict[str, str]) -> None:
    done = ghl_voice(server, "get", "said", "--pretty", env={"PYTHONIOENCODING": "utf-8", **settings})

    assert done.returncode == 0
    assert "Grüße" in done.stdout.decode()


@pytest.mark.parametrize("columns", [0, 1, 100])
def test_a_page_is_printed_on_a_terminal_of_every_width(server: VoiceAIServer, columns: int) -> None:
    keyboard, screen = pty.openpty()
    termios.tcsetwinsize(screen, (24, columns))

    done = ghl_voice(server, "get", "said", "--pretty", stdout=screen, stdin=screen, env={"PYTHONIOENCODING": "utf-8"})
    os.close(screen)
    shown = os.read(keyboard, 65_536).decode()
    os.close(keyboard)

    assert done.returncode == 0
    assert "Grüße" in shown
    assert not {"\u202e", "\x9b"} & set(shown)


def test_a_stream_that_is_closed_takes_nothing() -> None:
    inner = io.StringIO()
    inner.close()
    stream = _Stream(inner, is_output=True)

    for _ in range(2):
        with pytest.raises(OutputLostError, match="it is closed"):
            stream.write("x")


def test_an_error_after_a_failure_of_standard_error_is_written() -> None:
    """As when a disk that was full has room again."""

    class Full(io.StringIO):
        is_full = True

        def write(self, text: str) -> int:
            if self.is_full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(text)

    inner = Full()
    stream = _Stream(inner, is_output=False)

    stream.write("one")
    inner.is_full = False
    stream.write("two")

    assert inner.getvalue() == "two"


def test_a_console_knows_its_stream(capfd: pytest.CaptureFixture[str]) -> None:
    with safe_streams():
        files = console().file, console(stderr=True).file
        numbers = [file.fileno() for file in files]
        files[0].flush()

    assert numbers == [sys.stdout.fileno(), sys.stderr.fileno()]
    assert capfd.readouterr() == ("", "")


def test_a_stream_that_is_not_there_is_no_terminal() -> None:
    stream = _Stream(None, is_output=False)

    assert stream.write("x") == 1
    assert stream.encoding == "utf-8"
    assert not stream.isatty()
    with pytest.raises(OSError, match="Bad file descriptor"):
        stream.fileno()
