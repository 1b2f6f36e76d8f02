from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
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
    missing: set[str] = {*ActionType, "CALL_RECORDING_SHARED"}

    def completes_the_set(call_log: CallLog) -> bool:
        missing.difference_update(str(action.action_type) for action in call_log.executed_call_actions)
        return not missing

    find(call_logs(), completes_the_set, settings=settings(max_examples=10_000, phases=[Phase.generate]))
    assert not missing


def test_without_hypothesis_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ghl_voice_async.testing.strategies")
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        import_module("ghl_voice_async.testing.strategies")
    assert caught.value.__notes__ == ["pip install 'ghl-voice-async[testing]' brings it."]
