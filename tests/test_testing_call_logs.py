from __future__ import annotations

import subprocess
import sys
from collections import Counter

from ghl_voice_async import ActionType
from ghl_voice_async.testing import VoiceAIServer, make_call_log
from ghl_voice_async.testing.call_logs import call_id_at

PAYLOADS = [make_call_log(call_id_at(index, "LOC", 0), "LOC") for index in range(3_000)]


def test_they_have_none_to_eight_actions_of_all_types() -> None:
    actions = [payload["executedCallActions"] for payload in PAYLOADS]
    assert min(map(len, actions)) == 0
    assert max(map(len, actions)) == 8
    assert {action["actionType"] for some in actions for action in some} == set(ActionType)


def test_their_transcripts_go_from_a_line_to_two_hundred_kilobytes() -> None:
    sizes = sorted(len(payload["transcript"].encode()) for payload in PAYLOADS)
    assert sizes[0] < 100
    assert 190_000 < sizes[-1] < 250_000
    assert 200 < sizes[len(sizes) // 2] < 4_000


def test_they_have_the_shapes_of_live_bodies() -> None:
    absent = Counter(
        key
        for payload in PAYLOADS
        for key in ("summary", "extractedData", "trialCall", "contactId", "fromNumber", "translation")
        if key not in payload
    )
    assert len(absent) == 6
    assert any("transcriptWithToolCalls" in payload and "agentTransferOccurred" in payload for payload in PAYLOADS)
    translations = [payload.get("translation", {}) for payload in PAYLOADS]
    assert None in translations
    assert {"translatedTranscript": "Hola."} in translations
    assert {type(payload["duration"]) for payload in PAYLOADS} == {int, float}
    actions = [action for payload in PAYLOADS for action in payload["executedCallActions"]]
    assert {"_id", "actionId"} <= {key for action in actions for key in action}
    parameters = {(action["actionType"], key) for action in actions for key in action["actionParameters"]}
    assert {("CUSTOM_ACTION", "responsePathsToExtract"), ("KNOWLEDGE_BASE", "triggerMessage")} <= parameters
    assert any(
        "triggerPrompt" not in action["actionParameters"]
        for action in actions
        if action["actionType"] == "CALL_TRANSFER"
    )


def test_both_speakers_are_written_with_and_without_a_space() -> None:
    lines = {line[:8] for payload in PAYLOADS[:200] for line in payload["transcript"].splitlines()}
    assert {"bot: Of ", "bot:Of c", "human: H", "human:Hi"} <= lines


def test_a_call_log_is_the_same_in_every_process() -> None:
    call_id = VoiceAIServer().call_ids(3, "LOC")[2]
    program = f"from ghl_voice_async.testing import make_call_log; print(make_call_log({call_id!r}, 'LOC'))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert answer.stdout.strip() == str(make_call_log(call_id, "LOC"))
