from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ghl_voice_async.testing.window import SlidingWindow

gaps = st.lists(st.floats(0, 5), max_size=60)


@given(gaps, st.integers(1, 5), st.floats(0.5, 10))
def test_no_window_wherever_it_begins_holds_more_than_the_limit(gaps: list[float], limit: int, interval: float) -> None:
    window = SlidingWindow(limit, interval, daily=10**9)
    admitted = []
    now = 0.0
    for gap in gaps:
        now += gap
        if window.admit(now):
            admitted.append(now)
        else:
            assert len([moment for moment in admitted if moment > now - interval]) == limit
    for start in admitted:
        assert len([moment for moment in admitted if start <= moment < start + interval]) <= limit


@given(gaps, st.integers(1, 20))
def test_no_more_than_the_days_budget_is_admitted(gaps: list[float], daily: int) -> None:
    window = SlidingWindow(3, 1.0, daily)
    now = 0.0
    for gap in gaps:
        now += gap
        window.admit(now)
        assert window.headers()["X-RateLimit-Daily-Remaining"] == str(daily - window.admitted)
    assert window.admitted <= daily
