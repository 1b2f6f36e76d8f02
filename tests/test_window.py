from __future__ import annotations

from typing import Any

import pytest

from ghl_voice_async.daily import DailyBudget
from ghl_voice_async.window import Slot, Window

W = 10.0
TICK = 0.25  # a coarse clock, with steps that floats hold exactly


def window(max_requests: int = 3, **settings: Any) -> Window[Slot]:
    day = settings.pop("day", None) or DailyBudget(200_000, burst=100)
    settings.setdefault("warn", lambda _: None)
    return Window(Slot, max_requests=max_requests, interval=W, resolution=TICK, day=day, **settings)


def limits(max_requests: int, remaining: int, milliseconds: int = 10_000) -> dict[str, str]:
    return {
        "X-RateLimit-Max": str(max_requests),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Interval-Milliseconds": str(milliseconds),
    }


def take(of: Window[Slot], now: float, count: int) -> list[Slot]:
    slots = [of.take(now) for _ in range(count)]
    taken = [slot for slot in slots if slot is not None]
    assert len(taken) == count
    return taken


def take_one(of: Window[Slot], now: float) -> Slot:
    (slot,) = take(of, now, 1)
    return slot


def may_send(of: Window[Slot], now: float) -> int:
    """Count the requests that may be sent now, and give them back unsent."""
    slots = []
    while (slot := of.take(now)) is not None:
        slots.append(slot)
    for slot in slots:
        of.cancel(slot)
    return len(slots)


def test_a_slot_is_free_one_interval_after_its_answer_and_one_step_of_the_clock() -> None:
    of = window(1)
    slot = take_one(of, 0.0)
    assert of.free_at(5.0) is None
    of.release(slot, 5.0, status=200, headers={})
    assert of.free_at(5.0) == 15.25
    assert of.take(15.0) is None
    assert of.take(15.25) is not None


def test_a_request_without_an_answer_spends_its_slot_too() -> None:
    of = window(1)
    of.release(take_one(of, 0.0), 5.0, status=None, headers={})
    assert of.take(15.0) is None


def test_a_slot_given_back_unsent_is_free_at_once() -> None:
    of = window(1)
    of.cancel(take_one(of, 0.0))
    assert of.take(0.0) is not None


def test_promise_12_a_lowered_limit_counts_what_is_in_use() -> None:
    of = window(4)
    first, second, third, _ = take(of, 0.0, 4)
    of.release(first, 1.0, status=200, headers={})
    of.release(second, 2.0, status=200, headers={})
    of.release(third, 3.0, status=200, headers=limits(2, 0))
    assert of.limit(3.0) == 2
    assert of.free_at(3.0) == 3.0 + W + TICK  # when three of the four are free
    assert of.take(3.0 + W) is None
    assert of.take(3.0 + W + TICK) is not None


def test_promise_12_older_requests_answered_later_do_not_change_the_limit() -> None:
    of = window(5)
    older, newer = take(of, 0.0, 2)
    of.release(newer, 1.0, status=200, headers=limits(4, 2))
    of.release(older, 2.0, status=200, headers=limits(2, 0, 60_000))
    assert (of.limit(2.0), of.interval, of.budget.remaining) == (4, W, 2)


def test_promise_12_a_server_with_another_interval_is_obeyed_beside_the_callers_limit() -> None:
    of = window(2)
    headers = limits(3, 2, 100_000)
    for moment in (0.0, 1.0):
        of.release(take_one(of, moment), moment, status=200, headers=headers)
    assert of.free_at(1.0) == 0.0 + W + TICK  # ours, two in ten seconds
    of.release(take_one(of, 11.0), 11.0, status=200, headers=headers)
    assert of.free_at(11.0) == 0.0 + 100.0 + TICK  # the server's, three in a hundred
    assert (of.limit(11.0), of.interval, of.in_use(11.0)) == (3, 100.0, 3)


def test_promise_12_a_shorter_interval_of_the_servers_does_not_lengthen_ours_nor_shorten_it() -> None:
    of = window(4)
    headers = limits(2, 1, 1_000)
    for moment in (0.0, 0.0, 2.0, 2.0):
        of.release(take_one(of, moment), moment, status=200, headers=headers)
    assert of.free_at(2.0) == 0.0 + W + TICK
    of = window(4)
    for _ in range(2):
        of.release(take_one(of, 0.0), 0.0, status=200, headers=headers)
    assert of.free_at(0.0) == 0.0 + 1.0 + TICK


