from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghl_voice_async.printable import printable

HIDDEN = {
    "line feed": "\n",
    "carriage return and line feed": "\r\n",
    "next line": "\x85",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "vertical tab": "\x0b",
    "file separator": "\x1c",
    "tab": "\t",
    "nul": "\0",
    "escape": "\x1b",
    "C1 sequence": "\x9b",
    "delete": "\x7f",
    "override": "\u202e",
    "isolate": "\u2066",
    "Arabic letter mark": "\u061c",
    "zero width space": "\u200b",
    "byte-order mark": "\ufeff",
    "tag": "\U000e0041",
    "interlinear annotation": "\ufff9",
    "lone surrogate": "\udc80",
    "private use": "\ue000",
    "unassigned": "\U000e0fff",
}


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_what_cannot_be_seen_becomes_a_space(hidden: str) -> None:
    assert printable(f"a{hidden}b") == "a b"
    assert printable(f"a{hidden}{hidden}b") == "a b"


@pytest.mark.parametrize("text", ["", "plain", "Zürich → 日本語", "no\u00a0break", "a  b", "\N{OK HAND SIGN}"])
def test_what_can_be_seen_stays(text: str) -> None:
    assert printable(text) == text


@given(st.text(st.characters(exclude_categories=())))
def test_no_text_breaks_a_line_or_an_encoding(text: str) -> None:
    shown = printable(text)

    assert len(shown.splitlines()) <= 1
    assert shown.encode().decode() == shown
    assert {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"} == set()
