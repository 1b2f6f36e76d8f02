"""Bodies that are as large as they may be, or as deep: each decodes or is a `DecodeError`, and names few problems."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ghl_voice_async import DecodeError, decode_call_log, encode_call_log
from ghl_voice_async.structure_hooks import PROBLEMS_LIMIT

THE_REST = f"$: more than {PROBLEMS_LIMIT} problems; the rest are not listed"


def problems_of(body: Any) -> tuple[str, ...]:
    with pytest.raises(DecodeError) as caught:
        decode_call_log(body)
    return caught.value.problems


def with_examples(*examples: object) -> dict[str, Any]:
    return {"actionType": "DATA_EXTRACTION", "actionParameters": {"examples": list(examples)}}


class Watched:
    """What passes for a string, and counts how often it is asked."""

    seen = 0

    @property  # type: ignore[misc]  # to see who asks
    def __class__(self) -> type:
        Watched.seen += 1
        return str


def test_guarantee_22_one_hundred_problems_are_named_whole() -> None:
    problems = problems_of({"id": "1", "executedCallActions": [1] * PROBLEMS_LIMIT})

    assert problems[-1] == "$.executedCallActions[99]: expected object, got number"
    assert len(problems) == PROBLEMS_LIMIT


@pytest.mark.parametrize(
    "payload",
    [
        {"id": "1", "executedCallActions": [1] * 200_000},
        {"id": "1", "executedCallActions": [{"actionName": 1}] * 200_000},
        {"id": "1", "executedCallActions": [with_examples(*[1] * 200_000)]},
        {"id": "1", "executedCallActions": [with_examples(*[1] * 300)] * 300},
        {"id": 1, "duration": "x", "executedCallActions": [with_examples(*[1] * 60)] * 3},
    ],
)
def test_guarantee_22_of_more_problems_the_first_hundred_are_named(payload: dict[str, Any]) -> None:
    problems = problems_of(payload)

    assert problems[-1] == THE_REST
    assert len(problems) == PROBLEMS_LIMIT + 1


def test_guarantee_20_no_item_is_looked_at_after_too_many_problems() -> None:
    Watched.seen = 0
    examples = [*[1] * (PROBLEMS_LIMIT + 1), *[Watched()] * 1000]

    problems_of({"id": "1", "executedCallActions": [with_examples(*examples)]})

    assert Watched.seen == 0


def test_guarantee_20_items_before_a_problem_are_looked_at_once() -> None:
    """Twice in each of two lists, one in the other, would be four times."""
    Watched.seen = 0
    action = with_examples(*[Watched()] * 1000, 1)

    problems = problems_of({"id": "1", "executedCallActions": [{}, action]})

    assert problems == ("$.executedCallActions[1].actionParameters.examples[1000]: expected string, got number",)
    assert Watched.seen == 1000


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ("{}", "would take more than 24 MiB of memory"),
        ("1", "would take more than 24 MiB of memory"),
    ],
)
@pytest.mark.parametrize("form", [str, str.encode])
def test_guarantee_20_a_body_that_costs_too_much_is_a_decode_error(form: Any, item: str, problem: str) -> None:
    body = '{"id":"a","executedCallActions":[' + f"{item}," * 1_500_000 + "{}]}"

    assert [problem in each for each in problems_of(form(body))] == [True]


def test_guarantee_20_a_list_that_was_parsed_elsewhere_has_a_bound() -> None:
    actions: list[Any] = [{}] * 100_000

    assert len(decode_call_log({"id": "1", "executedCallActions": actions}).executed_call_actions) == 100_000
    assert problems_of({"id": "1", "executedCallActions": [*actions, {}]}) == (
        "$.executedCallActions: expected at most 100,000 items, got 100,001",
    )
    assert problems_of({"id": "1", "executedCallActions": [1, *actions]}) == (
        "$.executedCallActions[0]: expected object, got number",
    )


def test_a_transcript_of_six_mebibytes_decodes() -> None:
    transcript = 'bot: Good afternoon, what can I do?\nhuman: [laughs] It\'s the "brakes", I think: {both}.\n' * 75_000
    body = json.dumps({"id": "a", "transcript": transcript})

    assert len(transcript) > 6 * 1024 * 1024
    assert decode_call_log(body.encode()).transcript == transcript


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("place", ["new", "extractedData"])
def test_guarantee_21_a_deeply_nested_value_comes_back_the_same(opening: str, closing: str, place: str) -> None:
    nested = f'{{"a":{opening * 1000}1{closing * 1000}}}'
    body = f'{{"id":"1","{place}":{nested}}}'

    call = decode_call_log(body)
    again = decode_call_log(body)

    assert (call == again) is True
    assert (call == decode_call_log(body.replace("1" + closing, "2" + closing))) is False
    assert repr(call) == repr(again)
    assert encode_call_log(call)[place] is (call.extra["new"] if place == "new" else call.extracted_data)


@pytest.mark.parametrize(
    ("inner", "other"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, [1]),
        ([1], [1, 2]),
        ([1, 2], [2, 1]),
        (None, 1),
    ],
)
def test_calls_that_differ_only_deep_down_are_not_equal(inner: object, other: object) -> None:
    for _ in range(5000):
        inner, other = [inner], [other]

    assert (decode_call_log({"id": "1", "x": inner}) == decode_call_log({"id": "1", "x": inner})) is True
    assert (decode_call_log({"id": "1", "x": inner}) == decode_call_log({"id": "1", "x": other})) is False


def test_a_call_with_and_without_extra_are_not_equal() -> None:
    assert decode_call_log({"id": "1", "x": 1}) != decode_call_log({"id": "1"})
    assert decode_call_log({"id": "1"}) != decode_call_log({"id": "1", "x": 1})
