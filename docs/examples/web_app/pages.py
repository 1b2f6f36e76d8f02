"""The templates, and what they need to show a call: its conversation, and its actions in order of time."""

import json
import re
from dataclasses import dataclass
from math import inf
from pathlib import Path

from fastapi.templating import Jinja2Templates

from ghl_voice_async import (
    CallLog,
    CallTransferActionParameters,
    DataExtractionActionParameters,
    ExecutedCallAction,
    SMSParameters,
)

HERE = Path(__file__).parent
SPEAKERS = {"bot": "Agent", "human": "Caller"}


@dataclass
class Turn:
    speaker: str
    """`Agent`, `Caller`, or nothing where the transcript does not say."""
    text: str


def conversation(transcript: str) -> list[Turn]:
    """Take a transcript apart: its lines begin with `bot:` or `human:`, and one that does not goes on from the last."""
    turns: list[Turn] = []
    for line in transcript.splitlines():
        if spoken := re.match(r"(bot|human):\s*(.*)", line):
            turns.append(Turn(SPEAKERS[spoken[1]], spoken[2]))
        elif turns:
            turns[-1].text += f"\n{line}"
        else:
            turns.append(Turn("", line))
    return turns


@dataclass(frozen=True)
class Moment:
    action: ExecutedCallAction
    seconds: float | None
    """How far into the call, or None where that is not known."""


def time_line(call: CallLog) -> list[Moment]:
    """Put the actions in order of time, those of no known time last."""
    moments = []
    for action in call.executed_call_actions:
        when = action.executed_at or action.trigger_received_at
        into = when - call.created_at if when and call.created_at else None
        moments.append(Moment(action, None if into is None else into.total_seconds()))
    return sorted(moments, key=lambda moment: inf if moment.seconds is None else moment.seconds)


def did(action: ExecutedCallAction) -> str:
    """Say the one thing about an action that a reader wants to know."""
    match action.action_parameters:
        case SMSParameters(message_body=text):
            return text or ""
        case CallTransferActionParameters(transfer_to_value=number):
            return number or ""
        case DataExtractionActionParameters(description=what):
            return what or ""
        case _:
            return ""


def clock(seconds: float) -> str:
    minutes, rest = divmod(round(abs(seconds)), 60)
    return f"{'-' if seconds < 0 else ''}{minutes}:{rest:02d}"


def as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


templates = Jinja2Templates(HERE / "templates")  # escapes all that it is given
templates.env.filters |= {"clock": clock, "as_text": as_text, "did": did}
