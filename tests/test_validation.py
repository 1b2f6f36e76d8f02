"""What is accepted is tested with the settings that are checked; here are the numbers that are numbers and too much."""

from __future__ import annotations

import pytest

from ghl_voice_async import InvalidInputError
from ghl_voice_async.validation import check_count, check_seconds


@pytest.mark.parametrize("value", [10**400, -(10**400), 10**5000], ids=int.bit_length)
def test_an_integer_beyond_any_float_is_refused_with_a_short_text(value: int) -> None:
    with pytest.raises(InvalidInputError, match=r"above 0, not an integer of \d+ bits$"):
        check_seconds("timeout", value)


def test_a_count_far_below_one_is_refused_with_a_short_text() -> None:
    with pytest.raises(InvalidInputError, match=r"at least 1, not an integer of 16610 bits$"):
        check_count("max_attempts", -(10**5000))


@pytest.mark.parametrize("value", [1, 0.001, 1e300, 10**300])
def test_every_finite_time_above_zero_is_accepted(value: float) -> None:
    assert check_seconds("timeout", value) == value
