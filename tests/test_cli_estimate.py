from __future__ import annotations

import pytest

from ghl_voice_async import RateLimit
from ghl_voice_async.cli.estimate import days_needed, duration, expectation, seconds_needed

LIMIT = RateLimit(100, 10.0, daily=1000)


@pytest.mark.parametrize(
    ("counts", "seconds"), [([], 0), ([1], 0), ([100], 0), ([101], 10), ([200], 10), ([201], 20), ([50, 301, 7], 30)]
)
def test_a_limit_makes_the_location_of_the_most_calls_wait(counts: list[int], seconds: float) -> None:
    assert seconds_needed(counts, LIMIT) == seconds
    assert seconds_needed(counts, None) == 0


@pytest.mark.parametrize(("counts", "days"), [([], 1), ([1000], 1), ([1001], 2), ([900, 900], 1), ([2001], 3)])
def test_the_daily_limit_makes_it_days(counts: list[int], days: int) -> None:
    assert days_needed(counts, LIMIT) == days
    assert days_needed(counts, None) == 1


@pytest.mark.parametrize(
    ("counts", "limit", "said"),
    [
        ([5], None, "There is no rate limit on this side."),
        ([250, 9], LIMIT, "At 100 requests in 10 s for each location, that takes at least 20 s."),
        (
            [2500],
            LIMIT,
            (
                "At 100 requests in 10 s for each location, that takes at least 1 min 30 s today, and 3 days in all: a "
                "location may be asked 1,000 times a day.\n"
                "What is beyond that fails, and is fetched when the same command is run on the next day."
            ),
        ),
    ],
)
def test_what_to_expect_is_said(counts: list[int], limit: RateLimit | None, said: str) -> None:
    assert expectation(counts, limit) == said


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0 s"),
        (0.2, "1 s"),
        (59, "59 s"),
        (59.5, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (172_799, "47 h 59 min"),
        (172_800, "2 days 0 h"),
        (1e6, "11 days 13 h"),
    ],
)
def test_a_duration_is_written_in_its_two_largest_units(seconds: float, written: str) -> None:
    assert duration(seconds) == written
