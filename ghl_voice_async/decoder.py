"""JSON in, models out, and back: one cattrs converter whose hooks know the API's shapes.

Tolerant about presence, strict about types, open about vocabularies, and lossless. Nothing here knows of
HTTP, so call logs can be decoded from files, queues and webhooks as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin

import attrs
import orjson
from cattrs import Converter

from ghl_voice_async.errors import DecodeError, InvalidInputError
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

__all__ = ["decode_call_log", "encode_call_log"]

T = TypeVar("T")
StructureHook = Callable[[Any, Any], Any]
UnstructureHook = Callable[[Any], Any]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

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
    name every wrong place at once and no value. Unknown keys are kept in the `extra` of their object; of a
    mapping given, the values in `extra` and `extracted_data` are shared, not copied.
    """
    call_log, problems = _decode(body)
    if call_log is not None:
        return call_log
    # A traceback that shows local variables must not show the call.
    del body
    raise DecodeError(problems)


def encode_call_log(call_log: CallLog) -> dict[str, Any]:
    """Encode a call log as the API writes it: camelCase keys, ready for JSON.

    What is None or an empty list of ours is left out, and `extra` goes back where it came from. Times are
    written in UTC with a `Z`. Raises `InvalidInputError` for anything but a `CallLog`, and for a time that
    has no time zone.
    """
    if not isinstance(call_log, CallLog):
        raise InvalidInputError(f"encode_call_log takes a CallLog, not {type(call_log).__name__}")
    return cast("dict[str, Any]", _converter().unstructure(call_log))


def _decode(body: Any) -> tuple[CallLog | None, tuple[str, ...]]:  # noqa: ANN401  # anything a caller may pass
    try:
        data = _parse(body)
        return _converter().structure(data, CallLog), ()
    except orjson.JSONDecodeError as error:
        # The error itself holds the document: only where and why leave this function.
        return None, (f"$: not JSON: {error.msg.removesuffix('.')}",)
    except _Mismatch as mismatch:
        return None, tuple(f"${path}: {problem}" for path, problem in mismatch.problems)


def _parse(body: Any) -> Any:  # noqa: ANN401  # JSON
    if isinstance(body, str):
        return orjson.loads(body.removeprefix("\ufeff"))
    if isinstance(body, bytes | bytearray | memoryview):
        return orjson.loads(bytes(body).removeprefix(_BYTE_ORDER_MARK))
    return body


