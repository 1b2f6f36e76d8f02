"""Structure hooks, as cattrs has them: what JSON has to be like to become a string, a number, a time, a list, a model.

Strict about types, and thorough: a hook either returns a value or raises `Mismatch` with all that does not fit.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from operator import length_hint
from types import UnionType
from typing import Any, Final, NamedTuple, TypeVar, cast, get_args, get_origin

import attrs

__all__ = [
    "PROBLEMS_LIMIT",
    "HookFor",
    "Mismatch",
    "StructureHook",
    "Tagged",
    "json_key",
    "list_hook",
    "model_hook",
    "structure_boolean",
    "structure_instant",
    "structure_number",
    "structure_object",
    "structure_string",
    "vocabulary_hook",
]

PROBLEMS_LIMIT: Final = 100
"""Once there are more problems than this, nothing looks for others."""
_ITEMS_LIMIT: Final = 100_000
"""A list of more items takes too much time and memory, also where it was parsed elsewhere."""

T = TypeVar("T")
StructureHook = Callable[[Any, Any], Any]
"""A function of a value and its type, as cattrs has them."""
HookFor = Callable[[Any], StructureHook]
"""Finds the hook of a type: `Converter.get_structure_hook`."""


class Mismatch(Exception):  # noqa: N818  # a signal between hooks, never seen outside
    """What does not fit, as pairs of a path below the value and a problem."""

    def __init__(self, *problems: tuple[str, str]) -> None:
        super().__init__()
        self.problems = problems

    @classmethod
    def expected(cls, expected: str, value: object) -> Mismatch:
        """Make the mismatch of a value that is of another type altogether."""
        return cls(("", f"expected {expected}, got {_json_type(value)}"))

    def under(self, step: str) -> list[tuple[str, str]]:
        """Return the problems as seen from one level up."""
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


def structure_string(value: object, _: object) -> str:
    """Take a string."""
    if isinstance(value, str):
        return value
    raise Mismatch.expected("string", value)


def structure_boolean(value: object, _: object) -> bool:
    """Take a boolean."""
    if isinstance(value, bool):
        return value
    raise Mismatch.expected("boolean", value)


def structure_number(value: object, _: object) -> float:
    """Take a finite number, whole or not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Mismatch.expected("number", value)
    if isinstance(value, float) and not math.isfinite(value):
        raise Mismatch(("", "expected a finite number"))
    return value


def structure_object(value: object, _: object) -> dict[str, Any]:
    """Take a dict as it is, or another mapping as a dict."""
    if isinstance(value, dict):
        return value
    if isinstance(value, Mapping):
        return dict(value)
    raise Mismatch.expected("object", value)


_parse_instant = datetime.fromisoformat
# It takes more forms than RFC 3339 has, and some versions of Python take more than others. One form is taken beside
# those of the RFC: an offset without its colon, which many programs write.
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?P<offset>Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?",
    re.IGNORECASE | re.ASCII,
)


def structure_instant(value: Any, _: object) -> datetime:  # noqa: ANN401  # JSON
    """Take an RFC 3339 date-time, and give it in UTC. Digits beyond microseconds are cut off."""
    if not isinstance(value, str):
        raise Mismatch.expected("date-time string", value)
    form = _RFC_3339.fullmatch(value)
    if form is None:
        raise Mismatch(("", "expected RFC 3339 date-time, got another string"))
    if form["offset"] is None:
        raise Mismatch(("", "expected date-time with an offset, got one without"))
    try:
        return _parse_instant(value.upper()).astimezone(UTC)
    except (OverflowError, ValueError):
        raise Mismatch(("", "date-time out of range")) from None


def vocabulary_hook(annotation: Any) -> StructureHook:  # noqa: ANN401  # a type
    """Make the hook of an open vocabulary, which is `SomeStrEnum | str`: a string, and a member where it is one."""
    words = _words(annotation)

    def structure_word(value: object, _: object) -> str:
        text = structure_string(value, str)
        return words.get(text, text)

    return structure_word


def _words(annotation: Any) -> dict[str, str]:  # noqa: ANN401  # a type
    """Return the members of a vocabulary by their text. Other types have none."""
    enums = (member for member in get_args(annotation) if isinstance(member, type) and issubclass(member, StrEnum))
    return {word.value: word for enum in enums for word in enum}


def list_hook(annotation: Any, hook_for: HookFor) -> StructureHook:  # noqa: ANN401  # a type
    """Make the hook of a list, by the hook of its items."""
    (item_type,) = get_args(annotation)
    item_hook = hook_for(item_type)

    def structure_list(value: object, _: object) -> list[Any]:
        if not isinstance(value, list):
            raise Mismatch.expected("array", value)
        if len(value) > _ITEMS_LIMIT:
            structure_list(value[:_ITEMS_LIMIT], _)  # what does not fit among these says more
            raise Mismatch(("", f"expected at most {_ITEMS_LIMIT:,} items, got {len(value):,}"))
        items = iter(value)
        try:
            return [item_hook(item, item_type) for item in items]
        except Mismatch as mismatch:
            # The iterator stands behind the item that does not fit.
            index = len(value) - length_hint(items) - 1
            problems = mismatch.under(f"[{index}]")
        # The items before it fit, and are not looked at again: nested lists would multiply the work.
        for place, item in enumerate(items, index + 1):
            if len(problems) > PROBLEMS_LIMIT:
                break
            try:
                item_hook(item, item_type)
            except Mismatch as mismatch:
                problems += mismatch.under(f"[{place}]")
        raise Mismatch(*problems)

    return structure_list


