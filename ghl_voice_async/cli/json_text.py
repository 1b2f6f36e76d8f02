"""JSON for files: at any depth that the client reads, and on one line for every reader."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ghl_voice_async import CallRef

__all__ = ["UnstorableError", "json_line", "json_text", "on_one_line"]

_DEEPEST: Final = 1024  # levels that `decode_call_log` reads
# These end a line for some readers, as for `str.splitlines`, and JSON may have them within text.
_LINE_ENDS: Final = {end: f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}


class UnstorableError(Exception):
    """One call log that an output cannot hold. The others of its run are stored."""

    def __init__(self, ref: CallRef, error: Exception) -> None:
        super().__init__(
            f"the call log cannot be stored: {type(error).__name__}: {error} "
            f"[call {ref.call_id!r:.80} of location {ref.location_id!r:.80}]"
        )


def json_text(value: object) -> str:
    """Write a value as JSON. Raise `ValueError`, `TypeError` or `RecursionError` for one that has no such form."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except RecursionError:
        text = "".join(_pieces(value))
    return on_one_line(text)


def on_one_line(text: str) -> str:
    """Escape in JSON whatever ends a line for some reader."""
    for end, escaped in _LINE_ENDS.items():  # a long text takes `str.translate` a second, and stops all threads
        text = text.replace(end, escaped)
    return text


def json_line(value: object) -> bytes:
    """Write a value as one line of JSON in UTF-8. Raise what `json_text` raises, and for a lone surrogate, too."""
    return f"{json_text(value)}\n".encode()


class _Piece(NamedTuple):
    """Text that is JSON already."""

    text: str


def _pieces(value: object) -> Iterator[str]:
    """Write a value of any depth, without recursion."""
    todo: list[tuple[Any, int]] = [(value, 0)]
    while todo:
        item, depth = todo.pop()
        if isinstance(item, _Piece):
            yield item.text
        elif isinstance(item, dict | list):
            if depth == _DEEPEST:
                raise ValueError(f"it has more than {_DEEPEST:,} levels")
            todo += [(part, depth + 1) for part in reversed(_parts(item))]
        else:
            yield json.dumps(item, ensure_ascii=False, allow_nan=False)


def _parts(container: dict[Any, Any] | list[Any]) -> list[Any]:
    """Return the values of a container, and between them the text that joins them."""
    is_dict = isinstance(container, dict)
    parts: list[Any] = [_Piece("{" if is_dict else "[")]
    for number, item in enumerate(container):
        comma = ", " if number else ""
        if isinstance(container, dict):
            key = json.dumps(item, ensure_ascii=False)
            parts += [_Piece(f"{comma}{key}: "), container[item]]
        else:
            parts += [_Piece(comma), item]
    parts.append(_Piece("}" if is_dict else "]"))
    return parts