class _Mismatch(Exception):  # noqa: N818  # a signal between hooks, never seen outside
    """What does not fit, as pairs of a path below the value and a problem."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__()
        self.problems = problems

    @classmethod
    def expected(cls, expected: str, value: object) -> _Mismatch:
        return cls([("", f"expected {expected}, got {_json_type(value)}")])

    def under(self, step: str) -> list[tuple[str, str]]:
        return [(step + path, problem) for path, problem in self.problems]


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    for python_type, name in _JSON_TYPES:
        if isinstance(value, python_type):
            return name
    return type(value).__name__


_JSON_TYPES: tuple[tuple[type | UnionType, str], ...] = (
    (bool, "boolean"),  # before the numbers, since bool is an int
    (str, "string"),
    (int | float, "number"),
    (list, "array"),
    (Mapping, "object"),
)


def _string(value: object, _: object) -> str:
    if isinstance(value, str):
        return value
    raise _Mismatch.expected("string", value)


def _boolean(value: object, _: object) -> bool:
    if isinstance(value, bool):
        return value
    raise _Mismatch.expected("boolean", value)


def _number(value: object, _: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Mismatch.expected("number", value)
    if isinstance(value, float) and not math.isfinite(value):
        raise _Mismatch([("", "expected a finite number")])
    return value


def _object(value: object, _: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if isinstance(value, Mapping):
        return dict(value)
    raise _Mismatch.expected("object", value)


def _instant(value: object, _: object) -> datetime:
    if not isinstance(value, str):
        raise _Mismatch.expected("date-time string", value)
    try:
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is UTC:
            return instant
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except OverflowError:
        raise _Mismatch([("", "date-time out of range")]) from None
    except ValueError:
        raise _Mismatch([("", "expected ISO 8601 date-time, got another string")]) from None
    raise _Mismatch([("", "expected date-time with an offset, got one without")])


def _action_type(value: object, _: object) -> ActionType | str:
    name = _string(value, str)
    return ActionType(name) if name in _PARAMETERS else name


def _list_hook(annotation: Any, converter: Converter) -> StructureHook:  # noqa: ANN401  # a type
    (item_type,) = get_args(annotation)
    item_hook = converter.get_structure_hook(item_type)

    def structure_list(value: object, _: object) -> list[Any]:
        if not isinstance(value, list):
            raise _Mismatch.expected("array", value)
        items = []
        problems = []
        for index, item in enumerate(value):
            try:
                items.append(item_hook(item, item_type))
            except _Mismatch as mismatch:
                problems += mismatch.under(f"[{index}]")
        if problems:
            raise _Mismatch(problems)
        return items

    return structure_list


def _model_hook(model: type[T], converter: Converter, **field_types: type) -> Callable[[Any, Any], T]:
    """Make the hook of one model; `field_types` stands in for the annotations of those fields."""
    fields = []
    for attribute in attrs.fields(cast("type[attrs.AttrsInstance]", model)):
        if attribute.name != "extra":
            wanted = field_types.get(attribute.name) or _without_none(attribute.type)
            required = attribute.default is attrs.NOTHING
            hook = converter.get_structure_hook(wanted)
            fields.append((_json_key(attribute.name), attribute.name, hook, wanted, required))
    known = {key for key, *_ in fields}

    def structure_model(value: Any, _: object) -> T:  # noqa: ANN401  # JSON
        data = _object(value, dict)
        values: dict[str, Any] = {}
        problems = []
        for key, name, hook, wanted, required in fields:
            item = data.get(key)
            if item is None:
                if required:
                    problems.append((f".{key}", "required, but null" if key in data else "required, but missing"))
                continue
            try:
                values[name] = hook(item, wanted)
            except _Mismatch as mismatch:
                problems += mismatch.under(f".{key}")
        if problems:
            raise _Mismatch(problems)
        if len(values) < len(data):
            values["extra"] = {key: item for key, item in data.items() if key not in known}
        return model(**values)

    return structure_model


def _action_hook(converter: Converter) -> Callable[[Any, Any], ExecutedCallAction]:
    """Choose among one hook for each type of action, since the parameters do not say what they are."""
    hooks = {
        action_type: _model_hook(ExecutedCallAction, converter, action_parameters=parameters)
        for action_type, parameters in _PARAMETERS.items()
    }
    unknown = _model_hook(ExecutedCallAction, converter, action_parameters=UnknownActionParameters)

    def structure_action(value: Any, annotation: object) -> ExecutedCallAction:  # noqa: ANN401  # JSON
        action_type = value.get("actionType") if isinstance(value, Mapping) else None
        hook = hooks.get(action_type, unknown) if isinstance(action_type, str) else unknown
        return hook(value, annotation)

    return structure_action


def _encode_instant(value: datetime) -> str:
    if value.tzinfo is None:
        raise InvalidInputError("a call log's times must have a time zone, and one has none")
    precision = "microseconds" if value.microsecond % 1000 else "milliseconds"
    return value.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def _encode_hook(model: type[attrs.AttrsInstance], converter: Converter) -> UnstructureHook:
    names = [(attribute.name, _json_key(attribute.name)) for attribute in attrs.fields(model)]
    names.remove(("extra", "extra"))

    def unstructure_model(value: Any) -> dict[str, Any]:  # noqa: ANN401  # a model
        data: dict[str, Any] = {}
        for name, key in names:
            item = getattr(value, name)
            if item is not None and item != []:
                data[key] = converter.unstructure(item)
        return data | {key: item for key, item in value.extra.items() if key not in data}

    return unstructure_model


def _json_key(attribute: str) -> str:
    first, *rest = attribute.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _without_none(annotation: Any) -> Any:  # noqa: ANN401  # a type
    if get_origin(annotation) is not UnionType:
        return annotation
    first, *rest = (member for member in get_args(annotation) if member is not type(None))
    for member in rest:
        first |= member
    return first


def _is_list(annotation: Any) -> bool:  # noqa: ANN401  # a type
    return get_origin(annotation) is list


def _is_dict(annotation: Any) -> bool:  # noqa: ANN401  # a type
    return get_origin(annotation) is dict


@cache
def _converter() -> Converter:
    converter = Converter(detailed_validation=False)
    hooks: tuple[tuple[Any, StructureHook], ...] = (
        (str, _string),
        (bool, _boolean),
        (float, _number),
        (datetime, _instant),
        (ActionType | str, _action_type),
    )
    for annotation, hook in hooks:
        converter.register_structure_hook(annotation, hook)
    converter.register_structure_hook_factory(_is_list, lambda t: _list_hook(t, converter))
    converter.register_structure_hook_func(_is_dict, _object)
    converter.register_structure_hook_factory(attrs.has, lambda t: _model_hook(t, converter))
    converter.register_structure_hook_factory(lambda t: t is ExecutedCallAction, lambda _: _action_hook(converter))
    converter.register_unstructure_hook_factory(attrs.has, lambda t: _encode_hook(t, converter))
    converter.register_unstructure_hook(datetime, _encode_instant)
    converter.register_unstructure_hook(dict, lambda value: value)
    return converter
