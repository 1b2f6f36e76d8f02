"""A call log as a page for a person: header, summary, actions in order of time, and the conversation."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from ghl_voice_async.models import (
    AppointmentBookingActionParameters,
    CallTransferActionParameters,
    CustomActionParameters,
    DataExtractionActionParameters,
    KnowledgeBaseParameters,
    SMSParameters,
    WorkflowTriggerParameters,
)
from ghl_voice_async.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from ghl_voice_async.models import ActionParameters, CallLog, ExecutedCallAction

__all__ = ["call_log_page"]

_SPEAKER = re.compile(r"(bot|human):\s?(.*)")
_SPEAKERS = {"bot": Text("Agent", "bold cyan"), "human": Text("Caller", "bold green"), "": Text("")}
_LAST = datetime.max.replace(tzinfo=UTC)


def call_log_page(call_log: CallLog) -> RenderableType:
    """Lay a call log out for a terminal. Other people's secrets in a custom action are left out."""
    parts: list[RenderableType] = [_title(call_log), _header(call_log)]
    if call_log.summary:
        parts += [_heading("Summary"), _indented(Text(printable(call_log.summary)))]
    if call_log.executed_call_actions:
        parts += [_heading("Actions"), _indented(_actions(call_log))]
    if call_log.transcript:
        parts += [_heading("Transcript"), _indented(_conversation(call_log.transcript))]
    return Group(*parts)


def _title(call_log: CallLog) -> Rule:
    return Rule(Text(f"Call {printable(call_log.id)}", "bold"), characters="═")


def _heading(name: str) -> Padding:
    return Padding(Rule(Text(name, "bold"), align="left"), (1, 0, 0, 0))


def _indented(content: RenderableType) -> Padding:
    return Padding(content, (0, 2), expand=False)


def _header(call_log: CallLog) -> Padding:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    for name, value in _facts(call_log):
        if value:
            grid.add_row(name, Text(printable(value)))
    return _indented(grid)


def _facts(call_log: CallLog) -> Iterator[tuple[str, str | None]]:
    yield "From", call_log.from_number
    yield "When", None if call_log.created_at is None else f"{call_log.created_at:%A %d %B %Y, %H:%M:%S} UTC"
    yield "Duration", None if call_log.duration is None else _clock(call_log.duration)
    yield "Agent", f"{call_log.agent_id} (deleted since)" if call_log.is_agent_deleted else call_log.agent_id
    yield "Contact", call_log.contact_id
    yield "Trial", "yes" if call_log.trial_call else None


def _actions(call_log: CallLog) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column(style="magenta")
    table.add_column()
    for action in sorted(call_log.executed_call_actions, key=lambda action: _when(action) or _LAST):
        when = _when(action)
        into = ""
        if when is not None and call_log.created_at is not None:
            into = _clock((when - call_log.created_at).total_seconds())
        said = Text(printable(action.action_name or ""))
        if detail := _detail(action.action_parameters):
            said.append(f"\n{printable(detail)}", "dim")
        table.add_row(into, Text(printable(action.action_type or "")), said)
    return table


def _when(action: ExecutedCallAction) -> datetime | None:
    return action.executed_at or action.trigger_received_at


def _detail(parameters: ActionParameters | None) -> str | None:
    match parameters:
        case CallTransferActionParameters():
            return parameters.transfer_to_value
        case SMSParameters():
            return parameters.message_body
        case DataExtractionActionParameters():
            return parameters.description
        case CustomActionParameters(api_details=details) if details is not None:
            # A query may hold a key of the customer's.
            return f"{details.method or ''} {(details.url or '').partition('?')[0]}".strip()
        case WorkflowTriggerParameters():
            return parameters.workflow_id
        case AppointmentBookingActionParameters():
            return parameters.calendar_id
        case KnowledgeBaseParameters():
            return parameters.knowledge_base_id
        case _:
            return None


def _conversation(transcript: str) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column()
    for speaker, line in _turns(transcript):
        grid.add_row(_SPEAKERS[speaker], Text(printable(line)))
    return grid


def _turns(transcript: str) -> Iterator[tuple[str, str]]:
    """Give pairs of a speaker and a line; a line that begins with no speaker goes on with no name."""
    for line in transcript.splitlines():
        spoken = _SPEAKER.match(line)
        yield (spoken[1], spoken[2]) if spoken else ("", line)


def _clock(seconds: float) -> str:
    sign = "-" if seconds < 0 else ""
    minutes, rest = divmod(round(abs(seconds)), 60)
    return f"{sign}{minutes}:{rest:02d}"