def test_promise_12_the_servers_interval_may_change_again_and_again() -> None:
    of = window(1)
    of.release(take_one(of, 0.0), 0.0, status=200, headers=limits(1, 0, 100_000))
    slot = take_one(of, 101.0)
    of.release(slot, 101.0, status=200, headers=limits(2, 1, 200_000))
    assert of.in_use(101.0) == 1  # what is longer ago than was asked for is not known any more
    of.release(take_one(of, 120.0), 120.0, status=200, headers=limits(1, 0, 10_000))
    assert (of.interval, of.in_use(120.0), of.free_at(120.0)) == (W, 1, 120.0 + W + TICK)


def test_promise_12_a_longer_interval_counts_what_the_one_before_it_knew() -> None:
    of = window(5)
    of.release(take_one(of, 0.0), 0.0, status=200, headers=limits(5, 4, 100_000))
    of.release(take_one(of, 50.0), 50.0, status=200, headers=limits(2, 0, 200_000))
    assert of.free_at(50.0) == 0.0 + 200.0 + TICK


def test_promise_12_a_header_that_is_missing_changes_nothing() -> None:
    of = window(5)
    first, second = take(of, 0.0, 2)
    of.release(first, 1.0, status=200, headers=limits(4, 3, 20_000))
    of.release(second, 2.0, status=200, headers={"X-RateLimit-Limit-Daily": "9"})
    assert (of.limit(2.0), of.interval, of.budget.remaining) == (4, 20.0, 3)


def test_promise_34_what_the_server_counts_beyond_our_own_is_others() -> None:
    of = window(100)
    slots = take(of, 0.0, 10)
    of.release(slots[9], 1.0, status=200, headers=limits(100, 50))
    assert of.limit(1.0) == 60


def test_promise_34_what_went_since_may_be_what_the_server_counts() -> None:
    of = window(100)
    first = take_one(of, 0.0)
    take(of, 0.0, 9)  # which may have overtaken the first
    of.release(first, 1.0, status=200, headers=limits(100, 90))
    assert of.limit(1.0) == 100


def test_promise_34_what_was_answered_less_than_a_window_before_is_no_others() -> None:
    of = window(100)
    for slot in take(of, 0.0, 10):
        of.release(slot, 1.0, status=200, headers={})
    late = take_one(of, 11.0)
    of.release(late, 15.0, status=200, headers=limits(100, 89))  # by now, the ten are free
    assert of.limit(15.0) == 100


def test_a_pause_is_as_long_as_the_retry_after_or_one_interval() -> None:
    for headers, end in (({"Retry-After": "4"}, 5.0), ({}, 11.0)):
        of = window(3)
        of.release(take_one(of, 0.0), 1.0, status=429, headers=headers)
        assert of.free_at(1.0) == end
        assert may_send(of, end - 0.1) == 0
        assert may_send(of, end) == 1


def test_after_a_pause_two_go_for_each_answer_until_all_may() -> None:
    of = window(100)
    of.release(take_one(of, 0.0), 0.0, status=429, headers={})
    now, counts = 11.0, []
    under_way = take(of, now, may_send(of, now))
    while len(under_way) < 64:
        counts.append(len(under_way))
        assert of.free_at(now) is None
        for slot in under_way:
            of.release(slot, now, status=200, headers={})
        now += 60.0
        under_way = take(of, now, may_send(of, now))
    assert counts == [1, 2, 4, 8, 16, 32]
    for slot in under_way:
        of.release(slot, now, status=200, headers={})
    assert may_send(of, now + 60.0) == 100


@pytest.mark.parametrize("status", [None, 429])
def test_after_a_pause_the_next_may_go_when_the_first_ended_without_an_answer(status: int | None) -> None:
    of = window(100)
    of.release(take_one(of, 0.0), 0.0, status=429, headers={})
    of.release(take_one(of, 11.0), 12.0, status=status, headers={})
    assert may_send(of, 30.0) == 1


def test_answers_from_before_a_pause_do_not_make_the_pace() -> None:
    of = window(100)
    first, *others = take(of, 0.0, 50)
    of.release(first, 0.0, status=429, headers={})
    for slot in others:
        of.release(slot, 1.0, status=200, headers={})
    assert may_send(of, 20.0) == 1


