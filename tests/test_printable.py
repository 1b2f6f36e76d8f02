from __future__ import annotations

import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghl_voice_async.printable import printable, printable_json, printable_lines

ALL = [chr(number) for number in range(sys.maxunicode + 1)]


def test_printable_text_is_on_one_line() -> None:
    assert printable("one\r\ntwo\tthree\u2028four\x85five\u2029six") == "one two three four five six"


def test_lines_stay_lines_where_they_may() -> None:
    assert printable_lines("one\ntwo\r\x1b[2J\n") == "one\ntwo [2J\n"


@pytest.mark.parametrize("category", ["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])
def test_no_character_of_a_category_that_shows_nothing_gets_through(category: str) -> None:
    found = [char for char in ALL if unicodedata.category(char) == category]

    shown = {printable(f"x{char}y") for char in found}

    assert shown == {"x y"}


@pytest.mark.parametrize("char", ["\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u3164", "\uffa0"], ids=ascii)
def test_an_invisible_letter_does_not_get_through(char: str) -> None:
    assert printable(f"x{char}y") == "x y"


@pytest.mark.parametrize(
    "text",
    [
        "Grüße, Łódź, ñ, Ελλάδα, Привет, 你好, こんにちは, 한국어, שלום, مرحبا, नमस्ते",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a non-joiner within a word
        "\u0915\u094d\u200d\u0937",  # Devanagari, with a joiner after a virama
        "\U0001f469\u200d\U0001f4bb",  # a woman with a computer
        "\U0001f469\U0001f3fd\u200d\U0001f4bb",  # with a colour of her skin
        "\U0001f3f3\ufe0f\u200d\U0001f308",  # the flag of the rainbow
        "1\ufe0f\u20e3 \u2764\ufe0f",  # a keycap, a red heart
        "\u845b\U000e0100",  # a variant of an ideograph
        "wide\u3000and\u00a0narrow\u2009spaces",
        "[red]x[/red] [link=https://x.example]y[/link] :smile:",
    ],
    ids=ascii,
)
def test_what_people_write_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pay\u200dpal", "pay pal"),
        ("\u200d\u0645", " \u0645"),
        ("\u0645\u200c", "\u0645 "),
        ("\u0645\u200c\u200c\u0645", "\u0645 \u0645"),
        ("\U0001f469\u200dx", "\U0001f469 x"),
        ("\ufe0fx", " x"),
        ("x\ufe0f\ufe01\U000e0100y", "x\ufe0f y"),
        ("\u200b\ufe0fx", " x"),
        ("\U0001f3f4\U000e0067\U000e007f", "\U0001f3f4 "),
    ],
    ids=ascii,
)
def test_joiners_and_selectors_hide_nothing_where_no_script_needs_them(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(exclude_categories=[]), max_size=30))
def test_json_stays_equal_and_has_nothing_that_a_terminal_obeys(text: str) -> None:
    given_json = json.dumps({text: [text]}, ensure_ascii=False, indent=2)

    for encoding in ("utf-8", "cp1252", "latin-1", "ascii"):
        written = printable_json(given_json, encoding)
        assert json.loads(written.encode(encoding).decode(encoding)) == {text: [text]}
        assert printable_lines(written) == written


def test_json_is_plain_where_it_can_be() -> None:
    assert printable_json('{"a": "Grüße \u202e→\U0001f600"}', "utf-8") == '{"a": "Grüße \\u202e→\U0001f600"}'
    assert printable_json('{"a": "Grüße →\U0001f600"}', "latin-1") == '{"a": "Grüße \\u2192\\ud83d\\ude00"}'
