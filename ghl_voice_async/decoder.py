"""JSON in, models out, and back: one cattrs converter whose hooks know the API's shapes.

Tolerant about presence, strict about types, open about vocabularies, and lossless. Nothing here knows of
HTTP, so call logs can be decoded from files, queues and webhooks as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast, get_origin

import attrs
from cattrs import Converter

from ghl_voice_async.errors import DecodeError, InvalidInputError
from ghl_voice_async.json_body import CostlyJSONError, InvalidJSONError, parse_json
from ghl_voice_async.models import (
    ActionType,
    AppointmentBookingActionParameters,
    CallLog,
    CallTransferActionParameters,
    CustomActionParameters,
    DataExtractionActionParameters,
    ExecutedCallAction,
    InCallDataExtractionActionParameters,
    KnowledgeBaseParameters,
    SMSParameters,
    UnknownActionParameters,
    WorkflowTriggerParameters,
)
from ghl_voice_async.structure_hooks import (
    PROBLEMS_LIMIT,
    HookFor,
    Mismatch,
    StructureHook,
    Tagged,
    json_key,
    list_hook,
    model_hook,
    structure_boolean,
    structure_instant,
    structure_number,
    structure_object,
    structure_string,
    vocabulary_hook,
)

__all__ = ["decode_call_log", "encode_call_log"]

UnstructureHook = Callable[[Any], Any]

_TEXT = (bytes, str, bytearray, memoryview)

_PARAMETERS: dict[str, type] = {
    ActionType.CALL_TRANSFER: CallTransferActionParameters,
    ActionType.DATA_EXTRACTION: DataExtractionActionParameters,
    ActionType.IN_CALL_DATA_EXTRACTION: InCallDataExtractionActionParameters,
    ActionType.WORKFLOW_TRIGGER: WorkflowTriggerParameters,
    ActionType.SMS: SMSParameters,
    ActionType.APPOINTMENT_BOOKING: AppointmentBookingActionParameters,
    ActionType.CUSTOM_ACTION: CustomActionParameters,
    ActionType.KNOWLEDGE_BASE: KnowledgeBaseParameters,
}


def decode_call_log(body: bytes | bytearray | memoryview | str | Mapping[str, Any]) -> CallLog:
    """Decode one call log from JSON text or from a mapping already parsed.

    Only `id` has to be there. Values are never coerced: a wrong type raises `DecodeError`, whose `problems`
    name the first 100 wrong places and no value. Unknown keys are kept in the `extra` of their object; of a
    mapping given, the values in `extra` and `extracted_data` are shared, not copied. JSON text that would
    take more than 24 MiB of memory is a `DecodeError`, too, and so is a list of more than 100,000 items.
    """
    try:
        return _call_log_hook()(parse_json(body) if isinstance(body, _TEXT) else body, CallLog)
    except InvalidJSONError as error:
        problems = [f"$: not JSON: {error}"]
    except CostlyJSONError as error:
        problems = [f"$: {error}"]
    except Mismatch as mismatch:
        problems = [f"${path}: {problem}" for path, problem in mismatch.problems[:PROBLEMS_LIMIT]]
        if len(mismatch.problems) > PROBLEMS_LIMIT:
            problems.append(f"$: more than {PROBLEMS_LIMIT} problems; the rest are not listed")
    # A traceback that shows local variables must not show the call.
    body = b""
    raise DecodeError(problems)


def encode_call_log(call_log: CallLog) -> dict[str, Any]:
    """Encode a call log as the API writes it: camelCase keys, ready for JSON.

    What is None or an empty list of ours is left out, and `extra` goes back where it came from. Times are
    written in UTC with a `Z`, and all strings are plain ones. Raises `InvalidInputError` for anything but a
    `CallLog`, and for a time that has no time zone.
    """
    if not isinstance(call_log, CallLog):
        raise InvalidInputError(f"encode_call_log takes a CallLog, not {type(call_log).__name__}")
    return cast("dict[str, Any]", _converter().unstructure(call_log))


def _action_hook(hook_for: HookFor) -> StructureHook:
    """Choose the hook of the parameters by the type of the action, since they do not say what they are."""
    hooks = {action_type: hook_for(parameters) for action_type, parameters in _PARAMETERS.items()}
    parameters = Tagged("action_parameters", "actionType", hooks, otherwise=hook_for(UnknownActionParameters))
    return model_hook(ExecutedCallAction, hook_for, tagged=parameters)


def _encode_instant(value: datetime) -> str:
    if value.tzinfo is None:
        raise InvalidInputError("a call log's times must have a time zone, and one has none")
    precision = "microseconds" if value.microsecond % 1000 else "milliseconds"
    return value.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def _encode_hook(model: type[attrs.AttrsInstance], converter: Converter) -> UnstructureHook:
    names = [(attribute.name, json_key(attribute.name)) for attribute in attrs.fields(model)]
    names.remove(("extra", "extra"))

    def unstructure_model(value: Any) -> dict[str, Any]:  # noqa: ANN401  # a model
        data: dict[str, Any] = {}
        for name, key in names:
            item = getattr(value, name)
            if item is not None and item != []:
                data[key] = converter.unstructure(item)
        return data | {key: item for key, item in value.extra.items() if key not in data}

    return unstructure_model


def _is_list(annotation: Any) -> bool:  # noqa: ANN401  # a type
    return get_origin(annotation) is list


def _is_dict(annotation: Any) -> bool:  # noqa: ANN401  # a type
    return get_origin(annotation) is dict


@cache
def _call_log_hook() -> Callable[[Any, type[CallLog]], CallLog]:
    return _converter().get_structure_hook(CallLog)


@cache
def _converter() -> Converter:
    converter = Converter(detailed_validation=False)
    hook_for = converter.get_structure_hook
    hooks: tuple[tuple[Any, StructureHook], ...] = (
        (str, structure_string),
        (bool, structure_boolean),
        (float, structure_number),
        (datetime, structure_instant),
        (ActionType | str, vocabulary_hook(ActionType | str)),
    )
    for annotation, hook in hooks:
        converter.register_structure_hook(annotation, hook)
    converter.register_structure_hook_factory(_is_list, lambda t: list_hook(t, hook_for))
    converter.register_structure_hook_func(_is_dict, structure_object)
    converter.register_structure_hook_factory(attrs.has, lambda t: model_hook(t, hook_for))
    converter.register_structure_hook_factory(lambda t: t is ExecutedCallAction, lambda _: _action_hook(hook_for))
    converter.register_unstructure_hook_factory(attrs.has, lambda t: _encode_hook(t, converter))
    converter.register_unstructure_hook(datetime, _encode_instant)
    converter.register_unstructure_hook(dict, lambda value: value)
    converter.register_unstructure_hook(str, str.__str__)  # plain, of an `ActionType` and other subclasses
    return converter
