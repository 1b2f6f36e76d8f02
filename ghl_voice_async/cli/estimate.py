"""How long the limits make a bulk take, and how to say so."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ghl_voice_async import RateLimit

__all__ = ["days_needed", "duration", "expectation", "seconds_needed"]


def seconds_needed(counts: Iterable[int], rate_limit: RateLimit | None) -> float:
    """Return how long the limit makes locations with so many calls each take, all of them at the same time."""
    if rate_limit is None:
        return 0.0
    # The first of them go at once, and the last need not wait for the end of their interval.
    return max(max(counts, default=0) - 1, 0) // rate_limit.max_requests * rate_limit.interval


def days_needed(counts: Iterable[int], rate_limit: RateLimit | None) -> int:
    """Return on how many days locations with so many calls each have to be asked."""
    return 1 if rate_limit is None else max(ceil(max(counts, default=0) / rate_limit.daily), 1)


def expectation(counts: Iterable[int], rate_limit: RateLimit | None) -> str:
    """Say how long the limits make it take."""
    counts = list(counts)
    if rate_limit is None:
        return "There is no rate limit on this side."
    days = days_needed(counts, rate_limit)
    today = [min(count, rate_limit.daily) for count in counts]
    text = (
        f"At {rate_limit.max_requests:,} requests in {rate_limit.interval:g} s for each location, that takes at least "
        f"{duration(seconds_needed(today, rate_limit))}."
    )
    if days > 1:
        text = (
            f"{text[:-1]} today, and {days} days in all: a location may be asked {rate_limit.daily:,} times a day.\n"
            "What is beyond that fails, and is fetched when the same command is run on the next day."
        )
    return text


def duration(seconds: float) -> str:
    """Write a duration in the two largest of its units."""
    rest = ceil(seconds)
    if rest < 60:
        return f"{rest} s"
    minutes, rest = divmod(rest, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h"
