"""The API's schema as pydantic models and as msgspec structs: what one would write in place of `decode_call_log`."""

# pydantic and msgspec read the annotations at run time.

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = ["MsgspecCallLog", "PydanticCallLog"]


class Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="allow")


class CallTransfer(Model):
    trigger_prompt: str | None = None
    transfer_to_type: str | None = None
    transfer_to_value: str | None = None
    trigger_message: str | None = None
    hear_whisper_message: bool | None = None


class DataExtraction(Model):
    contact_field_id: str | None = None
    description: str | None = None
    examples: list[str] = []
    overwrite_existing_value: bool | None = None


class WorkflowTrigger(Model):
    trigger_prompt: str | None = None
    trigger_message: str | None = None
    workflow_id: str | None = None


class SMS(Model):
    trigger_prompt: str | None = None
    trigger_message: str | None = None
    message_body: str | None = None


class AppointmentBooking(Model):
    calendar_id: str | None = None
    days_of_offering_dates: float | None = None
    slots_per_day: float | None = None
    hours_between_slots: float | None = None


class Header(Model):
    key: str | None = None
    value: str | None = None


class Parameter(Model):
    name: str | None = None
    description: str | None = None
    type: str | None = None
    example: str | None = None


class ApiDetails(Model):
    url: str | None = None
    method: str | None = None
    authentication_required: bool | None = None
    authentication_value: str | None = None
    headers: list[Header] = []
    parameters: list[Parameter] = []


class CustomAction(Model):
    trigger_prompt: str | None = None
    trigger_message: str | None = None
    api_details: ApiDetails | None = None


class KnowledgeBase(Model):
    trigger_prompt: str | None = None
    knowledge_base_id: str | None = None


class Action(Model):
    action_id: str | None = None
    action_name: str | None = None
    executed_at: datetime | None = None
    trigger_received_at: datetime | None = None


class CallTransferAction(Action):
    action_type: Literal["CALL_TRANSFER"]
    action_parameters: CallTransfer | None = None


class DataExtractionAction(Action):
    action_type: Literal["DATA_EXTRACTION", "IN_CALL_DATA_EXTRACTION"]
    action_parameters: DataExtraction | None = None


class WorkflowTriggerAction(Action):
    action_type: Literal["WORKFLOW_TRIGGER"]
    action_parameters: WorkflowTrigger | None = None


class SMSAction(Action):
    action_type: Literal["SMS"]
    action_parameters: SMS | None = None


class AppointmentBookingAction(Action):
    action_type: Literal["APPOINTMENT_BOOKING"]
    action_parameters: AppointmentBooking | None = None


class CustomActionAction(Action):
    action_type: Literal["CUSTOM_ACTION"]
    action_parameters: CustomAction | None = None


class KnowledgeBaseAction(Action):
    action_type: Literal["KNOWLEDGE_BASE"]
    action_parameters: KnowledgeBase | None = None


class Translation(Model):
    enabled: bool | None = None
    language: str | None = None


class PydanticCallLog(Model):
    id: str
    contact_id: str | None = None
    agent_id: str | None = None
    is_agent_deleted: bool | None = None
    from_number: str | None = None
    created_at: datetime | None = None
    duration: float | None = None
    trial_call: bool | None = None
    executed_call_actions: list[
        Annotated[
            CallTransferAction
            | DataExtractionAction
            | WorkflowTriggerAction
            | SMSAction
            | AppointmentBookingAction
            | CustomActionAction
            | KnowledgeBaseAction,
            Field(discriminator="action_type"),
        ]
    ] = []
    summary: str | None = None
    transcript: str | None = None
    translation: Translation | None = None
    extracted_data: dict[str, Any] | None = None
    message_id: str | None = None


class Struct(msgspec.Struct, rename="camel"):
    """What msgspec cannot tell apart by its type, the parameters of an action, is one struct of all their fields."""


class MsgspecHeader(Struct):
    key: str | None = None
    value: str | None = None


class MsgspecParameter(Struct):
    name: str | None = None
    description: str | None = None
    type: str | None = None
    example: str | None = None


class MsgspecApiDetails(Struct):
    url: str | None = None
    method: str | None = None
    authentication_required: bool | None = None
    authentication_value: str | None = None
    headers: list[MsgspecHeader] = []
    parameters: list[MsgspecParameter] = []


class MsgspecParameters(Struct):
    trigger_prompt: str | None = None
    trigger_message: str | None = None
    transfer_to_type: str | None = None
    transfer_to_value: str | None = None
    hear_whisper_message: bool | None = None
    contact_field_id: str | None = None
    description: str | None = None
    examples: list[str] = []
    overwrite_existing_value: bool | None = None
    workflow_id: str | None = None
    message_body: str | None = None
    calendar_id: str | None = None
    days_of_offering_dates: float | None = None
    slots_per_day: float | None = None
    hours_between_slots: float | None = None
    api_details: MsgspecApiDetails | None = None
    knowledge_base_id: str | None = None


class MsgspecAction(Struct):
    action_id: str | None = None
    action_type: str | None = None
    action_name: str | None = None
    action_parameters: MsgspecParameters | None = None
    executed_at: datetime | None = None
    trigger_received_at: datetime | None = None


class MsgspecTranslation(Struct):
    enabled: bool | None = None
    language: str | None = None


class MsgspecCallLog(Struct):
    id: str
    contact_id: str | None = None
    agent_id: str | None = None
    is_agent_deleted: bool | None = None
    from_number: str | None = None
    created_at: datetime | None = None
    duration: float | None = None
    trial_call: bool | None = None
    executed_call_actions: list[MsgspecAction] = []
    summary: str | None = None
    transcript: str | None = None
    translation: MsgspecTranslation | None = None
    extracted_data: dict[str, Any] | None = None
    message_id: str | None = None
