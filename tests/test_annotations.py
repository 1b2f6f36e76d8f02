"""Annotations of what people import can be resolved while a program runs, as cattrs, beartype and injectors do."""

from __future__ import annotations

import inspect
import pkgutil
import typing
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import attrs
import cattrs
import pytest

import ghl_voice_async as ghl

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_FOR_IMPORT = ("ghl_voice_async.cli", "ghl_voice_async.version")


def public_modules() -> list[str]:
    found = pkgutil.walk_packages(ghl.__path__, "ghl_voice_async.")
    return ["ghl_voice_async", *(module.name for module in found if not module.name.startswith(NOT_FOR_IMPORT))]


def functions_of(value: object) -> Iterator[Any]:
    """Find the functions behind a function, a property, or a class with its methods."""
    if inspect.isclass(value):
        for base in value.__mro__:
            if base.__module__.startswith("ghl_voice_async"):
                for member in vars(base).values():
                    yield from functions_of(member)
    elif isinstance(value, property):
        yield from (each for each in (value.fget, value.fset, value.fdel) if each is not None)
    elif isinstance(value, cached_property):
        yield value.func
    elif isinstance(value, classmethod | staticmethod):
        yield value.__func__
    elif callable(value) and inspect.isfunction(inspect.unwrap(value)):
        yield value


@pytest.mark.parametrize("module", public_modules())
def test_every_annotation_resolves_at_run_time(module: str) -> None:
    public = [getattr(import_module(module), name) for name in import_module(module).__all__]
    classes = [value for value in public if inspect.isclass(value)]
    functions = [function for value in public for function in functions_of(value)]

    unresolved = {}
    for annotated in (*classes, *functions):
        try:
            typing.get_type_hints(annotated)
        except (NameError, TypeError) as error:
            unresolved[annotated] = error

    assert unresolved == {}


@pytest.mark.parametrize("module", public_modules())
def test_attrs_resolves_the_types_of_every_class(module: str) -> None:
    public = [getattr(import_module(module), name) for name in import_module(module).__all__]
    classes = [value for value in public if attrs.has(value)]

    for model in classes:
        attrs.resolve_types(model)

    assert [field for model in classes for field in attrs.fields(model) if isinstance(field.type, str)] == []


def test_cattrs_unstructures_a_result_of_a_bulk() -> None:
    result = ghl.CallLogResult(0, ghl.CallRef("call-1", "location-1"), ghl.CallLog(id="call-1"))

    data = cattrs.unstructure(result)

    assert data["call_log"]["id"] == "call-1"