def test_a_slot_given_back_while_the_pace_is_found_again_is_left_to_the_next() -> None:
    of = window(100)
    of.release(take_one(of, 0.0), 0.0, status=429, headers={})
    of.cancel(take_one(of, 11.0))
    assert may_send(of, 11.0) == 1


@pytest.mark.parametrize("headers", [{}, limits(100, 0)])
def test_a_burst_of_429s_counts_once(headers: dict[str, str]) -> None:
    of = window(100)
    for slot in take(of, 0.0, 100):
        of.release(slot, 1.0, status=429, headers=headers)
    assert of.limit(1.0) == 50


def test_promise_33_the_last_requests_of_the_day_are_not_overspent() -> None:
    of = window(100)
    of.release(take_one(of, 0.0), 0.0, status=200, headers={"X-RateLimit-Daily-Remaining": "3"})
    take(of, 1.0, 3)
    assert of.take(1.0) is None
    assert of.free_at(1.0) is None


@pytest.mark.parametrize(("remaining", "may_go"), [(None, 99), (3, 3), (1, 1), (0, 99)])
def test_promise_33_what_remains_is_not_overspent_while_answers_are_on_their_way(
    remaining: int | None, may_go: int
) -> None:
    of = window(100)
    said = {} if remaining is None else {"X-RateLimit-Daily-Remaining": str(remaining)}
    of.release(take_one(of, 0.0), 0.0, status=200, headers=said)
    assert may_send(of, 1.0) == may_go  # of nothing, nothing can be overspent: `used_up_for` refuses then


def test_promise_33_what_was_under_way_before_the_newest_answer_may_be_counted_after_it() -> None:
    of = window(100)
    older, _, newest = take(of, 0.0, 3)
    of.release(newest, 1.0, status=200, headers={"X-RateLimit-Daily-Remaining": "3"})
    take_one(of, 1.0)
    assert of.take(1.0) is None  # the three may be spent by those that are under way
    of.release(older, 2.0, status=200, headers={"X-RateLimit-Daily-Remaining": "2"})
    assert of.take(2.0) is None


def test_promise_33_a_look_that_is_served_without_headers_has_found_a_new_day() -> None:
    for status, headers, found in (
        (200, {}, True),
        (200, {"X-RateLimit-Daily-Remaining": "0"}, False),
        (503, {}, False),
        (None, {}, False),
    ):
        day = DailyBudget(200_000, burst=100)
        of = window(5, day=day)
        of.release(take_one(of, 0.0), 0.0, status=200, headers={"X-RateLimit-Daily-Remaining": "0"})
        of.release(take_one(of, 900.0), 901.0, status=status, headers=headers)
        assert (day.used_up_for(902.0, under_way=0) is None) is found


def test_promise_34_what_others_left_is_waited_for_no_longer_than_it_takes() -> None:
    of = window(3)
    of.release(take_one(of, 0.0), 0.0, status=200, headers=limits(3, 0))  # two of others
    of.release(take_one(of, 15.0), 15.0, status=200, headers={})
    assert of.take(15.0) is None
    assert of.free_at(15.0) == 20.0
    assert of.take(20.0) is not None


def test_promise_33_when_none_of_the_last_was_sent_the_next_may_go() -> None:
    of = window(100)
    of.release(take_one(of, 0.0), 0.0, status=200, headers={"X-RateLimit-Daily-Remaining": "1"})
    of.cancel(take_one(of, 1.0))
    assert of.take(1.0) is not None


@pytest.mark.parametrize(("newer", "older"), [(0, 1), (1, 0)])
def test_promise_33_the_last_word_on_the_day_counts_whoever_has_it(newer: int, older: int) -> None:
    day = DailyBudget(200_000, burst=100)
    of = window(5, day=day)
    first, second = take(of, 0.0, 2)
    of.release(second, 1.0, status=200, headers={"X-RateLimit-Daily-Remaining": str(newer)})
    of.release(first, 1.0, status=200, headers={"X-RateLimit-Daily-Remaining": str(older)})
    assert day.used_up_for(1.0, under_way=0) is not None


def test_promise_33_an_older_request_is_not_taken_for_the_newest_after_another() -> None:
    day = DailyBudget(200_000, burst=5)
    of = window(5, day=day)
    first, second, third = take(of, 0.0, 3)
    for slot, remaining in ((third, 50_000), (first, 49_999), (second, 0)):
        of.release(slot, 1.0, status=200, headers={"X-RateLimit-Daily-Remaining": str(remaining)})
    assert day.remaining(1.0, under_way=0) == 49_999


