"""What "lossless" means, written out: a comparison of a payload with what came back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

OUR_OBJECTS = {"executedCallActions", "actionParameters", "apiDetails", "headers", "parameters", "translation"}
OUR_LISTS = {"executedCallActions", "examples", "headers", "parameters", "selectedPaths"}
INSTANTS = {"createdAt", "executedAt", "triggerReceivedAt"}


def normal(value: Any) -> Any:
    """Rewrite a payload so that what counts as the same is equal.

    In the objects of the schema an absent key, a null and an empty list of ours are the same, and instants
    compare as instants. Whatever is under a key unknown to the schema is left exactly as it is.
    """
    if isinstance(value, list):
        return [normal(item) for item in value]
    if isinstance(value, dict):
        return {
            key: normal_field(key, item)
            for key, item in value.items()
            if not (item is None or (item == [] and key in OUR_LISTS))
        }
    return value


def normal_field(key: str, value: Any) -> Any:
    if key in OUR_OBJECTS:
        return normal(value)
    if key in INSTANTS:
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, TypeError):  # the key stands where the schema has none of this name
            return value
    return value
