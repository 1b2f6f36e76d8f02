"""A token is found in every form in which servers echo one."""

from __future__ import annotations

import base64
import html
import json
from html.entities import codepoint2name
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghl_voice_async.redaction import Redaction

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = 'pit-Ab+cd/Secret0123456789."<&>~%41\\=='
JWT = ".".join(base64.urlsafe_b64encode(bytes(range(start, start + 99))).decode() for start in (0, 50, 150))


def each(form: str) -> Callable[[str], str]:
    return lambda text: "".join(form.format(ord(character)) for character in text)


def only_marks(form: str) -> Callable[[str], str]:
    return lambda text: "".join(c if c.isalnum() else form.format(ord(c)) for c in text)


def once(text: str) -> str:
    return quote(text, safe="")


def lower_percent(text: str) -> str:
    return "".join(f"%{ord(c):02x}" if not c.isalnum() else c for c in text)


def named(text: str) -> str:
    names = {**codepoint2name, ord("+"): "plus", ord("/"): "sol", ord("="): "equals", ord("."): "period"}
    return "".join(f"&{names[ord(c)]};" if ord(c) in names else c for c in text)


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "lower case": str.lower,
    "upper case": str.upper,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON with slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "JSON three times": lambda text: json.dumps(json.dumps(json.dumps(text)[1:-1])[1:-1])[1:-1],
    "JSON escapes": each("\\u{:04x}"),
    "JSON escapes in upper case": each("\\u{:04X}"),
    "JSON escapes of marks": only_marks("\\u{:04X}"),
    "JSON escapes in JSON": only_marks("\\\\u{:04x}"),
    "JavaScript escapes": each("\\x{:02x}"),
    "ECMAScript code points": each("\\u{{{:x}}}"),
    "octal escapes": each("\\{:03o}"),
    "decimal entities": each("&#{};"),
    "decimal entities with zeros": each("&#{:07d};"),
    "decimal entities without semicolons": each("&#{}"),
    "decimal entities of marks": only_marks("&#{};"),
    "hexadecimal entities": each("&#x{:x};"),
    "hexadecimal entities in upper case": each("&#X{:04X};"),
    "hexadecimal entities without semicolons": each("&#x{:x}"),
    "named entities": named,
    "HTML": html.escape,
    "HTML of JSON": lambda text: html.escape(json.dumps(text)[1:-1]),
    "HTML twice": lambda text: html.escape(html.escape(text)),
    "URL": once,
    "URL in lower case": lower_percent,
    "URL of every character": each("%{:02X}"),
    "URL twice": lambda text: once(once(text)),
    "URL three times": lambda text: once(once(once(text))),
    "URL in HTML": lambda text: html.escape(once(text)),
    "old JavaScript URL": only_marks("%u{:04X}"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 without padding": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 of the header": lambda text: base64.b64encode(f"Bearer {text}".encode()).decode(),
    "base64 of basic credentials": lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
    "base64 of a whole request": lambda text: base64.b64encode(f"<<{text}>>".encode()).decode(),
    "base64 in lines": lambda text: base64.encodebytes(text.encode() * 3).decode(),
    "base64 in a URL": lambda text: once(base64.b64encode(text.encode()).decode()),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal in upper case": lambda text: text.encode().hex().upper(),
    "hexadecimal with spaces": lambda text: text.encode().hex(" "),
    "hexadecimal with colons": lambda text: text.encode().hex(":"),
    "hexadecimal with dashes": lambda text: text.encode().hex("-"),
    "hexadecimal numbers": lambda text: ", ".join(map(hex, text.encode())),
    "long Python escapes": each("\\U{:08x}"),
    "UTF-16 read as UTF-8": lambda text: text.encode("utf-16").decode("utf-8", "replace"),
    "UTF-16 with the high byte first": lambda text: text.encode("utf-16-be").decode(),
    "characters with nothing visible between them": "\u200b".join,
}


@pytest.mark.parametrize("token", [TOKEN, JWT, "12345678", "pit-2f9c41ee-0b1d-4c55-a1a4-3c9f3c0e7c11"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_token_is_redacted_in_every_form(form: Callable[[str], str], token: str) -> None:
    written = form(token)

    redacted = Redaction(token).redact(f"bad token <{written}>, go away")

    assert "[redacted]" in redacted
    # Of base64, what is mixed with the neighbours of the token stays.
    kept = redacted.removeprefix("bad token <").removesuffix(">, go away").replace("[redacted]", "").split()
    assert all(len(part) <= 12 for part in kept), redacted


@pytest.mark.parametrize("form", ["plain", "JSON", "JSON in JSON", "HTML", "URL", "URL twice", "hexadecimal"])
def test_what_stands_around_a_token_stays(form: str) -> None:
    text = f'{{"error": "bad {FORMS[form](TOKEN)}", "a": "é 日本 \\u00e9 %20 &amp;"}}'

    redacted = Redaction(TOKEN).redact(text)

    assert redacted == '{"error": "bad [redacted]", "a": "é 日本 \\u00e9 %20 &amp;"}'


@pytest.mark.parametrize("part", [TOKEN[:20], TOKEN[:8], TOKEN[-8:], TOKEN[5:19], f"{TOKEN[:14]}\n{TOKEN[14:]}"])
def test_a_part_of_a_token_is_redacted(part: str) -> None:
    redacted = Redaction(TOKEN).redact(f"bad token {part}... sorry")

    assert redacted.replace("\n", "").replace("[redacted][redacted]", "[redacted]") == "bad token [redacted]... sorry"


@pytest.mark.parametrize("token", ["t", "Found", "Not Fou"])
def test_guarantee_24_a_short_token_mangles_no_word(token: str) -> None:
    text = f"404 Not Found {token}"

    assert Redaction(token).redact(text) == text


def test_several_echoes_are_redacted_each() -> None:
    assert Redaction(JWT).redact(f"{JWT} and {JWT}{JWT}") == "[redacted] and [redacted]"


@pytest.mark.parametrize("text", ["&#x110000;", "&NotEqualTilde;", "&nosuchname;", "\\", "%", "&#", "\\u00", "%zz"])
def test_an_escape_of_no_character_stays(text: str) -> None:
    assert Redaction(TOKEN).redact(f"{text} {TOKEN} {text}") == f"{text} [redacted] {text}"


@given(st.text(), st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16), st.sampled_from([*FORMS]))
def test_no_token_is_left_whole_in_any_text(text: str, token: str, form: str) -> None:
    written = FORMS[form](token)

    redacted = Redaction(token).redact(f"{text} {written} {text}")

    assert written not in redacted.replace(text, "")


@pytest.mark.parametrize("token", [TOKEN, JWT, "pit-2f9c41ee-0b1d-4c55-a1a4-3c9f3c0e7c11"])
@pytest.mark.parametrize(
    "text",
    [
        "Invalid JWT",
        "The token does not have access to this location.",
        "Invalid Private Integration token",
        "trace 4f1d2c3b5a69788796a5b4c3d2e1f001 at 2026-11-27T21:13:49.768Z",
        "http://example.com/voice-ai/dashboard/call-logs/65000000bc000285f2a3c725?locationId=ve9EPM428h8vShlRW1KT",
        "30303030 2d2d2d2d 70697400",
    ],
)
def test_a_text_without_the_token_stays(text: str, token: str) -> None:
    assert Redaction(token).redact(text) == text
