from __future__ import annotations

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghl_voice_async.daily import PROBE_INTERVAL, DailyBudget
from ghl_voice_async.response import DailyHeaders

HOUR = 3600.0
DAY = 24 * HOUR


def sent(day: DailyBudget, now: float, times: int = 1) -> None:
    for _ in range(times):
        assert day.used_up_for(now, under_way=0) is None
        assert day.server_remaining > 0
        day.spend(now)


def hear(
    day: DailyBudget,
    limit: int | None,
    remaining: int,
    now: float = 0.0,
    *,
    is_newest: bool = True,
    is_later: bool = False,
) -> None:
    day.hear(DailyHeaders(limit, remaining), now, is_newest=is_newest, is_later=is_later)


def test_what_the_caller_allows_for_a_day_is_counted_where_the_server_does_not() -> None:
    day = DailyBudget(3, burst=100)
    sent(day, 100.0, times=3)
    assert day.used_up_for(100.0, under_way=0) == pytest.approx(DAY + 900.0)
    assert day.remaining(100.0, under_way=0) == 0


def test_requests_under_way_are_of_the_day_too() -> None:
    day = DailyBudget(3, burst=100)
    sent(day, 0.0)
    assert day.used_up_for(0.0, under_way=1) is None
    assert day.remaining(0.0, under_way=1) == 1
    assert day.used_up_for(0.0, under_way=2) is not None
    assert DailyBudget(2, burst=100).used_up_for(0.0, under_way=2) == DAY


def test_requests_come_back_a_day_after_the_quarter_of_an_hour_in_which_they_ended() -> None:
    day = DailyBudget(3, burst=100)
    sent(day, 0.0, times=2)
    sent(day, 2 * HOUR)
    assert day.used_up_for(DAY, under_way=0) == 900.0
    sent(day, DAY + 900.0, times=2)
    assert day.used_up_for(DAY + 900.0, under_way=0) == 2 * HOUR
    sent(day, DAY + 2 * HOUR + 900.0)


@given(st.lists(st.floats(0, 5 * HOUR), max_size=200), st.integers(1, 20))
def test_no_24_hours_wherever_they_begin_hold_more_than_the_caller_allows(gaps: list[float], limit: int) -> None:
    day = DailyBudget(limit, burst=100)
    now, moments = 0.0, []
    for gap in gaps:
        now += gap
        if day.used_up_for(now, under_way=0) is None:
            sent(day, now)
            moments.append(now)
    for index, moment in enumerate(moments):
        assert bisect_right(moments, moment + DAY) - index <= limit


def test_the_servers_count_stands_where_it_allows_no_more_than_the_caller_does() -> None:
    day = DailyBudget(3, burst=100)
    sent(day, 0.0, times=2)
    hear(day, 3, 900)
    sent(day, 0.0, times=5)
    assert day.remaining(0.0, under_way=0) == 900
    hear(day, None, 900)  # which says no more how many it allows
    assert day.remaining(0.0, under_way=0) == 0


def test_the_callers_count_stands_beside_a_server_that_allows_more() -> None:
    day = DailyBudget(3, burst=100)
    hear(day, 200_000, 2)
    assert day.remaining(0.0, under_way=0) == 2
    sent(day, 0.0, times=3)
    assert day.used_up_for(0.0, under_way=0) is not None
    assert day.remaining(0.0, under_way=0) == 0


def test_promise_33_when_nothing_remains_one_request_each_quarter_of_an_hour_looks() -> None:
    day = DailyBudget(200_000, burst=100)
    hear(day, 200_000, 0, 50.0)
    assert day.used_up_for(50.0, under_way=0) == PROBE_INTERVAL == 900.0
    assert day.used_up_for(949.0, under_way=0) == 1.0
    for moment in (950.0, 1900.0):
        assert day.used_up_for(moment, under_way=0) is None
        day.probe(moment)
        assert day.used_up_for(moment, under_way=1) == 900.0
        day.spend(moment)
        hear(day, 200_000, 0, moment + 1)  # which does not put off the next look
        assert day.used_up_for(moment + 1, under_way=0) == 899.0


def test_promise_33_the_day_has_turned_when_the_server_says_so() -> None:
    day = DailyBudget(200_000, burst=100)
    hear(day, 200_000, 0)
    hear(day, 200_000, 199_999, 1.0)
    assert day.used_up_for(1.0, under_way=0) is None
    assert day.server_remaining == 199_999


