"""Hypothesis strategies for call logs: what the API could send, and what it has never been seen to send.

Needs hypothesis, which `pip install 'ghl-voice-async[testing]'` brings.

::

    @given(call_log_payloads())
    def test_storing_and_loading_gives_the_same(payload): ...
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as _error:
    _error.add_note("pip install 'ghl-voice-async[testing]' brings it.")
    raise

from ghl_voice_async.decoder import decode_call_log
from ghl_voice_async.models import ActionType, CallLog

__all__ = ["call_log_payloads", "call_logs"]

_texts = st.text(max_size=40)
_ids = st.text("0123456789abcdef", min_size=24, max_size=24) | st.text(
    "ABCDEFGHJKMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789", min_size=20, max_size=24
)
_numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_json = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_instants = st.builds(
    lambda moment, precision, offset: moment.isoformat(timespec=precision) + offset,
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),  # noqa: DTZ001  # the offset is added
    st.sampled_from(("seconds", "milliseconds", "microseconds")),
    st.sampled_from(("Z", "+00:00", "-08:00", "+05:30", "+14:00")),
)
# camelCase words that no schema knows: "tomorrow's" keys.
_unknown_keys = st.dictionaries(
    st.sampled_from(("_id", "callScore", "translatedTranscript", "triggerMessage2", "région")) | _texts,
    _json,
    max_size=2,
)


def _object(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Make objects in which each of the fields may be absent or null, and unknown keys may stand beside them."""
    known = st.fixed_dictionaries({}, optional={key: st.none() | value for key, value in fields.items()})
    unknown = _unknown_keys.map(lambda items: {key: value for key, value in items.items() if key not in fields})
    return st.builds(lambda extra, data: {**extra, **data}, unknown, known)


_parameters: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    ActionType.CALL_TRANSFER: _object(
        triggerPrompt=_texts,
        transferToType=st.just("number") | _texts,
        transferToValue=_texts,
        triggerMessage=_texts,
        hearWhisperMessage=st.booleans(),
    ),
    ActionType.DATA_EXTRACTION: _object(
        contactFieldId=_ids,
        description=_texts,
        examples=st.lists(_texts, max_size=5),
        overwriteExistingValue=st.booleans(),
    ),
    ActionType.IN_CALL_DATA_EXTRACTION: _object(
        contactFieldId=_ids,
        description=_texts,
        examples=st.lists(_texts, max_size=5),
        overwriteExistingValue=st.booleans(),
    ),
    ActionType.WORKFLOW_TRIGGER: _object(triggerPrompt=_texts, triggerMessage=_texts, workflowId=_ids),
    ActionType.SMS: _object(triggerPrompt=_texts, triggerMessage=_texts, messageBody=_texts),
    ActionType.APPOINTMENT_BOOKING: _object(
        calendarId=_ids, daysOfOfferingDates=_numbers, slotsPerDay=_numbers, hoursBetweenSlots=_numbers
    ),
    ActionType.CUSTOM_ACTION: _object(
        triggerPrompt=_texts,
        triggerMessage=_texts,
        apiDetails=_object(
            url=_texts,
            method=st.sampled_from(("GET", "POST", "PATCH")),
            authenticationRequired=st.booleans(),
            authenticationValue=_texts,
            headers=st.lists(_object(key=_texts, value=_texts), max_size=2),
            parameters=st.lists(_object(name=_texts, description=_texts, type=_texts, example=_texts), max_size=2),
        ),
        selectedPaths=st.lists(_texts, max_size=3),
        responsePathsToExtract=st.lists(_texts, max_size=3),
    ),
    ActionType.KNOWLEDGE_BASE: _object(
        triggerPrompt=_texts, knowledgeBaseId=_ids, triggerMessage=_texts, parameters=st.lists(_json, max_size=2)
    ),
    "CALL_RECORDING_SHARED": st.dictionaries(_texts, _json, max_size=3),
}


def _action(action_type: str) -> st.SearchStrategy[dict[str, Any]]:
    return _object(
        actionId=_ids,
        actionType=st.just(str(action_type)),
        actionName=_texts,
        actionParameters=_parameters[action_type],
        executedAt=_instants,
        triggerReceivedAt=_instants,
    ).map(lambda action: {**action, "actionType": str(action_type)})


_rest = _object(
    contactId=_ids,
    agentId=_ids,
    isAgentDeleted=st.booleans(),
    fromNumber=_texts,
    createdAt=_instants,
    duration=_numbers,
    trialCall=st.booleans(),
    executedCallActions=st.lists(st.one_of(*map(_action, _parameters)), max_size=8),
    summary=_texts,
    transcript=_texts,
    translation=_object(enabled=st.booleans(), language=_texts),
    extractedData=st.dictionaries(_texts, _json, max_size=4),
    messageId=_ids,
    agentTransferOccurred=st.booleans(),
    transcriptWithToolCalls=st.lists(_json, max_size=2),
)


def call_log_payloads() -> st.SearchStrategy[dict[str, Any]]:
    """Generate call logs as parsed JSON: every published action type and an unknown one, with any key absent."""
    return st.builds(lambda call_id, rest: {**rest, "id": call_id}, _ids, _rest)


def call_logs() -> st.SearchStrategy[CallLog]:
    """Generate decoded call logs."""
    return call_log_payloads().map(decode_call_log)
