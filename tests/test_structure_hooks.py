"""The hooks by themselves: what the models of today do not use of them. The rest is read in test_decoder.py."""

from __future__ import annotations

from collections import UserDict
from datetime import UTC, datetime
from typing import Any

import pytest

from ghl_voice_async.structure_hooks import (
    HookFor,
    Mismatch,
    list_hook,
    structure_boolean,
    structure_instant,
    structure_number,
    structure_object,
    structure_string,
)

HOOKS = {bool: structure_boolean, str: structure_string, float: structure_number, datetime: structure_instant}
HOOK_FOR: HookFor = HOOKS.__getitem__


@pytest.mark.parametrize(
    ("item_type", "given", "taken"),
    [
        (bool, [True, False], [True, False]),
        (float, [1, 2.5], [1, 2.5]),
        (datetime, ["2025-10-02T14:05:00Z"], [datetime(2025, 10, 2, 14, 5, tzinfo=UTC)]),
    ],
)
def test_a_list_takes_items_of_any_type_that_has_a_hook(item_type: Any, given: list[Any], taken: list[Any]) -> None:
    assert list_hook(list[item_type], HOOK_FOR)(given, list[item_type]) == taken


def test_a_list_names_every_item_that_does_not_fit() -> None:
    with pytest.raises(Mismatch) as caught:
        list_hook(list[bool], HOOK_FOR)([True, 1, "x"], list[bool])
    assert caught.value.problems == (("[1]", "expected boolean, got number"), ("[2]", "expected boolean, got string"))


def test_a_mapping_of_another_kind_becomes_a_dict() -> None:
    taken = structure_object(UserDict(a=1), dict)
    assert type(taken) is dict
    assert taken == {"a": 1}
