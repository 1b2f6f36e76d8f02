"""What a call log is made of: one attrs class for each object of the API's schema.

Attribute names are the API's in snake_case. An absent or null field is None, or an empty list for a list.
Keys that the published schema does not know are kept in `extra`, at every level. A `repr` shows identifiers,
types, times and sizes, and no text: what people said and other people's secrets stay out of logs.

Source of every field: the API page "Get Call Log",
https://marketplace.gohighlevel.com/docs/ghl/voice-ai/get-call-log/
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

from attrs import define, field

__all__ = [
    "ActionParameters",
    "ActionType",
    "AppointmentBookingActionParameters",
    "CallLog",
    "CallTransferActionParameters",
    "CustomActionApiDetails",
    "CustomActionHeader",
    "CustomActionParameter",
    "CustomActionParameters",
    "DataExtractionActionParameters",
    "ExecutedCallAction",
    "InCallDataExtractionActionParameters",
    "KnowledgeBaseParameters",
    "SMSParameters",
    "Translation",
    "UnknownActionParameters",
    "WorkflowTriggerParameters",
]


def _size(value: str | Sequence[Any] | Mapping[str, Any] | None) -> str:
    if value is None:
        return "None"
    unit = {str: "characters", list: "items"}.get(type(value), "keys")
    return f"<{len(value)} {unit}>"


def _comparable(value: object) -> object:
    """Return what `==` compares in place of a value that may be nested as deeply as JSON may."""
    return _Nested(value) if value else value


class _Nested:
    """JSON whose `==` raises no `RecursionError`."""

    __slots__ = ("value",)
    __hash__ = None  # type: ignore[assignment]  # as of what it holds

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Nested):
            return NotImplemented
        try:
            return self.value == other.value
        except RecursionError:
            return _equal(self.value, other.value)


def _equal(one: object, other: object) -> bool:
    """Compare JSON without recursion."""
    pairs = [(one, other)]
    while pairs:
        left, right = pairs.pop()
        if isinstance(left, dict) and isinstance(right, dict):
            if left.keys() != right.keys():
                return False
            pairs += ((item, right[key]) for key, item in left.items())
        elif isinstance(left, list) and isinstance(right, list):
            if len(left) != len(right):
                return False
            pairs += zip(left, right, strict=True)
        elif left != right:
            return False
    return True


class ActionType(StrEnum):
    """The eight action types that the API page names. Others arrive as plain strings."""

    CALL_TRANSFER = "CALL_TRANSFER"
    DATA_EXTRACTION = "DATA_EXTRACTION"
    IN_CALL_DATA_EXTRACTION = "IN_CALL_DATA_EXTRACTION"
    WORKFLOW_TRIGGER = "WORKFLOW_TRIGGER"
    SMS = "SMS"
    APPOINTMENT_BOOKING = "APPOINTMENT_BOOKING"
    CUSTOM_ACTION = "CUSTOM_ACTION"
    KNOWLEDGE_BASE = "KNOWLEDGE_BASE"


@define(kw_only=True)
class Translation:
    """How the transcript was translated."""

    enabled: bool | None = None
    """Whether translation is on."""
    language: str | None = field(default=None, repr=_size)
    """Language code of the translation, such as `es`."""
    extra: dict[str, Any] = field(factory=dict, repr=_size, eq=_comparable)
    """Keys beyond the published schema, such as `translatedTranscript`."""


@define(kw_only=True)
class CallTransferActionParameters:
    """Parameters of a `CALL_TRANSFER`: the call was put through to a number."""

    trigger_prompt: str | None = field(default=None, repr=_size)
    """When to trigger this action during the call."""
    transfer_to_type: str | None = None
    """Kind of destination; `number` is the only one published."""
    transfer_to_value: str | None = field(default=None, repr=_size)
    """Phone number to transfer to, with `+` and country code."""
    trigger_message: str | None = field(default=None, repr=_size)
    """What the caller is told before the transfer."""
    hear_whisper_message: bool | None = None
    """Whether the receiving party hears a whispered message."""
    extra: dict[str, Any] = field(factory=dict, repr=_size, eq=_comparable)
    """Keys beyond the published schema."""


@define(kw_only=True)
class DataExtractionActionParameters:
    """Parameters of a `DATA_EXTRACTION`: a contact field was filled from the call after it ended."""

    contact_field_id: str | None = None
    """Id of the contact field to update."""
    description: str | None = field(default=None, repr=_size)
    """What to extract."""
    examples: list[str] = field(factory=list, repr=_size)
    """Example values, one to five."""
    overwrite_existing_value: bool | None = None
    """Whether a value already there is replaced; the API takes false when it is absent."""
    extra: dict[str, Any] = field(factory=dict, repr=_size, eq=_comparable)
    """Keys beyond the published schema."""


@define(kw_only=True)
class InCallDataExtractionActionParameters(DataExtractionActionParameters):
    """Parameters of an `IN_CALL_DATA_EXTRACTION`: the same fields, filled while the call went on."""


@define(kw_only=True)
class WorkflowTriggerParameters:
    """Parameters of a `WORKFLOW_TRIGGER`: a workflow was started."""

    trigger_prompt: str | None = field(default=None, repr=_size)
    """When to trigger this workflow."""
    trigger_message: str | None = field(default=None, repr=_size)
    """What the caller is told."""
    workflow_id: str | None = None
    """Id of the workflow."""
    extra: dict[str, Any] = field(factory=dict, repr=_size, eq=_comparable)
    """Keys beyond the published schema."""


@define(kw_only=True)
class SMSParameters:
    """Parameters of an `SMS`: a text message was sent."""

    trigger_prompt: str | None = field(default=None, repr=_size)
    """When to send the message."""
    trigger_message: str | None = field(default=None, repr=_size)
    """What the caller is told."""
    message_body: str | None = field(default=None, repr=_size)
    """The text of the message."""
    extra: dict[str, Any] = field(factory=dict, repr=_size, eq=_comparable)
    """Keys beyond the published schema."""


@define(kw_only=True)
class AppointmentBookingActionParameters:
    """Parameters of an `APPOINTMENT_BOOKING`; in call logs since 9 September 2025."""

    calendar_id: str | None = None
    """Id of the calendar."""
    days_of_offering_dates: float | None = None
    """How many days ahead dates are offered."""
    slots_per_day: float | None = None
    """How many slots a day are offered."""
    hours_between_slots: float | None = None
    """Hours between two slots."""
    extra: dict[str, Any] = field(factory=dict, repr=_size, eq=_comparable)
    """Keys beyond the published schema."""


@define(kw_only=True)
class CustomActionHeader:
    """One HTTP header that a custom action sends. The value is often a secret of the customer's."""

    key: str | None = field(default=None, repr=_size)
    """Name of the header."""
    value: str | None = field(default=None, repr=_size)
    """Value of the header, in clear text."""
    extra: dict[str, Any] = field(factory=dict, repr=_size, eq=_comparable)
    """Keys beyond the published schema."""


