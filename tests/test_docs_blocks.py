"""Every code block of the README and the pages runs, and prints what is said that it prints.

What the blocks find around them is described in docs/contributing.md.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import logging
import re
import ssl
import sys
from contextlib import ExitStack, aclosing
from types import ModuleType
from typing import TYPE_CHECKING, Any

import official_sdk_stand_in
import pytest
import trustme
from blocks import BLOCKS, DOCUMENTS, INDENTED, ROOT, Block, output_of
from relays import Relay
from surroundings import ask
from terminal import Terminal

import ghl_voice_async as ghl
from ghl_voice_async import VoiceAIClient, testing
from ghl_voice_async.testing import VoiceAIServer, running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The blocks that this file does not run, by a phrase in them, each with the reason.
NOT_RUN = {
    ("docs/rate-limits.md", "2,000 requests each"): "figures of one machine, which `nox -s benchmarks` prints anew",
    ("docs/how-a-call-goes.md", "ids ─► bulk.py"): "a drawing, whose files test_docs.py looks for",
    ("docs/how-a-call-goes.md", "deadline( retry( token"): "a drawing, which test_docs.py looks for in the source",
    ("docs/fetch.md", "1166/3000"): "a moment on a terminal, which test_docs.py has the command line draw",
    ("docs/fetch.md", "15 2 * * *"): "a line of a crontab, whose command test_docs.py runs",
    ("docs/worker.md", "-m worker.enqueue"): "commands that test_example_worker.py types, with a worker to send to",
    ("README.md", "nox -s demo"): "a command of minutes, which test_docs.py holds to the letter",
    ("README.md", "nox -s tests"): "likewise",
}
BUILT_BY_SPHINX = {"{toctree}", "{include}", "{eval-rst}"}
PYTHON = [block for block in BLOCKS if block.kind == "python"]


def reason_not_to_run(block: Block) -> str | None:
    return next((why for (name, part), why in NOT_RUN.items() if name == block.document and part in block.text), None)


CONSOLE = [block for block in BLOCKS if block.kind == "console" and reason_not_to_run(block) is None]


def is_run(block: Block) -> bool:
    if block.kind == "text":
        return any(output_of(python) == block for python in PYTHON)
    if block.kind == "{literalinclude}":
        return (ROOT / "docs" / block.argument).exists()  # and has its test, as test_docs_examples.py sees to
    return block in PYTHON + CONSOLE or block.kind in BUILT_BY_SPHINX


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_every_block_is_run_or_has_a_reason_not_to_be(block: Block) -> None:
    has_reason = reason_not_to_run(block) is not None
    assert is_run(block) != has_reason, f"nothing runs this {block.kind} block of {block.place}, or it needs no reason"


@pytest.mark.parametrize(("document", "part"), NOT_RUN)
def test_every_reason_is_that_of_one_block(document: str, part: str) -> None:
    assert len([block for block in BLOCKS if block.document == document and part in block.text]) == 1


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_fence_is_overlooked(document: str) -> None:
    fences = re.findall(r"^\s*(?:```|~~~|:::)", (ROOT / document).read_text(), re.MULTILINE)
    blocks = [block for block in BLOCKS if block.document == document and block.kind != INDENTED]
    assert len(fences) == 2 * len(blocks)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[VoiceAIServer]:
    """Be what clients ask by default; failures are tried again without a wait."""
    defaults = VoiceAIClient.__init__.__kwdefaults__
    assert defaults is not None
    with running_in_thread(VoiceAIServer(max_requests=None)) as running:
        monkeypatch.setitem(defaults, "base_url", running.url)
        ask(running, monkeypatch)
        yield running


@pytest.fixture
def folder(server: VoiceAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be where the files are that the documents speak of."""
    monkeypatch.chdir(tmp_path)
    call_ids = server.call_ids(3000)
    (tmp_path / "last-year.txt").write_text("\n".join(call_ids))
    (tmp_path / "ids.txt").write_text("\n".join(call_ids[:3]))
    return tmp_path


@pytest.fixture
def stand_ins(server: VoiceAIServer, folder: Path, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Give what stands for the servers that are nobody's, and start those that the block speaks of."""
    block: Block = request.getfixturevalue("block")
    found = {"pit-…": server.token}
    with ExitStack() as relays:
        if (proxy := "http://proxy.example.com:3128") in block.text:
            found[proxy] = f"http://127.0.0.1:{relays.enter_context(Relay().running()).port}"
        if "company-ca.pem" in block.text:
            authority = trustme.CA()
            authority.cert_pem.write_to_path(folder / "company-ca.pem")
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            authority.issue_cert("localhost").configure_cert(tls)
            gateway = relays.enter_context(Relay(server.url, tls=tls).running())
            found["https://gateway.example.com"] = f"https://localhost:{gateway.port}"
        if "calls.jsonl" in block.text:
            lines = [json.dumps(server.call_log(call_id)) for call_id in server.call_ids(3)]
            (folder / "calls.jsonl").write_text("\n".join(lines))
        yield found


@pytest.fixture
def names(server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Give the names that a fragment may use without saying where they come from."""
    sdk = ModuleType("highlevel")
    official_sdk_stand_in.put_into(sdk, server)
    monkeypatch.setitem(sys.modules, "highlevel", sdk)
    public = {name: getattr(module, name) for module in (ghl, testing) for name in module.__all__}
    return public | {
        "__name__": "__main__",
        "asyncio": asyncio,
        "aclosing": aclosing,
        "server": server,
        "token": server.token,
        "tokens": [server.token],
        "location_id": server.location_id,
        "call_id": "6500001fe412c3d768bfeb10",
        "call": ghl.decode_call_log(server.call_log("6500001fe412c3d768bfeb10")),
        "call_ids": server.call_ids(5),
        "save": [].append,
        "log": logging.getLogger("your-program"),
        "enough": lambda result: result.ok,
    }


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.place)
def test_a_python_block_runs_and_prints_what_is_said(
    block: Block, names: dict[str, Any], stand_ins: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = block.text
    for said, stand_in in stand_ins.items():
        text = text.replace(said, stand_in)
    run(text, block, names)
    printed = capsys.readouterr().out
    output = output_of(block)
    if output is not None and reason_not_to_run(output) is None:
        assert printed == output.text


def run(text: str, block: Block, names: dict[str, Any]) -> None:
    """Run a block as a program of its own, and what it defines as tests."""
    # Its lines have their numbers in the document.
    source = "\n" * block.line + text
    code = compile(source, block.document, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    client = names["client"] = VoiceAIClient(names["token"])
    with asyncio.Runner() as runner:
        try:
            if code.co_flags & inspect.CO_COROUTINE:
                runner.run(eval(code, names))  # ours
            else:
                exec(code, names)  # ours
            for name in [name for name in names if name.startswith("test_")]:
                runner.run(names[name]())
        finally:
            runner.run(client.aclose())


@pytest.mark.parametrize("block", CONSOLE, ids=lambda block: block.place)
@pytest.mark.usefixtures("folder")
def test_a_console_block_does_what_is_said(
    block: Block, server: VoiceAIServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Terminal(server, monkeypatch, capsys).run_all(block.text)