def test_promise_33_an_old_look_given_back_does_not_make_for_another() -> None:
    day = DailyBudget(200_000, burst=100)
    of = window(5, day=day)
    nothing = {"X-RateLimit-Daily-Remaining": "0"}
    of.release(take_one(of, 0.0), 0.0, status=200, headers=nothing)
    old = take_one(of, 900.0)
    of.release(take_one(of, 1800.0), 1800.0, status=429, headers=nothing)
    of.cancel(old)
    assert day.used_up_for(1810.0, under_way=0) == 890.0


def test_a_429_of_the_day_says_nothing_of_the_window() -> None:
    of = window(100)
    slots = take(of, 0.0, 60)
    headers = limits(100, 95) | {"X-RateLimit-Daily-Remaining": "0", "Retry-After": "7200"}
    of.release(slots[0], 0.0, status=429, headers=headers)
    assert (of.limit(0.0), of.paused_until <= 0.0, of.asked_to_wait_until <= 0.0) == (100, True, True)


def test_promise_12_our_own_requests_are_no_others_when_the_interval_grows() -> None:
    of = window(100)
    for second in range(60):
        of.release(take_one(of, float(second)), float(second), status=200, headers={})
    of.release(take_one(of, 60.0), 60.0, status=200, headers=limits(100, 39, 100_000))
    of.release(take_one(of, 61.0), 61.0, status=200, headers=limits(100, 38, 100_000))
    assert of.limit(61.0) == 100
    of.release(take_one(of, 160.0), 160.0, status=200, headers=limits(100, 38, 100_000))
    assert of.limit(160.0) < 100


def test_of_two_windows_the_one_that_leaves_fewer_is_shown() -> None:
    of = window(2)
    assert of.tightest(0.0) == (0, 2, W)
    for moment in (0.0, 1.0):
        of.release(take_one(of, moment), moment, status=200, headers=limits(100, 99, 1_000))
    assert of.tightest(1.0) == (2, 2, W)
    of.release(take_one(of, 12.0), 12.0, status=200, headers=limits(1, 0, 60_000))
    assert of.tightest(12.0) == (1, 1, 60.0)


def test_promise_33_a_look_that_was_not_sent_is_left_to_the_next() -> None:
    day = DailyBudget(200_000, burst=100)
    of = window(5, day=day)
    of.release(take_one(of, 0.0), 0.0, status=200, headers={"X-RateLimit-Daily-Remaining": "0"})
    of.cancel(take_one(of, 900.0))
    assert day.used_up_for(901.0, under_way=0) is None


def test_there_is_nothing_to_remember_two_windows_after_the_last_answer() -> None:
    of = window()
    assert of.new_at(0.0) <= 0.0
    slot = take_one(of, 0.0)
    assert of.new_at(5.0) == 15.25  # as far as is known
    of.release(slot, 7.0, status=200, headers={})
    assert of.new_at(7.0) == 7.0 + 2 * (W + TICK)


def test_a_pause_is_remembered_until_two_windows_after_it() -> None:
    of = window()
    of.release(take_one(of, 0.0), 0.0, status=429, headers={"Retry-After": "3600"})
    assert of.new_at(1.0) == 3600.0 + 2 * (W + TICK)


@pytest.mark.parametrize("headers", [{}, limits(2, 1), limits(3, 2, 259_200_000 // 3)])
def test_what_is_in_use_is_remembered_however_long_the_interval(headers: dict[str, str]) -> None:
    days = 3 * 24 * 3600.0
    day = DailyBudget(200_000, burst=3)
    of = Window(Slot, max_requests=3, interval=days, resolution=TICK, day=day, warn=lambda _: None)
    of.release(take_one(of, 0.0), 5.0, status=200, headers=headers)
    assert of.new_at(5.0) >= 5.0 + 2 * days


@pytest.mark.parametrize("headers", [limits(2, 1), limits(3, 1, 20_000)])
def test_a_lower_limit_of_the_servers_is_remembered_for_a_day(headers: dict[str, str]) -> None:
    of = window(3)
    of.release(take_one(of, 0.0), 5.0, status=200, headers=headers)
    assert of.new_at(5.0) == 5.0 + 24 * 3600