@define(kw_only=True)
class CustomActionParameter:
    """One parameter that a custom action sends."""

    name: str | None = field(default=None, repr=_size)
    """Name of the parameter."""
    description: str | None = field(default=None, repr=_size)
    """What it means."""
    type: str | None = None
    """Type of the value, such as `string`."""
    example: str | None = field(default=None, repr=_size)
    """An example value."""
    extra: dict[str, Any] = field(factory=dict, repr=_size, eq=_comparable)
    """Keys beyond the published schema."""


@define(kw_only=True)
class CustomActionApiDetails:
    """The endpoint that a custom action calls, with the customer's credentials for it in clear text."""

    url: str | None = field(default=None, repr=_size)
    """URL of the endpoint."""
    method: str | None = field(default=None, repr=_size)
    """HTTP method; `POST` and `GET` are published."""
    authentication_required: bool | None = None
    """Whether the endpoint wants authentication."""
    authentication_value: str | None = field(default=None, repr=_size)
    """Token or API key for the endpoint, in clear text."""
    headers: list[CustomActionHeader] = field(factory=list, repr=_size)
    """HTTP headers sent along."""
    parameters: list[CustomActionParameter] = field(factory=list, repr=_size)
    """Parameters sent along."""
    extra: dict[str, Any] = field(factory=dict, repr=_size, eq=_comparable)
    """Keys beyond the published schema."""


