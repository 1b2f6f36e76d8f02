"""Checks of the numbers that callers pass, shared by everything that takes one."""

from __future__ import annotations

import sys
from typing import Any

from ghl_voice_async.errors import InvalidInputError

__all__ = ["check_count", "check_seconds", "count_field", "seconds_field"]


def check_seconds(name: str, value: float) -> float:
    """Return `value`, or raise `InvalidInputError` unless it is a finite number above zero."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInputError(f"{name} must be a number of seconds, not {type(value).__name__}")
    # Compared and not converted: an int may be too large for a float.
    if not 0 < value <= sys.float_info.max:
        raise InvalidInputError(f"{name} must be a finite number of seconds above 0, not {_shown(value)}")
    return value


def check_count(name: str, value: int) -> int:
    """Return `value`, or raise `InvalidInputError` unless it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInputError(f"{name} must be a whole number, not {type(value).__name__}")
    if value < 1:
        raise InvalidInputError(f"{name} must be at least 1, not {_shown(value)}")
    return value


def seconds_field(_: object, attribute: Any, value: float) -> None:  # noqa: ANN401  # `Attribute[float]` is an error at run time
    """Be the attrs validator of a field that `check_seconds` checks."""
    check_seconds(attribute.name, value)


def count_field(_: object, attribute: Any, value: int) -> None:  # noqa: ANN401  # likewise
    """Be the attrs validator of a field that `check_count` checks."""
    check_count(attribute.name, value)


def _shown(value: float) -> str:
    # Python refuses to write an int of thousands of digits.
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"
    return repr(value)