class Tagged(NamedTuple):
    """A field whose hook follows from the string that another key has: its tag."""

    name: str
    tag_key: str
    hooks: Mapping[str, StructureHook]
    """By the tag."""
    otherwise: StructureHook


def model_hook(model: type[T], hook_for: HookFor, *, tagged: Tagged | None = None) -> Callable[[Any, Any], T]:
    """Make the hook of one model, of which one field may be tagged.

    It is source code written for the fields, as attrs and cattrs write theirs. A loop over the fields that calls
    the hook of each, and then the model with keyword arguments, is prettier: it takes 40 µs instead of 17 for the
    documented example. Most values are told to be right by their class, without a call; a hook is called for the
    others, and for what consists of values in turn.
    """
    keys = {}
    lines = []
    scope: dict[str, Any] = {
        "Mismatch": Mismatch,
        "inf": math.inf,
        "new": object.__new__,  # and every slot is filled below
        "its_arguments": (model,),  # made once, where a call with a name makes them for each model
        "parse_instant": _parse_instant,
        "structure_object": structure_object,
    }
    for attribute in attrs.fields(cast("type[attrs.AttrsInstance]", model)):
        name = attribute.name
        if name == "extra":
            continue
        wanted = _without_none(attribute.type)
        keys[name] = json_key(name)
        scope[f"type_{name}"] = wanted
        structure = f"structure_{name}"
        if tagged is not None and name == tagged.name:
            scope |= {"tagged_hooks": tagged.hooks, "otherwise": tagged.otherwise}
            structure = _TAGGED.format(key=tagged.tag_key)
        else:
            scope[structure] = hook_for(wanted)
        scope[f"default_{name}"] = attribute.default
        scope[f"words_{name}"] = words = _words(wanted)
        lines.append(
            _FIELD.format(
                name=name,
                key=keys[name],
                structure=structure,
                shortcut=(_IN_WORDS if words else _SHORTCUTS.get(wanted, _NO_SHORTCUT)).format(name=name),
                without=_without(attribute).format(name=name, key=keys[name]),
            )
        )
    scope["known_keys"] = frozenset(keys.values())
    source = _MODEL.format(count=len(keys), fields="".join(lines))
    exec(compile(source, f"<structure hook of {model.__name__}>", "exec"), scope)  # noqa: S102  # no text of others in it
    return cast("Callable[[Any, Any], T]", scope["structure_model"])


_MODEL = """
def structure_model(data, _):
    if data.__class__ is not dict:
        data = structure_object(data, dict)
    model = new(*its_arguments)
    problems = ()
    present = {count}
{fields}
    if problems:
        raise Mismatch(*problems)
    model.extra = extra = {{}}
    if len(data) != present:
        for key in data:
            if key not in known_keys:
                extra[key] = data[key]
    return model
"""

_FIELD = """
    item = data.get("{key}")
{shortcut}
    elif item is None:
        present -= 1
        {without}
    else:
        try:
            model.{name} = {structure}(item, type_{name})
        except Mismatch as mismatch:
            problems = (*problems, *mismatch.under(".{key}"))
"""

_TAGGED = '(tagged_hooks.get(tag, otherwise) if isinstance(tag := data.get("{key}"), str) else otherwise)'

# What most values are taken by, without a call. Others, such as a str subclass or a time in another form, get the hook,
# and so does what does not fit. The API writes times as `2025-10-02T14:05:00.000Z`: of what Python parses, only
# this form has these four characters where they are. Python does not look behind a null character. From 3.14 on it
# takes the hour 24.
_NO_HOUR_24 = 'and item[11:13] != "24"' if sys.version_info >= (3, 14) else ""
_NO_SHORTCUT = """
    if False:
        pass
"""
_IN_WORDS = """
    if item.__class__ is str:
        model.{name} = words_{name}.get(item, item)
"""
_AS_IT_IS = """
    if {fits}:
        model.{{name}} = item
"""
_SHORTCUTS: dict[Any, str] = {
    str: _AS_IT_IS.format(fits="item.__class__ is str"),
    float: _AS_IT_IS.format(fits="item.__class__ is int or (item.__class__ is float and -inf < item < inf)"),
    bool: _AS_IT_IS.format(fits="item is True or item is False"),
    datetime: """
    try:
        instant = (
            parse_instant(item)
            if item is not None
            and item[23] == "Z"
            and item[19] == "."
            and item[10] == "T"
            and item[7] == "-"
            and "\\0" not in item
            NO_HOUR_24
            else None
        )
    except (LookupError, TypeError, ValueError):
        instant = None
    if instant is not None:
        model.{name} = instant
""".replace("NO_HOUR_24", _NO_HOUR_24),
}


def _without(attribute: attrs.Attribute[Any]) -> str:
    """Write what is to be done when there is no value for an attribute."""
    if attribute.default is attrs.NOTHING:
        return (
            'problems = (*problems, (".{key}", "required, but null" if "{key}" in data else "required, but missing"))'
        )
    if isinstance(attribute.default, attrs.Factory):  # type: ignore[arg-type]  # a class at run time
        return "model.{name} = default_{name}.factory()"
    return "model.{name} = default_{name}"


def json_key(attribute: str) -> str:
    """Return the API's name for an attribute."""
    first, *rest = attribute.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _without_none(annotation: Any) -> Any:  # noqa: ANN401  # a type
    if get_origin(annotation) is not UnionType:
        return annotation
    first, *rest = (member for member in get_args(annotation) if member is not type(None))
    for member in rest:
        first |= member
    return first
