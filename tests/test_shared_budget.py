from __future__ import annotations

from math import inf

import pytest

from ghl_voice_async.shared_budget import SharedBudget

W = 10.0


def test_all_of_it_is_ours_while_nobody_else_shows() -> None:
    budget = SharedBudget(100)
    budget.observe(0, 0.0)
    budget.observe(-40, 0.0)
    assert budget.room(0.0, W) == 100


def test_others_are_taken_at_their_highest_over_two_windows() -> None:
    budget = SharedBudget(100)
    for others, moment in ((30, 0.0), (50, 4.0), (20, 5.0), (40, 9.0)):
        budget.observe(others, moment)
    moments = (9.0, 23.9, 24.0, 28.9, 29.0)
    assert [budget.room(moment, W) for moment in moments] == [50, 50, 60, 60, 100]
    assert budget.grows_at(29.0, W) == inf


def test_it_is_known_when_there_may_be_more_room() -> None:
    budget = SharedBudget(100)
    assert budget.grows_at(0.0, W) == inf
    budget.observe(30, 0.0)
    budget.refuse(100, 5.0, W, paused_until=10.0)
    assert [budget.grows_at(moment, W) for moment in (5.0, 20.0, 30.0)] == [20.0, 30.0, inf]


def test_a_share_is_held_for_two_windows_after_a_pause_however_long() -> None:
    budget = SharedBudget(100)
    budget.remaining = 0
    budget.refuse(100, 0.0, W, paused_until=500.0)
    assert [budget.room(moment, W) for moment in (500.0, 519.9, 520.0)] == [50, 50, 100]


def test_one_request_is_always_ours() -> None:
    budget = SharedBudget(100)
    budget.observe(500, 0.0)
    assert budget.room(0.0, W) == 1


def test_who_meets_a_429_with_most_of_the_budget_makes_room_until_the_others_show() -> None:
    budget = SharedBudget(100)
    budget.remaining = 0
    budget.refuse(97, 0.0, W, paused_until=0.0 + W)
    assert [budget.room(moment, W) for moment in (0.0, 29.9)] == [50, 50]
    budget.observe(30, 29.9)
    assert budget.room(30.0, W) == 70
    assert budget.room(50.0, W) == 100


def test_who_has_half_of_the_budget_or_less_keeps_it() -> None:
    budget = SharedBudget(100)
    budget.remaining = 0
    budget.refuse(50, 0.0, W, paused_until=0.0 + W)
    assert budget.room(0.0, W) == 100


def test_without_headers_the_share_is_halved_again_and_felt_out_slowly() -> None:
    budget = SharedBudget(100)
    budget.refuse(100, 0.0, W, paused_until=0.0 + W)
    assert budget.room(1.0, W) == 50
    budget.refuse(50, 1.0, W, paused_until=1.0 + W)
    assert [budget.room(31.0 + moment, W) for moment in (-0.1, 0.0, 10.0, 20.0, 50.0, 70.0)] == [
        25,
        25,
        31,
        39,
        76,
        100,
    ]
    assert budget.room(71.0, W) == 100


def test_a_share_left_alone_for_ages_is_the_whole() -> None:
    budget = SharedBudget(1000)
    budget.refuse(1000, 0.0, W, paused_until=0.0 + W)
    assert budget.room(1e9, W) == 1000


@pytest.mark.parametrize("in_use", [1, 2])
def test_the_smallest_budget_is_not_halved_to_nothing(in_use: int) -> None:
    budget = SharedBudget(1)
    budget.refuse(in_use, 0.0, W, paused_until=0.0 + W)
    assert budget.room(0.0, W) == 1
