"""Which texts are times: the date-times of RFC 3339, in every version of Python alike."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from ghl_voice_async import DecodeError, decode_call_log


def problems_of(body: Any) -> tuple[str, ...]:
    with pytest.raises(DecodeError) as caught:
        decode_call_log(body)
    return caught.value.problems


class Text(str):
    """A string of another class, which mappings may have and JSON has not."""

    __slots__ = ()


UTC_TIMES = {
    "2025-10-02T14:05:00Z": datetime(2025, 10, 2, 14, 5, tzinfo=UTC),
    "2025-10-02T14:05:00.000Z": datetime(2025, 10, 2, 14, 5, tzinfo=UTC),
    "2025-10-02t14:05:00.5z": datetime(2025, 10, 2, 14, 5, 0, 500_000, tzinfo=UTC),
    "2025-10-02T14:05:00.123z": datetime(2025, 10, 2, 14, 5, 0, 123_000, tzinfo=UTC),
    "2025-10-02T14:05:00.123456789Z": datetime(2025, 10, 2, 14, 5, 0, 123_456, tzinfo=UTC),
    "2025-10-02T14:05:00.0000000000000000001Z": datetime(2025, 10, 2, 14, 5, tzinfo=UTC),
    "2025-10-02T14:05:00+00:00": datetime(2025, 10, 2, 14, 5, tzinfo=UTC),
    "2025-10-02T14:05:00-00:00": datetime(2025, 10, 2, 14, 5, tzinfo=UTC),
    "2025-10-02T14:05:00+0000": datetime(2025, 10, 2, 14, 5, tzinfo=UTC),
    "2025-10-02T06:05:00.123-0800": datetime(2025, 10, 2, 14, 5, 0, 123_000, tzinfo=UTC),
    "2025-10-03T14:04:00+23:59": datetime(2025, 10, 2, 14, 5, tzinfo=UTC),
    "0001-01-01T00:00:00Z": datetime(1, 1, 1, tzinfo=UTC),
    "9999-12-31T23:59:59.999999Z": datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
}


@pytest.mark.parametrize(("text", "instant"), UTC_TIMES.items())
def test_a_time_of_rfc_3339_is_read(text: str, instant: datetime) -> None:
    assert decode_call_log({"id": "1", "createdAt": text}).created_at == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025-10-02",
        "2025-10-02 14:05:00.000Z",
        "2025-10-02T14:05Z",
        "2025-10-02T14Z",
        "2025-10-02T14:05:00,000Z",
        "2025-10-02T14:05:00.Z",
        "2025-10-02T14:05:00.000 Z",
        "2025-10-02T14:05:00.123456 xZ",
        "2025-10-02T14:05:00.000ZZ",
        "2025-10-02T14:05:00.000Z\n",
        "2025-10-02T14:05:00.1Z\0Z",
        "2025-10-02T14:05:00.000Z\0junk",
        "2025-10-02T14:Z\x000:00.000Z",
        "2025-10-02\x0014:05:00.000Z",
        "2025-10-02\N{SLIGHTLY SMILING FACE}14:05:00.000Z",
        "2025-W40-4T14:05:00.000Z",
        "2025W404T14:05:00.000Z",
        "20251002T140500.000Z",
        "20251002T140500Z",
        "2025-275T14:05:00.000Z",
        "2025-10-02T140500.00000Z",
        "2025-10-02T24:00:00.000Z",
        "2025-10-02T14:05:00+05",
        "2025-10-02T14:05:00+05:30:15",
        "2025-10-02T14:05:00+05:30:15.123456",
        "2025-10-02T14:05:00+24:00",
        "2025-10-02T14:05:00+05:60",
        "2025-10-02T14:05:00\N{MINUS SIGN}08:00",
        "2025-10-02T14:05:00.00\N{ARABIC-INDIC DIGIT ONE}Z",
        "+2025-10-02T14:05:00.000Z",
        " 2025-10-02T14:05:00.000Z",
    ],
)
def test_a_time_in_another_form_does_not_fit(text: str) -> None:
    assert problems_of({"id": "1", "createdAt": text}) == (
        "$.createdAt: expected RFC 3339 date-time, got another string",
    )


@pytest.mark.parametrize(
    "text",
    [
        "2025-02-29T14:05:00.000Z",
        "2025-13-01T14:05:00.000Z",
        "2025-10-02T14:60:00.000Z",
        "2016-12-31T23:59:60.000Z",
        "0000-01-01T00:00:00.000Z",
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_a_time_that_python_cannot_hold_does_not_fit(text: str) -> None:
    assert problems_of({"id": "1", "createdAt": text}) == ("$.createdAt: date-time out of range",)


@pytest.mark.parametrize("value", [1.5, [], {}, {"a": 1}, True, [None] * 24])
def test_a_time_that_is_no_string_does_not_fit(value: object) -> None:
    (problem,) = problems_of({"id": "1", "createdAt": value})

    assert problem.startswith("$.createdAt: expected date-time string, got ")


def test_a_time_of_another_class_of_strings_is_read() -> None:
    call = decode_call_log({"id": "1", "createdAt": Text("2025-10-02T14:05:00.000Z")})

    assert call.created_at == datetime(2025, 10, 2, 14, 5, tzinfo=UTC)


def test_no_changed_character_makes_another_form_fit() -> None:
    """What is read without the regular expression has to be in its form all the same."""
    random_one = random.Random(7)
    form = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII)
    for _ in range(20_000):
        characters = list("2025-10-02T14:05:00.123Z")
        for _ in range(random_one.randint(1, 4)):
            characters[random_one.randrange(24)] = random_one.choice(
                "0123456789-+:.,TtZz W\0\n\N{ARABIC-INDIC DIGIT ONE}"
            )
        text = "".join(characters)
        try:
            decode_call_log({"id": "1", "createdAt": text})
        except DecodeError:
            continue
        assert form.fullmatch(text)
