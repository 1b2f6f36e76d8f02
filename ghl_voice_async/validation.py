"""Checks of the numbers that callers pass, shared by everything that takes one."""

from __future__ import annotations

import math

from ghl_voice_async.errors import InvalidInputError

__all__ = ["check_count", "check_seconds"]


def check_seconds(name: str, value: float) -> float:
    """Return `value`, or raise `InvalidInputError` unless it is a finite number above zero."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInputError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not (math.isfinite(value) and value > 0):
        raise InvalidInputError(f"{name} must be a finite number of seconds above 0, not {value!r}")
    return value


def check_count(name: str, value: int) -> int:
    """Return `value`, or raise `InvalidInputError` unless it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInputError(f"{name} must be a whole number, not {type(value).__name__}")
    if value < 1:
        raise InvalidInputError(f"{name} must be at least 1, not {value!r}")
    return value
