from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from rich.console import Console

from ghl_voice_async import (
    ActionType,
    AppointmentBookingActionParameters,
    CallLog,
    CallTransferActionParameters,
    CustomActionApiDetails,
    CustomActionHeader,
    CustomActionParameters,
    DataExtractionActionParameters,
    ExecutedCallAction,
    InCallDataExtractionActionParameters,
    KnowledgeBaseParameters,
    SMSParameters,
    UnknownActionParameters,
    WorkflowTriggerParameters,
)
from ghl_voice_async.cli.page import call_log_page
from ghl_voice_async.testing.strategies import call_logs

START = datetime(2025, 9, 9, 8, 26, 45, tzinfo=UTC)


def page(**fields: Any) -> str:
    screen = io.StringIO()
    console = Console(file=screen, width=90)
    console.print(call_log_page(CallLog(**{"id": "call-1", **fields})))
    return screen.getvalue()


def action(seconds: float | None, name: str, parameters: Any = None, **fields: Any) -> ExecutedCallAction:
    when = None if seconds is None else START + timedelta(seconds=seconds)
    return ExecutedCallAction(action_name=name, action_parameters=parameters, **{"executed_at": when, **fields})


def test_a_page_reads_from_the_header_to_the_conversation() -> None:
    shown = page(
        from_number="+15550142",
        created_at=START,
        duration=125.4,
        agent_id="agent-7",
        contact_id="contact-9",
        trial_call=True,
        summary="They want a boat.",
        executed_call_actions=[action(61, "Confirmation", SMSParameters(message_body="See you!"), action_type="SMS")],
        transcript="bot: Hello\nhuman:Hi\nwith a second line",
    )
    assert [line.strip() for line in shown.splitlines()] == [
        "═" * 38 + " Call call-1 " + "═" * 39,
        "From      +15550142",
        "When      Tuesday 09 September 2025, 08:26:45 UTC",
        "Duration  2:05",
        "Agent     agent-7",
        "Contact   contact-9",
        "Trial     yes",
        "",
        "Summary " + "─" * 82,
        "They want a boat.",
        "",
        "Actions " + "─" * 82,
        "1:01  SMS  Confirmation",
        "See you!",
        "",
        "Transcript " + "─" * 79,
        "Agent  Hello",
        "Caller  Hi",
        "with a second line",
    ]


def test_what_a_call_does_not_have_is_not_on_its_page() -> None:
    assert [line for line in page().splitlines() if line.strip()] == ["═" * 38 + " Call call-1 " + "═" * 39]


def test_a_deleted_agent_is_said_to_be() -> None:
    assert "Agent  agent-7 (deleted since)" in page(agent_id="agent-7", is_agent_deleted=True)


def test_actions_stand_in_order_of_time_and_those_without_a_time_last() -> None:
    shown = page(
        created_at=START,
        executed_call_actions=[
            action(None, "untimed"),
            action(90, "second"),
            action(None, "first", trigger_received_at=START + timedelta(seconds=30)),
            action(-5, "before the call"),
        ],
    )
    names = ["before the call", "first", "second", "untimed"]
    assert sorted(names, key=shown.index) == names
    assert "-0:05" in shown
    assert "0:30" in shown


def test_times_of_actions_are_left_out_where_the_call_has_none_itself() -> None:
    assert "0:30" not in page(executed_call_actions=[action(30, "x")])


@pytest.mark.parametrize(
    ("parameters", "detail"),
    [
        (CallTransferActionParameters(transfer_to_value="+15550100"), "+15550100"),
        (DataExtractionActionParameters(description="Their name"), "Their name"),
        (InCallDataExtractionActionParameters(description="Their name"), "Their name"),
        (WorkflowTriggerParameters(workflow_id="flow-3"), "flow-3"),
        (SMSParameters(message_body="See you"), "See you"),
        (AppointmentBookingActionParameters(calendar_id="cal-2"), "cal-2"),
        (KnowledgeBaseParameters(knowledge_base_id="kb-1"), "kb-1"),
        (
            CustomActionParameters(api_details=CustomActionApiDetails(url="https://x.example/a?key=s", method="GET")),
            "GET https://x.example/a",
        ),
        (CustomActionParameters(api_details=CustomActionApiDetails()), None),
        (CustomActionParameters(), None),
        (UnknownActionParameters(extra={"a": 1}), None),
        (None, None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_action_shows_the_one_thing_that_matters(parameters: Any, detail: str | None) -> None:
    lines = page(executed_call_actions=[action(None, "name", parameters)]).splitlines()
    below = [line.strip() for line in lines[lines.index(next(line for line in lines if "name" in line)) + 1 :]]
    assert below == ([] if detail is None else [detail])


def test_secrets_of_a_custom_action_are_not_shown() -> None:
    details = CustomActionApiDetails(
        url="https://x.example/a?key=secret-1",
        authentication_value="secret-2",
        headers=[CustomActionHeader(key="X-Key", value="secret-3")],
    )
    parameters = CustomActionParameters(api_details=details)
    shown = page(executed_call_actions=[action(None, "look up", parameters, action_type=ActionType.CUSTOM_ACTION)])
    assert "CUSTOM_ACTION" in shown
    assert "secret" not in shown


def test_nothing_in_a_call_steers_the_terminal() -> None:
    evil = "a\x1b[2Jb\x07c\u202ed\ud800e\x9bf [bold]g[/bold] \N{OK HAND SIGN}"
    shown = page(
        id=evil,
        summary=evil,
        transcript=f"bot: {evil}",
        agent_id=evil,
        executed_call_actions=[action(None, evil, SMSParameters(message_body=evil), action_type=evil)],
    )
    assert not {"\x1b", "\x07", "\u202e", "\ud800", "\x9b"} & set(shown)
    assert "[bold]g[/bold]" in shown
    shown.encode()


@given(call_logs())
def test_every_call_log_has_a_page(call_log: CallLog) -> None:
    screen = io.StringIO()
    Console(file=screen, width=90).print(call_log_page(call_log))
    assert screen.getvalue().encode()
