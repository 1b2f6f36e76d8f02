from __future__ import annotations

from typing import Any

import attrs
import pytest

from ghl_voice_async import decode_call_log, models

MODELS = [getattr(models, name) for name in models.__all__ if attrs.has(getattr(models, name))]
PUBLISHED_CLASSES = 15


def test_there_is_a_class_for_every_published_object() -> None:
    assert len(MODELS) == PUBLISHED_CLASSES


@pytest.mark.parametrize("model", MODELS)
def test_models_take_keywords_only_and_have_slots(model: Any) -> None:
    with pytest.raises(TypeError):
        model("65f0c3a1b2d4e5f60718293a")
    assert "__slots__" in vars(model)
    assert not hasattr(model(**({"id": "1"} if model is models.CallLog else {})), "__dict__")


def test_reprs_show_ids_types_times_and_sizes(documented: dict[str, Any]) -> None:
    shown = repr(decode_call_log(documented))
    assert "id='65f0c3a1b2d4e5f60718293a'" in shown
    assert "duration=214" in shown
    assert "datetime.datetime(2025, 10, 2, 14, 5" in shown
    assert "executed_call_actions=<8 items>" in shown
    assert "extracted_data=<4 keys>" in shown
    assert "summary=<69 characters>" in shown


def test_reprs_show_what_is_absent() -> None:
    assert "summary=None" in repr(models.CallLog(id="1"))


def texts_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts_of(item)]
    return [text for item in value for text in texts_of(item)] if isinstance(value, list) else []


def reprs_of(value: Any) -> list[str]:
    if attrs.has(type(value)):
        return [
            repr(value),
            *(shown for item in attrs.asdict(value, recurse=False).values() for shown in reprs_of(item)),
        ]
    return [shown for item in value for shown in reprs_of(item)] if isinstance(value, list) else []


def test_no_repr_at_any_depth_shows_a_text(documented: dict[str, Any]) -> None:
    shown = "\n".join(reprs_of(decode_call_log(documented)))
    texts = {text for text in texts_of(documented) if " " in text or "@" in text or "+" in text or "made-up" in text}
    assert len(texts) == 30
    assert [text for text in texts if text in shown] == []
