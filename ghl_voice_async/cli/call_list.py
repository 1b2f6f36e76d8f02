"""The list of calls to fetch: one a line, as a call id or as `call_id,location_id`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ghl_voice_async import CallRef

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["read_call_list"]


def read_call_list(lines: Iterable[bytes], location_id: str | None) -> dict[CallRef, int]:
    """Return the calls, each once and in order, with how often it is there.

    Blank lines and those that begin with `#` are skipped. A line without a location means `location_id`. Whether
    the ids are any good is not looked at. Raises `click.UsageError` with its number for the first line that cannot be
    read, and where there is no call at all.
    """
    calls: dict[CallRef, int] = {}
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            raise click.UsageError(f"Line {number} of the input is not UTF-8.") from None
        if text and not text.startswith("#"):
            ref = _call_ref(text, location_id, number)
            calls[ref] = calls.get(ref, 0) + 1
    if not calls:
        raise click.UsageError("There is no call id in the input.")
    return calls


def _call_ref(text: str, default: str | None, number: int) -> CallRef:
    call_id, *rest = (part.strip() for part in text.split(","))
    if len(rest) > 1:
        raise click.UsageError(f"Line {number} of the input has more than a call id and a location id.")
    location_id = rest[0] if rest else default
    if not call_id or location_id == "":
        raise click.UsageError(f"Line {number} of the input has a comma and not both ids.")
    if location_id is None:
        raise click.UsageError(f"Line {number} of the input has no location id; add it, or give --location.")
    return CallRef(call_id, location_id)
