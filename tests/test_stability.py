"""What the page on stability says of today's package is so, and a change that it calls breaking does not go unseen."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import attrs
import pytest

import ghl_voice_async as ghl
from ghl_voice_async import decode_call_log, testing

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "stability.md").read_text()
PACKAGE = Path(ghl.__file__).parent

# What has to be given to make one. A field more here breaks programs and tests that make them.
REQUIRED = {
    "CallEvent": ["method", "path_template", "call_id", "location_id", "attempt"],
    "CallLog": ["id"],
    "CallLogResult": ["index", "ref"],
    "Latency": ["seconds"],
    "LimitEvent": ["method", "path_template", "call_id", "location_id", "attempt", "waited"],
    "Oversized": ["size"],
    "RateLimitState": [
        "limit",
        "interval",
        "in_use",
        "waiting",
        "remaining",
        "paused_until",
        "daily_remaining",
    ],
    "Raw": ["data"],
    "RequestEvent": ["method", "path_template", "call_id", "location_id", "attempt"],
    "ResponseEvent": ["method", "path_template", "call_id", "location_id", "attempt", "status", "error", "seconds"],
    "RetryEvent": ["method", "path_template", "call_id", "location_id", "attempt", "status", "error", "delay"],
    "SeenRequest": ["path", "call_id", "location_id", "headers"],
    "Status": ["status"],
    "WithHeaders": ["headers"],
}
# What programs bring themselves. A method more here, or an argument more, breaks them.
BROUGHT: dict[type[object], dict[str, list[str]]] = {
    ghl.TokenProvider: {"get_token": ["location_id"], "token_refused": ["location_id", "token"]},
    ghl.RateLimiter: {"acquire": ["location_id", "max_pause"]},
    ghl.Permit: {"release": ["status", "headers"], "cancel": []},
}


def test_the_public_modules_are_named() -> None:
    named = re.findall(r"`(ghl_voice_async[.a-z]*)`", PAGE)
    assert named == ["ghl_voice_async", "ghl_voice_async.testing", "ghl_voice_async.testing.strategies"]


def test_the_pythons_that_it_names_are_those_of_the_tests() -> None:
    tested = re.findall(r"\((3), (\d+)\)", (ROOT / "noxfile.py").read_text())
    assert re.findall(r"(3)\.(\d+)", PAGE[PAGE.index("CPython") : PAGE.index("on Linux")]) == tested


def test_nothing_is_deprecated_today() -> None:
    assert "Nothing is deprecated today." in PAGE
    assert [path for path in PACKAGE.rglob("*.py") if "DeprecationWarning" in path.read_text()] == []


def test_what_does_not_move_is_the_form_of_the_api() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    body = {"id": "call", "callScore": 4, "translation": {"enabled": True, "translatedTranscript": "bot: hola"}}
    names = {"call": decode_call_log(body), "encode_call_log": ghl.encode_call_log}
    exec(block, names)  # ours
    assert (names["score"], names["translated"]) == (4, "bot: hola")


def test_what_has_to_be_given_is_no_more_than_it_was() -> None:
    classes = {name: getattr(door, name) for door in (ghl, testing) for name in door.__all__}
    required = {
        name: [field.name for field in attrs.fields(kind) if field.default is attrs.NOTHING]
        for name, kind in classes.items()
        if inspect.isclass(kind) and attrs.has(kind)
    }
    assert {name: fields for name, fields in required.items() if fields} == REQUIRED


@pytest.mark.parametrize("protocol", BROUGHT)
def test_what_programs_bring_themselves_needs_no_more_than_it_did(protocol: type[object]) -> None:
    methods = {name: value for name, value in vars(protocol).items() if inspect.isfunction(value) and name[0] != "_"}
    needed = {name: list(inspect.signature(method).parameters)[1:] for name, method in methods.items()}
    assert needed == BROUGHT[protocol]


def test_the_api_version_that_it_names_first_is_the_default() -> None:
    default = inspect.signature(ghl.VoiceAIClient).parameters["api_version"].default
    assert f"`Version: {default}` is sent unless `api_version` says otherwise" in PAGE


async def test_the_simulator_takes_the_api_versions_that_it_names_and_no_other(server: testing.VoiceAIServer) -> None:
    async def fetch(api_version: str) -> str:
        async with ghl.VoiceAIClient(server.token, base_url=server.url, api_version=api_version) as client:
            return (await client.get_call_log(call_id, server.location_id)).id

    (call_id,) = server.call_ids(1)
    named = re.findall(r"bodies of `(.+?)` and of `(.+?)`", PAGE)[0]
    assert [await fetch(api_version) for api_version in named] == [call_id, call_id]
    with pytest.raises(ghl.BadRequestError, match="version"):
        await fetch("v4")
