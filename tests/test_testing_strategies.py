from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from lossless import normal

from ghl_voice_async import ActionType, CallLog, decode_call_log, encode_call_log
from ghl_voice_async.testing.strategies import call_log_payloads, call_logs


@given(call_log_payloads())
def test_every_payload_decodes_and_comes_back_as_it_was(payload: dict[str, Any]) -> None:
    assert normal(encode_call_log(decode_call_log(payload))) == normal(payload)


@given(call_logs())
def test_call_logs_are_decoded(call_log: CallLog) -> None:
    assert isinstance(call_log, CallLog)


def test_every_action_type_and_an_unpublished_one_is_generated() -> None:
    seen: set[str | None] = set()

    @settings(max_examples=150, derandomize=True, database=None)
    @given(call_logs())
    def look(call_log: CallLog) -> None:
        seen.update(action.action_type for action in call_log.executed_call_actions)

    look()
    assert seen == {*ActionType, "CALL_RECORDING_SHARED"}
