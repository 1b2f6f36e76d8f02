from __future__ import annotations

import json
import subprocess
import sys
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lossless import normal

import ghl_voice_async as ghl
from ghl_voice_async import ActionType, DecodeError, InvalidInputError, decode_call_log, encode_call_log
from ghl_voice_async.testing import make_call_log
from ghl_voice_async.testing.call_logs import call_id_at
from ghl_voice_async.testing.strategies import call_log_payloads, call_logs

ID = "65f0c3a1b2d4e5f60718293a"
PACKAGE = Path(ghl.__file__).parent


class Text(str):
    """A string of another class, which mappings may have and JSON has not."""

    __slots__ = ()


def problems_of(body: Any) -> tuple[str, ...]:
    with pytest.raises(DecodeError) as caught:
        decode_call_log(body)
    return caught.value.problems


def with_action(**action: Any) -> dict[str, Any]:
    return {"id": ID, "executedCallActions": [action]}


def test_the_documented_shape_decodes_whole_and_comes_back_the_same(documented: dict[str, Any]) -> None:
    assert encode_call_log(decode_call_log(documented)) == documented


def test_every_field_of_the_documented_shape_is_where_it_belongs(documented: dict[str, Any]) -> None:
    call = decode_call_log(json.dumps(documented))
    assert (call.id, call.contact_id, call.agent_id) == (
        documented["id"],
        documented["contactId"],
        documented["agentId"],
    )
    assert (call.is_agent_deleted, call.trial_call, call.duration) == (False, False, 214)
    assert (call.from_number, call.message_id) == ("+15055550142", "65f0c3a1b2d4e5f60718293d")
    assert call.created_at == datetime(2025, 10, 2, 14, 5, tzinfo=UTC)
    assert (call.summary, call.transcript) == (documented["summary"], documented["transcript"])
    assert call.translation == ghl.Translation(extra=documented["translation"])
    assert call.extracted_data == documented["extractedData"]
    assert [action.action_type for action in call.executed_call_actions] == [
        "CALL_TRANSFER",
        "SMS",
        "DATA_EXTRACTION",
        "WORKFLOW_TRIGGER",
        "APPOINTMENT_BOOKING",
        "CUSTOM_ACTION",
        "IN_CALL_DATA_EXTRACTION",
        "KNOWLEDGE_BASE",
    ]
    first = call.executed_call_actions[0]
    assert (first.action_id, first.action_name) == ("65f0c3a1b2d4e5f607182901", "Put through to the workshop")
    assert first.executed_at == datetime(2025, 10, 2, 14, 7, tzinfo=UTC)
    assert first.trigger_received_at == datetime(2025, 10, 2, 14, 6, 45, tzinfo=UTC)


def test_every_action_type_gets_the_parameters_of_its_class(documented: dict[str, Any]) -> None:
    parameters = [action.action_parameters for action in decode_call_log(documented).executed_call_actions]
    assert parameters == [
        ghl.CallTransferActionParameters(
            transfer_to_type="number",
            transfer_to_value="+15055550199",
            trigger_message="One moment, I will put you through",
            hear_whisper_message=True,
        ),
        ghl.SMSParameters(
            trigger_prompt="When the caller asks for the address",
            trigger_message="I will text it to you",
            message_body="14 Juniper Lane, ring twice",
        ),
        ghl.DataExtractionActionParameters(
            contact_field_id="65f0c3a1b2d4e5f607182904",
            description="Name of the caller",
            examples=["Ada Okafor", "Ben Lindqvist"],
            overwrite_existing_value=False,
        ),
        ghl.WorkflowTriggerParameters(
            trigger_prompt="When the caller wants an estimate",
            trigger_message="I will start that",
            workflow_id="65f0c3a1b2d4e5f607182906",
        ),
        ghl.AppointmentBookingActionParameters(
            calendar_id="65f0c3a1b2d4e5f607182908", days_of_offering_dates=5, slots_per_day=2, hours_between_slots=1.5
        ),
        ghl.CustomActionParameters(
            trigger_prompt="When the caller names an order",
            trigger_message="Let me look that up",
            api_details=ghl.CustomActionApiDetails(
                url="https://orders.example.com/v1/orders",
                method="GET",
                authentication_required=True,
                authentication_value="made-up-api-key-77",
                headers=[ghl.CustomActionHeader(key="X-Shop", value="made-up-shop-12")],
                parameters=[
                    ghl.CustomActionParameter(name="orderId", description="Order", type="string", example="ORD-9")
                ],
            ),
            extra={"responsePathsToExtract": ["data.status", "data.eta"]},
        ),
        ghl.InCallDataExtractionActionParameters(
            contact_field_id="65f0c3a1b2d4e5f60718290b",
            description="Mail address of the caller",
            examples=["ada@example.com"],
            overwrite_existing_value=True,
        ),
        ghl.KnowledgeBaseParameters(
            trigger_prompt="When the caller asks for prices",
            knowledge_base_id="65f0c3a1b2d4e5f60718290d",
            extra={
                "triggerMessage": "Let me see",
                "parameters": [{"name": "topic", "description": "Topic", "type": "string", "example": "prices"}],
            },
        ),
    ]


