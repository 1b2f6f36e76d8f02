from __future__ import annotations

import json
from typing import Any

import pytest

from ghl_voice_async import CallRef, decode_call_log
from ghl_voice_async.cli.json_text import UnstorableError, json_line, json_text


def nested(levels: int, kind: str) -> Any:
    value: Any = "ground"
    for _ in range(levels):
        value = {"a": 1, "b": value} if kind == "object" else ["first", value, None]
    return value


@pytest.mark.parametrize("kind", ["object", "array"])
@pytest.mark.parametrize("levels", [1, 3, 100, 900, 1000, 1023])
def test_a_value_of_any_depth_is_written_and_read_at_that_depth(kind: str, levels: int) -> None:
    text = json_line({"id": "a1", "x": nested(levels, kind)})

    found = decode_call_log(text).extra["x"]
    for _ in range(levels):
        assert len(found) == (2 if kind == "object" else 3)
        found = found["b"] if kind == "object" else found[1]
    assert found == "ground"


def test_a_deep_value_is_written_as_a_flat_one(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"a": [], "b": {}, "c": [1, 2.5, None, True, "ü\u2028"], "d\n": {"e": [{}, {"f": "g"}], "h": -1}}
    wanted = json_text(value)
    dumps = json.dumps

    def shallow(part: Any, **options: Any) -> str:
        if isinstance(part, dict | list):
            raise RecursionError
        return dumps(part, **options)

    monkeypatch.setattr(json, "dumps", shallow)
    assert json_text(value) == wanted


def test_a_value_deeper_than_what_can_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 1,024 levels"):
        json_text(nested(100_000, "array"))  # Python 3.12 writes a few thousand levels by itself


def test_what_is_no_json_within_a_deep_value_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        json_text([nested(1000, "array"), {1, 2}])


@pytest.mark.parametrize("character", [*"\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\r\n"])
def test_no_character_ends_a_line_for_any_reader(character: str) -> None:
    line = json_line({"id": f"a{character}b", f"k{character}": character})

    assert len(line.decode().splitlines()) == 1
    assert json.loads(line) == {"id": f"a{character}b", f"k{character}": character}


def test_an_error_names_its_call_and_what_is_wrong() -> None:
    error = UnstorableError(CallRef("a1", "A"), ValueError("bad"))

    assert str(error) == "the call log cannot be stored: ValueError: bad [call 'a1' of location 'A']"
