from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traffic import most_in_any_window

from ghl_voice_async.testing.window import FixedWindow, LocationLimits, SlidingWindow

if TYPE_CHECKING:
    from ghl_voice_async.testing.window import Window

gaps = st.lists(st.floats(0, 5), max_size=60)


def admitted(window: Window, gaps: list[float]) -> list[float]:
    """Ask after each gap, and return the moments at which the answer was yes."""
    moments = []
    now = 0.0
    for gap in gaps:
        now += gap
        remaining = window.remaining(now)
        assert window.admit(now) is (remaining > 0)
        assert window.remaining(now) == max(0, remaining - 1)
        if remaining:
            moments.append(now)
    return moments


@given(gaps, st.integers(1, 5), st.floats(0.5, 10))
def test_no_window_wherever_it_begins_holds_more_than_a_sliding_one_admits(
    gaps: list[float], limit: int, interval: float
) -> None:
    moments = admitted(SlidingWindow(limit, interval), gaps)
    assert most_in_any_window(moments, interval) <= limit


def test_a_sliding_window_has_room_again_when_the_oldest_leaves_it() -> None:
    window = SlidingWindow(2, 10.0)
    assert window.opens_at(1.0) == 1.0
    assert [window.admit(now) for now in (1.0, 4.0, 5.0, 10.9, 11.0, 11.0, 14.0)] == [
        True,
        True,
        False,
        False,
        True,
        False,
        True,
    ]
    assert window.opens_at(15.0) == 21.0


@given(gaps, st.integers(1, 5), st.floats(0.5, 10), st.floats(-50, 50))
def test_a_fixed_window_admits_so_many_in_each_of_its_windows(
    gaps: list[float], limit: int, interval: float, start: float
) -> None:
    moments = admitted(FixedWindow(limit, interval, start), gaps)
    windows = [floor((moment - start) / interval) for moment in moments]
    assert all(windows.count(number) <= limit for number in windows)


def test_a_fixed_window_has_room_again_when_the_next_one_begins() -> None:
    window = FixedWindow(2, 10.0, start=3.0)
    assert window.opens_at(1.0) == 1.0
    assert [window.admit(now) for now in (1.0, 2.9, 2.95, 3.0, 12.9, 12.95, 13.0)] == [
        True,
        True,
        False,
        True,
        True,
        False,
        True,
    ]
    assert window.admit(13.0)
    assert window.opens_at(15.0) == 23.0


@given(gaps, st.integers(1, 20))
def test_no_more_than_the_days_budget_is_admitted(gaps: list[float], daily: int) -> None:
    limits = LocationLimits(SlidingWindow(3, 1.0), daily)
    now, admitted = 0.0, 0
    for gap in gaps:
        now += gap
        admitted += limits.admit(now)
        assert limits.headers(now)["X-RateLimit-Daily-Remaining"] == str(daily - admitted)
    assert admitted <= daily


@pytest.mark.parametrize(("now", "seconds"), [(0.0, 10), (0.5, 10), (9.0, 1), (9.9, 1)])
def test_retry_after_is_in_whole_seconds_and_never_too_early(now: float, seconds: int) -> None:
    limits = LocationLimits(SlidingWindow(1, 10.0), 100)
    limits.admit(0.0)
    assert limits.retry_after(now) == seconds


def test_nobody_says_when_a_day_that_is_used_up_will_end() -> None:
    limits = LocationLimits(SlidingWindow(5, 10.0), 1)
    limits.admit(0.0)
    assert limits.retry_after(1.0) is None