def test_ten_thousand_made_up_call_logs_come_back_the_same() -> None:
    for index in range(10_000):
        payload = make_call_log(call_id_at(index, "LOC1", 7), "LOC1", seed=7)
        assert normal(encode_call_log(decode_call_log(orjson.dumps(payload)))) == normal(payload)


@given(call_log_payloads())
def test_whatever_decodes_comes_back_the_same(payload: dict[str, Any]) -> None:
    assert normal(encode_call_log(decode_call_log(payload))) == normal(payload)


@given(call_log_payloads())
def test_json_text_decodes_like_the_mapping_it_stands_for(payload: dict[str, Any]) -> None:
    assert decode_call_log(orjson.dumps(payload)) == decode_call_log(orjson.loads(orjson.dumps(payload)))


@given(call_logs())
def test_what_was_encoded_decodes_to_the_same(call: ghl.CallLog) -> None:
    assert decode_call_log(encode_call_log(call)) == call
    assert json.loads(json.dumps(encode_call_log(call))) == encode_call_log(call)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["id", "executedCallActions", "actionType", "actionParameters", "duration"]), inner
            )
        ),
    )
)
def test_any_json_at_all_decodes_or_is_a_decode_error(value: Any) -> None:
    try:
        call = decode_call_log(value)
    except DecodeError as error:
        problems = error.problems
    else:
        problems = ()
        assert call.id == value["id"]
    assert all(problem.startswith("$") for problem in problems)


@pytest.mark.parametrize(
    "given_as",
    [bytes, bytearray, memoryview, bytes.decode, json.loads, lambda body: OrderedDict(json.loads(body))],
    ids=["bytes", "bytearray", "memoryview", "str", "dict", "another mapping"],
)
def test_bodies_are_taken_in_any_form(given_as: Any) -> None:
    assert decode_call_log(given_as(b'{"id": "1", "extractedData": {"a": 1}}')).extracted_data == {"a": 1}


def test_mappings_that_are_no_dicts_are_taken_at_every_level() -> None:
    payload = MappingProxyType({"id": "1", "extractedData": MappingProxyType({"a": 1})})
    assert decode_call_log(payload).extracted_data == {"a": 1}


@pytest.mark.parametrize("body", [b'\xef\xbb\xbf{"id": "1"}', '\ufeff{"id": "1"}'])
def test_promise_21_a_byte_order_mark_is_fine(body: bytes | str) -> None:
    assert decode_call_log(body).id == "1"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "$: not JSON: "),
        (b"<html></html>", "$: not JSON: "),
        (b'{"id": "1"', "$: not JSON: "),
        (b'{"id": "\xff"}', "$: not JSON: "),
        (b'{"id": "\\ud800"}', "$: not JSON: "),
        ('{"id": "\ud800"}', "$: not JSON: "),
        (b'{"id": "1", "duration": NaN}', "$: not JSON: "),
        (b'{"id": "1", "duration": ' + b"9" * 5000 + b"}", "$: not JSON: "),
        (b"[" * 200_000, "$: not JSON: "),
        (b"null", "$: expected object, got null"),
        (b"[]", "$: expected object, got array"),
        (None, "$: expected object, got null"),
        ({1, 2}, "$: expected object, got set"),
    ],
    ids=str,
)
def test_promise_21_what_is_not_a_json_object_is_a_decode_error(body: Any, problem: str) -> None:
    assert problems_of(body)[0].startswith(problem)


