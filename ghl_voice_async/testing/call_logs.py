"""Made-up call logs in the shapes that HighLevel's have. The people, numbers and secrets in them do not exist.

Everything follows from the seed, the location and the call id, in any process and in any order.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["ACTION_MAKERS", "call_id_at", "is_call_id", "make_call_log"]

_FIRST_CALL = datetime(2025, 9, 9, 8, 0, tzinfo=UTC)
_INDEX_BASE = 0x65000000  # ids look like those of the API page: 24 hexadecimal characters
_LONGEST_TRANSCRIPT = 200_000

_PEOPLE = ("Ada Okafor", "Ben Lindqvist", "Chiara Moretti", "Dev Raman", "Esme Duval", "Farid Haddad")
_TRADES = ("a boiler repair", "a dental check-up", "a roof estimate", "a test drive", "a haircut", "a tax appointment")
_GREETING = "Thanks for calling, how can I help you today?"
_OPENING = (
    ("Hi, I would like to book {trade}.", "Of course. May I have your name, please?"),
    ("My name is {person}.", "Thank you. I have an opening on Thursday at ten. Would that suit you?"),
)
_MIDDLE = (
    ("Hm, rather in the afternoon.", "Let me check that for you. There is one at half past three."),
    ("How much would it cost, roughly?", "That depends on the work. I have sent the price list to your phone."),
    ("Could you text me the details?", "I have sent them to your phone."),
    ("Can I move it if I have to?", "Yes, just call us the day before."),
    ("Hm, I am not sure. Can I talk to somebody?", "One moment, I will see who is free."),
)
_CLOSING = ("No, that was all. Thank you!", "Thank you for calling. Goodbye!")
_ACTION_NAMES = {
    "CALL_TRANSFER": "Hand over to the front desk",
    "DATA_EXTRACTION": "Note the caller's name",
    "IN_CALL_DATA_EXTRACTION": "Ask for the caller's name",
    "WORKFLOW_TRIGGER": "Start the quote",
    "SMS": "Text the appointment",
    "APPOINTMENT_BOOKING": "Book the appointment",
    "CUSTOM_ACTION": "Look up the order",
    "KNOWLEDGE_BASE": "Look up the prices",
}


def call_id_at(index: int, location_id: str, seed: int) -> str:
    """Name the call log at an index from 0 on: the index, and a digest by which it can be recognised."""
    head = f"{_INDEX_BASE + index:08x}"
    return head + hashlib.blake2b(f"{seed}/{location_id}/{head}".encode(), digest_size=8).hexdigest()


def is_call_id(call_id: str, location_id: str, seed: int) -> bool:
    """Tell whether this is the id of a made-up call log of this location."""
    try:
        index = int(call_id[:8], 16) - _INDEX_BASE
    except ValueError:
        return False
    return index >= 0 and call_id == call_id_at(index, location_id, seed)


def make_call_log(call_id: str, location_id: str, *, seed: int = 0) -> dict[str, Any]:
    """Make up one call log as parsed JSON: none to eight actions, and a transcript of a line to 200 kB.

    The shapes vary as those of live bodies do: keys are absent or null, times are whole or not, and keys
    that the published schema does not know turn up.
    """
    dice = random.Random(f"{seed}/{location_id}/{call_id}")  # noqa: S311  # made-up people
    person, trade = dice.choice(_PEOPLE), dice.choice(_TRADES)
    lines = _transcript(dice, person, trade)
    started = _FIRST_CALL + timedelta(seconds=dice.randrange(400 * 24 * 3600))
    seconds = dice.randrange(5, 1800) if dice.random() < 0.7 else round(dice.uniform(5, 1800), 3)
    separator = dice.choice((" ", " ", ""))
    call_log: dict[str, Any] = {
        "id": call_id,
        "contactId": _some_id(dice),
        "agentId": _some_id(dice),
        "isAgentDeleted": dice.random() < 0.05,
        "fromNumber": _phone(dice),
        "createdAt": _instant(started),
        "duration": seconds,
        "trialCall": dice.random() < 0.1,
        "executedCallActions": [_action(dice, started, seconds) for _ in range(dice.choice((0, 0, 1, 1, 2, 3, 5, 8)))],
        "summary": f"{person} called about {trade} and was offered an appointment.",
        "transcript": "\n".join(f"{speaker}:{separator}{line}" for speaker, line in lines),
        "translation": dice.choice(
            (None, {"enabled": False}, {"enabled": True, "language": "es"}, {"translatedTranscript": "Hola."})
        ),
        "extractedData": {"customerName": person, "interest": trade, "budget": dice.choice((None, 250, 99.5))},
        "messageId": _some_id(dice),
    }
    if dice.random() < 0.2:
        call_log["agentTransferOccurred"] = dice.random() < 0.5
        call_log["transcriptWithToolCalls"] = _turns(dice, lines)
    for key in ("contactId", "fromNumber", "trialCall", "summary", "translation", "extractedData"):
        if dice.random() < 0.1:
            del call_log[key]
    return call_log


def _transcript(dice: random.Random, person: str, trade: str) -> list[tuple[str, str]]:
    size = dice.choices((1, dice.randrange(200, 4000), 60_000, _LONGEST_TRANSCRIPT), weights=(5, 90, 4, 1))[0]
    lines = [("bot", _GREETING)]
    if size == 1:
        return lines
    exchanges = [*_OPENING]
    length = 0
    while length < size - 600:
        middle = dice.sample(_MIDDLE, len(_MIDDLE))
        exchanges += middle
        length += sum(len(f"human: {caller}\nbot: {agent}\n") for caller, agent in middle)
    for caller, agent in (*exchanges, _CLOSING):
        lines += [("human", caller.format(person=person, trade=trade)), ("bot", agent)]
    return lines


def _turns(dice: random.Random, lines: list[tuple[str, str]]) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    clock = 0.0
    for speaker, line in lines[:20]:
        end = round(clock + 0.06 * len(line), 2)
        role = "agent" if speaker == "bot" else "user"
        turns.append({"role": role, "content": line, "startTime": clock, "endTime": end})
        clock = end
    tool = {"role": "action_executed", "toolName": "send_sms", "toolCallId": _some_id(dice), "toolType": "SMS"}
    return [*turns, tool]


def _action(dice: random.Random, started: datetime, seconds: float) -> dict[str, Any]:
    action_type = dice.choice(tuple(ACTION_MAKERS))
    received = started + timedelta(seconds=dice.uniform(0, seconds))
    action = {
        dice.choice(("actionId", "actionId", "actionId", "_id")): _some_id(dice),
        "actionType": action_type,
        "actionName": _ACTION_NAMES[action_type],
        "actionParameters": ACTION_MAKERS[action_type](dice),
        "executedAt": _instant(received + timedelta(seconds=dice.uniform(0, 15))),
        "triggerReceivedAt": _instant(received),
    }
    if dice.random() < 0.05:
        del action["executedAt"]
    return action


def _call_transfer(dice: random.Random) -> dict[str, Any]:
    parameters = {
        "triggerPrompt": "When the caller asks for a person",
        "transferToType": "number",
        "transferToValue": _phone(dice),
        "triggerMessage": "I will put you through",
        "hearWhisperMessage": dice.random() < 0.5,
    }
    if dice.random() < 0.5:
        del parameters["triggerPrompt"]
    return parameters


def _data_extraction(dice: random.Random) -> dict[str, Any]:
    return {
        "contactFieldId": _some_id(dice),
        "description": "The caller's name",
        "examples": list(dice.sample(_PEOPLE, dice.randrange(1, 6))),
        "overwriteExistingValue": dice.random() < 0.5,
    }


def _workflow_trigger(dice: random.Random) -> dict[str, Any]:
    return {
        "triggerPrompt": "When the caller wants a quote",
        "triggerMessage": "I will start that for you",
        "workflowId": _some_id(dice),
    }


def _sms(dice: random.Random) -> dict[str, Any]:
    return {
        "triggerPrompt": "When the caller asks for a confirmation",
        "triggerMessage": "I will text you",
        "messageBody": f"See you on Thursday at {dice.randrange(9, 18)}:00!",
    }


def _appointment_booking(dice: random.Random) -> dict[str, Any]:
    return {
        "calendarId": _some_id(dice),
        "daysOfOfferingDates": dice.randrange(1, 8),
        "slotsPerDay": dice.randrange(1, 6),
        "hoursBetweenSlots": dice.choice((1, 2, 0.5)),
    }


def _custom_action(dice: random.Random) -> dict[str, Any]:
    return {
        "triggerPrompt": "When the caller names an order",
        "triggerMessage": "I will look that up",
        "apiDetails": {
            "url": "https://orders.example.com/v1/orders",
            "method": dice.choice(("GET", "POST")),
            "authenticationRequired": True,
            "authenticationValue": f"not-a-real-key-{dice.randrange(10**6)}",
            "headers": [{"key": "X-Shop", "value": f"shop-{dice.randrange(100)}"}],
            "parameters": [{"name": "orderId", "description": "Order id", "type": "string", "example": "ORD-1"}],
        },
        dice.choice(("responsePathsToExtract", "selectedPaths")): ["data.status", "data.eta"],
    }


def _knowledge_base(dice: random.Random) -> dict[str, Any]:
    parameters: dict[str, Any] = {"triggerPrompt": "When the caller asks for prices", "knowledgeBaseId": _some_id(dice)}
    if dice.random() < 0.5:
        parameters["triggerMessage"] = "I will look that up"
        parameters["parameters"] = [{"name": "topic", "description": "What to look for", "type": "string"}]
    return parameters


ACTION_MAKERS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "CALL_TRANSFER": _call_transfer,
    "DATA_EXTRACTION": _data_extraction,
    "IN_CALL_DATA_EXTRACTION": _data_extraction,
    "WORKFLOW_TRIGGER": _workflow_trigger,
    "SMS": _sms,
    "APPOINTMENT_BOOKING": _appointment_booking,
    "CUSTOM_ACTION": _custom_action,
    "KNOWLEDGE_BASE": _knowledge_base,
}


def _some_id(dice: random.Random) -> str:
    return f"{dice.getrandbits(96):024x}"


def _phone(dice: random.Random) -> str:
    # 555-0100 to 555-0199 are set aside for fiction.
    return f"+1{dice.randrange(200, 1000)}55501{dice.randrange(100):02d}"


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