@pytest.mark.parametrize(("late", "remaining"), [(15, 5), (6, 5), (5, 5), (4, 4), (0, 0)])
@pytest.mark.parametrize("is_newest", [False, True])
def test_the_least_that_was_said_within_a_day_is_what_remains(late: int, remaining: int, *, is_newest: bool) -> None:
    day = DailyBudget(200_000, burst=10)
    hear(day, 200_000, 5)
    hear(day, 200_000, late, 1.0, is_newest=is_newest)
    assert day.remaining(1.0, under_way=0) == remaining
    assert (day.used_up_for(1.0, under_way=0) is None) is (remaining > 0)


@pytest.mark.parametrize(("before", "late"), [(199_999, 0), (5, 199_999)])
def test_an_older_request_that_is_told_of_another_day_says_nothing(before: int, late: int) -> None:
    day = DailyBudget(200_000, burst=10)
    hear(day, 200_000, before)
    hear(day, 200_000, late, 1.0, is_newest=False)
    assert day.remaining(1.0, under_way=0) == before


@pytest.mark.parametrize("now_left", [0, 100_000, 199_999])
def test_the_newest_request_is_believed_when_much_has_changed(now_left: int) -> None:
    day = DailyBudget(200_000, burst=10)
    hear(day, 200_000, 50_000)
    hear(day, 200_000, now_left, 1.0)
    assert day.remaining(1.0, under_way=0) == now_left


def test_promise_33_a_request_that_looked_is_believed_however_little_there_is() -> None:
    day = DailyBudget(200_000, burst=10)
    hear(day, 200_000, 0)
    hear(day, 200_000, 2, 899.0, is_later=True)
    assert day.server_remaining == 2
    assert day.used_up_for(899.0, under_way=0) is None


def test_a_day_is_over_when_nothing_remains_of_it() -> None:
    day = DailyBudget(200_000, burst=10)
    assert day.server_remaining > 0
    for remaining in (1, 0):
        hear(day, 200_000, remaining)
        assert day.server_remaining == remaining


def test_promise_33_a_look_that_never_went_is_left_to_the_next() -> None:
    day = DailyBudget(200_000, burst=100)
    hear(day, 200_000, 0)
    day.probe(900.0)
    assert day.used_up_for(901.0, under_way=0) == 899.0
    day.probe_again()
    assert day.used_up_for(901.0, under_way=0) is None


def test_a_day_is_as_new_when_there_is_nothing_to_remember_of_it() -> None:
    day = DailyBudget(3, burst=2)
    assert day.is_as_new(0.0)
    sent(day, 0.0)
    assert not day.is_as_new(DAY)
    assert day.is_as_new(DAY + 900.0)
    sent(day, 0.0)
    hear(day, 3, 2)  # the server counts
    assert day.is_as_new(0.0)


@pytest.mark.parametrize("remaining", [0, 99])
def test_what_remains_is_remembered_for_a_day_where_a_burst_would_overspend_it(remaining: int) -> None:
    day = DailyBudget(200_000, burst=100)
    hear(day, 200_000, 100)
    assert day.is_as_new(0.0)
    hear(day, 200_000, remaining, 5.0)
    assert not day.is_as_new(5.0 + DAY - 1.0)
    assert day.is_as_new(5.0 + DAY)


def test_promise_33_a_look_that_is_served_without_a_word_has_found_a_new_day() -> None:
    day = DailyBudget(200_000, burst=100)
    hear(day, 200_000, 0)
    day.hear_nothing()
    assert day.used_up_for(0.0, under_way=0) is None
    assert day.remaining(0.0, under_way=0) == 200_000


def test_promise_33_our_own_count_does_not_end_the_new_day_that_a_look_found() -> None:
    day = DailyBudget(3, burst=2)
    for _ in range(3):
        day.spend(0.0)
    hear(day, 3, 0)
    day.hear_nothing()
    assert day.used_up_for(0.0, under_way=0) is None


def test_what_is_over_is_not_kept_while_the_server_counts() -> None:
    day = DailyBudget(100, burst=100)
    hear(day, 100, 50)
    for quarter in range(960):
        day.spend(quarter * 900.0)
    assert len(day._quarters) <= 97
    hear(day, None, 50)
    assert day.remaining(960 * 900.0, under_way=0) == 100 - 96