def test_only_the_id_has_to_be_there() -> None:
    assert decode_call_log({"id": "1"}) == ghl.CallLog(id="1")
    assert problems_of({}) == ("$.id: required, but missing",)
    assert problems_of({"id": None}) == ("$.id: required, but null",)


def test_absent_null_and_empty_are_the_same() -> None:
    names = ("executedCallActions", "summary", "translation", "createdAt", "duration", "trialCall", "extractedData")
    call = decode_call_log({"id": "1", **dict.fromkeys(names)})
    assert call == ghl.CallLog(id="1")
    assert encode_call_log(call) == {"id": "1"}


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ({"id": 7}, "$.id: expected string, got number"),
        ({"id": "1", "duration": "180"}, "$.duration: expected number, got string"),
        ({"id": "1", "duration": True}, "$.duration: expected number, got boolean"),
        ({"id": "1", "duration": float("nan")}, "$.duration: expected a finite number"),
        ({"id": "1", "trialCall": "false"}, "$.trialCall: expected boolean, got string"),
        ({"id": "1", "isAgentDeleted": 1.5}, "$.isAgentDeleted: expected boolean, got number"),
        ({"id": "1", "summary": []}, "$.summary: expected string, got array"),
        ({"id": "1", "createdAt": 1705314600}, "$.createdAt: expected date-time string, got number"),
        ({"id": "1", "createdAt": "today"}, "$.createdAt: expected RFC 3339 date-time, got another string"),
        (
            {"id": "1", "createdAt": "2025-10-02T14:05:00"},
            "$.createdAt: expected date-time with an offset, got one without",
        ),
        ({"id": "1", "createdAt": "0001-01-01T00:00:00+05:30"}, "$.createdAt: date-time out of range"),
        ({"id": "1", "executedCallActions": {}}, "$.executedCallActions: expected array, got object"),
        ({"id": "1", "executedCallActions": "x"}, "$.executedCallActions: expected array, got string"),
        ({"id": "1", "extractedData": [1]}, "$.extractedData: expected object, got array"),
        ({"id": "1", "translation": False}, "$.translation: expected object, got boolean"),
        ({"id": "1", "executedCallActions": [None]}, "$.executedCallActions[0]: expected object, got null"),
        (with_action(actionType=["SMS"]), "$.executedCallActions[0].actionType: expected string, got array"),
        (
            with_action(actionType=["SMS"], actionParameters={"messageBody": 1}),
            "$.executedCallActions[0].actionType: expected string, got array",
        ),
        (
            with_action(actionType="DATA_EXTRACTION", actionParameters={"examples": "abc"}),
            "$.executedCallActions[0].actionParameters.examples: expected array, got string",
        ),
        (
            with_action(actionType="DATA_EXTRACTION", actionParameters={"examples": ["a", None]}),
            "$.executedCallActions[0].actionParameters.examples[1]: expected string, got null",
        ),
        (
            with_action(actionType="CUSTOM_ACTION", actionParameters={"apiDetails": {"headers": [{"value": 1}]}}),
            "$.executedCallActions[0].actionParameters.apiDetails.headers[0].value: expected string, got number",
        ),
        (
            with_action(actionType="BRAND_NEW", actionParameters="x"),
            "$.executedCallActions[0].actionParameters: expected object, got string",
        ),
    ],
)
def test_promise_22_wrong_types_are_named_by_json_path_and_never_coerced(payload: Any, problem: str) -> None:
    assert problems_of(payload) == (problem,)


def test_promise_22_every_problem_is_named_at_once() -> None:
    payload = {"duration": "x", "executedCallActions": [1, {"actionName": 2, "actionParameters": {"a": 1}}, None]}
    assert problems_of(payload) == (
        "$.id: required, but missing",
        "$.duration: expected number, got string",
        "$.executedCallActions[0]: expected object, got number",
        "$.executedCallActions[1].actionName: expected string, got number",
        "$.executedCallActions[2]: expected object, got null",
    )


def test_a_decode_error_shows_no_value_in_its_text_its_chain_or_its_frames() -> None:
    import traceback  # noqa: PLC0415  # beside its use

    for body in (b'{"id": "marked-1", "summary": 5}', b'{"id": "marked-1", "summary": "marked-2'):
        with pytest.raises(DecodeError) as caught:
            decode_call_log(body)
        error = caught.value
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        ours = [frame for frame in shown.stack if Path(frame.filename).is_relative_to(PACKAGE)]
        assert ours
        assert "marked" not in str(error) + repr([frame.locals for frame in ours])
        assert error.__cause__ is None
        assert error.__context__ is None


