"""What JSON text may cost: the bound is checked before anything is parsed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import orjson
import pytest

from ghl_voice_async.json_body import CostlyJSONError, InvalidJSONError, JSONError, parse_json

BODY_LIMIT = 8 * 1024 * 1024


def filled(head: bytes, item: bytes, tail: bytes, *, size: int = BODY_LIMIT) -> bytes:
    """Make JSON of that size, with the item as often as there is room."""
    return head + b",".join([item] * ((size - len(head) - len(tail)) // (len(item) + 1))) + tail


def with_transcript(text: bytes, *, size: int = BODY_LIMIT) -> bytes:
    return b'{"id":"a","transcript":"' + text * ((size - 30) // len(text)) + b'"}'


COSTLY = {
    "numbers": filled(b"[", b"1", b"]"),
    "empty objects": filled(b"[", b"{}", b"]"),
    "empty arrays": filled(b"[", b"[]", b"]"),
    "objects of one key": filled(b"[", b'{"a":1}', b"]"),
    "empty strings": filled(b"[", b'""', b"]"),
    "short strings": filled(b"[", '"é"'.encode(), b"]"),
    "repeated keys": filled(b"{", b'"id":"a"', b"}"),
    "nested arrays": filled(b"[", b"[" * 1000 + b"]" * 1000, b"]"),
    "commas that are no JSON": b"," * BODY_LIMIT,
    "one wide character in a long text": with_transcript(b"a", size=BODY_LIMIT - 10)[:-2] + "😀".encode() + b'"}',
    "one escaped wide character in a long text": with_transcript(b"a", size=BODY_LIMIT - 30)[:-2] + b'\\ud83d\\ude00"}',
    "an open string of wide characters": b'["' + "aaa😀".encode() * (BODY_LIMIT // 7 - 1),
    "a body over the size limit": with_transcript(b"a", size=BODY_LIMIT + 1024 * 1024),
}
CHEAP = {
    "a text of commas": with_transcript(b","),
    "a text of brackets": with_transcript(b"[{:,"),
    "a text of escaped quotation marks": with_transcript(b'\\",'),
    "a text of escaped backslashes": with_transcript(b"\\\\"),
    "a text that ends with a backslash": with_transcript(b"a,")[:-2] + b'\\\\"}',
    "a text of escaped letters": with_transcript(b"\\u0041"),
    "a text of escaped wide letters": with_transcript(b"\\u4e2d"),
    "a text of wide letters": with_transcript("中".encode()),
    "a text of accented letters": with_transcript("é, ".encode()),
    "a text of pictures": with_transcript("😀".encode()),
    "a long key": b'{"' + b"k" * (BODY_LIMIT - 10) + b'":1}',
    "blanks": b"[" + b" " * (BODY_LIMIT - 2) + b"]",
    "many small texts": filled(b"[", b'"' + b"a, b" * 50 + b'"', b"]", size=BODY_LIMIT // 2),
    "a wide summary beside a long text": with_transcript(b"a, ")[:-1] + ',"s":"😀"}'.encode(),
}


@pytest.mark.parametrize("text", COSTLY.values(), ids=COSTLY)
def test_guarantee_20_text_that_costs_too_much_is_not_parsed(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orjson, "loads", None)

    with pytest.raises(CostlyJSONError, match="would take more than 24 MiB of memory"):
        parse_json(text)


@pytest.mark.parametrize("text", CHEAP.values(), ids=CHEAP)
def test_a_long_text_is_parsed_whatever_is_in_its_strings(text: bytes) -> None:
    assert parse_json(text) == orjson.loads(text)


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview, bytes.decode])
def test_the_bound_holds_for_text_in_any_form(form: Any) -> None:
    with pytest.raises(CostlyJSONError):
        parse_json(form(COSTLY["empty objects"]))

    assert parse_json(form(CHEAP["a text of wide letters"])) == orjson.loads(CHEAP["a text of wide letters"])


def test_a_long_bytearray_is_parsed_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    text = bytearray(CHEAP["a text of commas"])
    parsed: list[memoryview] = []
    monkeypatch.setattr(orjson, "loads", parsed.append)

    parse_json(text)

    assert parsed[0].obj is text


@pytest.mark.parametrize("size", [0, 300_000])
@pytest.mark.parametrize("form", [bytes, bytearray, memoryview, bytes.decode])
def test_a_byte_order_mark_is_read_over_in_any_form(form: Any, size: int) -> None:
    text = b'\xef\xbb\xbf{"a": "' + b"b" * size + b'"}'

    assert parse_json(form(text)) == {"a": "b" * size}


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", "\ud800", b'"' + b"a" * 300_000, '"' + "\ud800" * 300_000 + '"'])
def test_guarantee_21_text_that_is_not_json_is_refused(text: bytes | str) -> None:
    with pytest.raises(InvalidJSONError) as caught:
        parse_json(text)

    assert caught.value.__context__ is None
    assert isinstance(caught.value, JSONError)


MEASURE = """
import json, resource, sys, time
from ghl_voice_async import DecodeError, decode_call_log
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
def fits(size):
    items = item * ((size - len(head) - len(tail)) // len(item))
    return head + items[:-1] + tail
head, item, tail = (part.encode() for part in json.loads(sys.argv[1]))
try:
    decode_call_log('{"id": 1, "executedCallActions": [{}]}')
except DecodeError:
    pass
worst = 0
for size in range(100_000, 2_000_000, 100_000):
    text = fits(size)
    before = peak()
    try:
        decode_call_log(text)
    except DecodeError:
        pass
    worst = max(worst, peak() - before + len(text))
print(worst)
"""


@pytest.mark.parametrize(
    ("head", "item", "tail"),
    [
        ('{"id":"a","executedCallActions":[', "{},", "]}"),
        ('{"id":"a","executedCallActions":[', '{"x":1},', "]}"),
        ('{"id":"a","executedCallActions":[', "1,", "]}"),
        ('{"id":"a","x":[', "[[[[[[[[]]]]]]]],", "]}"),
        ('{"id":"a","x":[', '{"a":1},', "]}"),
    ],
)
def test_guarantee_20_what_is_decoded_fits_in_three_times_the_limit(head: str, item: str, tail: str) -> None:
    """The largest text that is decoded is somewhere among the sizes. Each takes memory that earlier ones freed."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, orjson.dumps([head, item, tail]).decode()],
        capture_output=True,
        check=True,
        text=True,
    )

    assert int(run.stdout) < 3 * BODY_LIMIT
