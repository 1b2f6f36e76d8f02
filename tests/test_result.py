from __future__ import annotations

import pickle

import pytest

from ghl_voice_async import CallLog, CallLogResult, CallRef, NotFoundError

REF = CallRef("CALL", "LOC")


def test_a_result_with_a_call_log_is_ok_and_unwraps_to_it() -> None:
    result = CallLogResult(3, REF, call_log=CallLog(id="other"))
    assert (result.index, result.call_id, result.location_id, result.ok) == (3, "CALL", "LOC", True)
    assert result.error is None
    assert result.unwrap().id == "other"


def test_a_result_with_an_error_is_not_ok_and_unwraps_to_raising_it() -> None:
    error = NotFoundError("no", status=404)
    result = CallLogResult(0, REF, error=error)
    assert (result.ok, result.call_log) == (False, None)
    with pytest.raises(NotFoundError) as caught:
        result.unwrap()
    assert caught.value is error


def test_a_result_goes_to_another_process_whole() -> None:
    result = CallLogResult(1, REF, call_log=CallLog(id="CALL", summary="About a boiler"))
    assert pickle.loads(pickle.dumps(result)) == result


def test_the_repr_of_a_result_shows_nothing_that_was_said() -> None:
    shown = repr(CallLogResult(1, REF, call_log=CallLog(id="CALL", summary="About a boiler")))
    assert "CALL" in shown
    assert "boiler" not in shown


def test_a_ref_is_a_pair() -> None:
    assert REF == ("CALL", "LOC")