def test_unknown_keys_are_kept_in_the_extra_of_their_object(documented: dict[str, Any]) -> None:
    documented["agentTransferOccurred"] = True
    documented["executedCallActions"][0]["_id"] = "65f0"
    documented["executedCallActions"][0]["actionParameters"]["region"] = None
    call = decode_call_log(documented)
    assert call.extra == {"agentTransferOccurred": True}
    assert call.executed_call_actions[0].extra == {"_id": "65f0"}
    parameters = call.executed_call_actions[0].action_parameters
    assert parameters is not None
    assert parameters.extra == {"region": None}
    assert encode_call_log(call) == documented


@pytest.mark.parametrize("text", ["SMS", Text("SMS"), ActionType.SMS])
def test_a_known_action_type_is_a_member_however_it_is_given(text: str) -> None:
    (action,) = decode_call_log(with_action(actionType=text)).executed_call_actions
    assert action.action_type is ActionType.SMS


def test_an_unknown_action_type_stays_a_string_and_keeps_its_parameters() -> None:
    call = decode_call_log(with_action(actionType="CALL_RECORDING", actionParameters={"url": 1}))
    (action,) = call.executed_call_actions
    assert action.action_type == "CALL_RECORDING"
    assert not isinstance(action.action_type, ActionType)
    assert action.action_parameters == ghl.UnknownActionParameters(extra={"url": 1})


def test_an_action_without_a_type_keeps_its_parameters() -> None:
    (action,) = decode_call_log(with_action(actionParameters={"a": [1]})).executed_call_actions
    assert action.action_type is None
    assert action.action_parameters == ghl.UnknownActionParameters(extra={"a": [1]})


def test_integers_stay_integers() -> None:
    call = decode_call_log(b'{"id": "1", "duration": 180}')
    assert type(call.duration) is int
    assert type(decode_call_log(b'{"id": "1", "duration": 180.0}').duration) is float


def test_an_integer_of_any_size_is_a_number() -> None:
    assert decode_call_log({"id": "1", "duration": 10**400}).duration == 10**400


def test_times_are_read_with_any_offset_and_are_in_utc() -> None:
    call = decode_call_log({"id": "1", "createdAt": "2025-10-02T19:35:00.123456+05:30"})
    assert call.created_at == datetime(2025, 10, 2, 14, 5, 0, 123456, tzinfo=UTC)
    assert call.created_at.tzinfo is UTC
    assert encode_call_log(call)["createdAt"] == "2025-10-02T14:05:00.123456Z"


def test_all_strings_are_encoded_as_plain_ones() -> None:
    call = decode_call_log(with_action(actionType="SMS", actionParameters={"messageBody": Text("a")}))
    call.id = Text("1")

    data = encode_call_log(call)

    (action,) = data["executedCallActions"]
    assert [type(text) for text in (data["id"], action["actionType"], action["actionParameters"]["messageBody"])] == [
        str,
        str,
        str,
    ]


def test_times_set_by_the_caller_are_written_in_utc() -> None:
    call = ghl.CallLog(id="1", created_at=datetime(2025, 10, 2, 16, 5, tzinfo=timezone(timedelta(hours=2))))
    assert encode_call_log(call)["createdAt"] == "2025-10-02T14:05:00.000Z"


def test_a_time_without_a_zone_is_not_encoded() -> None:
    with pytest.raises(InvalidInputError, match="time zone"):
        encode_call_log(ghl.CallLog(id="1", created_at=datetime(2025, 10, 2, 16, 5)))  # noqa: DTZ001  # the point


def test_only_a_call_log_is_encoded() -> None:
    with pytest.raises(InvalidInputError, match="takes a CallLog, not dict"):
        encode_call_log({})  # type: ignore[arg-type]  # the point


def test_a_field_wins_over_a_key_of_the_same_name_in_extra() -> None:
    assert encode_call_log(ghl.CallLog(id="1", extra={"id": "2", "new": 3})) == {"id": "1", "new": 3}


def test_decoding_loads_no_http_client() -> None:
    program = "import sys, ghl_voice_async.decoder; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