@define(kw_only=True)
class CustomActionParameters:
    """Parameters of a `CUSTOM_ACTION`: an API of the customer's was called."""

    trigger_prompt: str | None = field(default=None, repr=_size)
    """When to call the API."""
    trigger_message: str | None = field(default=None, repr=_size)
    """What the caller is told."""
    api_details: CustomActionApiDetails | None = None
    """The endpoint."""
    selected_paths: list[str] = field(factory=list, repr=_size)
    """Paths taken from the API's answer. Bodies seen in practice say `responsePathsToExtract`: see `extra`."""
    extra: dict[str, Any] = field(factory=dict, repr=_size, eq=_comparable)
    """Keys beyond the published schema, such as `responsePathsToExtract`."""


@define(kw_only=True)
class KnowledgeBaseParameters:
    """Parameters of a `KNOWLEDGE_BASE`: a knowledge base was asked."""

    trigger_prompt: str | None = field(default=None, repr=_size)
    """When to ask it."""
    knowledge_base_id: str | None = None
    """Id of the knowledge base."""
    extra: dict[str, Any] = field(factory=dict, repr=_size, eq=_comparable)
    """Keys beyond the published schema, such as `triggerMessage` and `parameters`."""


@define(kw_only=True)
class UnknownActionParameters:
    """Parameters of an action whose type is not among the published ones."""

    extra: dict[str, Any] = field(factory=dict, repr=_size, eq=_comparable)
    """The whole object, as it came."""


ActionParameters: TypeAlias = (
    CallTransferActionParameters
    | DataExtractionActionParameters
    | InCallDataExtractionActionParameters
    | WorkflowTriggerParameters
    | SMSParameters
    | AppointmentBookingActionParameters
    | CustomActionParameters
    | KnowledgeBaseParameters
    | UnknownActionParameters
)
"""The parameters of an action: the class that belongs to its type, or `UnknownActionParameters` for others."""


@define(kw_only=True)
class ExecutedCallAction:
    """One thing that the agent did during the call or after it."""

    action_id: str | None = None
    """Id of the action."""
    action_type: ActionType | str | None = None
    """What kind of action: an `ActionType`, or a plain string for a kind not yet published."""
    action_name: str | None = field(default=None, repr=_size)
    """The name that the customer gave it."""
    action_parameters: ActionParameters | None = None
    """How it was configured; the class follows from `action_type`."""
    executed_at: datetime | None = None
    """When it was executed, aware and in UTC."""
    trigger_received_at: datetime | None = None
    """When its trigger was received, aware and in UTC."""
    extra: dict[str, Any] = field(factory=dict, repr=_size, eq=_comparable)
    """Keys beyond the published schema."""


@define(kw_only=True)
class CallLog:
    """What a Voice AI agent's phone call left behind. Only `id` is always there."""

    id: str
    """Id of the call."""
    contact_id: str | None = None
    """Id of the contact that the call belongs to."""
    agent_id: str | None = None
    """Id of the agent that took the call."""
    is_agent_deleted: bool | None = None
    """Whether that agent has been deleted since."""
    from_number: str | None = field(default=None, repr=_size)
    """Phone number of the caller."""
    created_at: datetime | None = None
    """When the call was created, aware and in UTC."""
    duration: float | None = None
    """Length of the call in seconds, whole or not."""
    trial_call: bool | None = None
    """Whether it was a trial call."""
    executed_call_actions: list[ExecutedCallAction] = field(factory=list, repr=_size)
    """What the agent did, in the order of the API, which is not always the order in time."""
    summary: str | None = field(default=None, repr=_size)
    """Summary of the call."""
    transcript: str | None = field(default=None, repr=_size)
    """Lines that begin with `bot:` or `human:`, with or without a space after the colon."""
    translation: Translation | None = None
    """How the transcript was translated."""
    extracted_data: dict[str, Any] | None = field(default=None, repr=_size, eq=_comparable)
    """What was extracted from the call; the keys depend on how the agent is configured."""
    message_id: str | None = None
    """Id of the message that belongs to the call."""
    extra: dict[str, Any] = field(factory=dict, repr=_size, eq=_comparable)
    """Keys beyond the published schema, such as `transcriptWithToolCalls` and `agentTransferOccurred`."""
