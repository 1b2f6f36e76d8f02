"""What "lossless" means, written out: a comparison of a payload with what came back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

OUR_LISTS = {"executedCallActions", "examples", "headers", "parameters", "selectedPaths"}
INSTANTS = {"createdAt", "executedAt", "triggerReceivedAt"}
LARGEST_INTEGER = 2**64 - 1


def normal(value: Any, key: str = "", *, ours: bool = True) -> Any:
    """Rewrite a payload so that what counts as the same is equal.

    An absent key, a null and an empty list of ours are the same; instants compare as instants.
    """
    if isinstance(value, dict):
        if key == "extractedData":
            ours = False
        items = {name: normal(item, name, ours=ours) for name, item in value.items()}
        return {
            name: item
            for name, item in items.items()
            if not (item is None or (ours and item == [] and name in OUR_LISTS))
        }
    if isinstance(value, list):
        return [normal(item, ours=ours) for item in value]
    if ours and key in INSTANTS and isinstance(value, str):
        return datetime.fromisoformat(value).astimezone(UTC)
    return value
