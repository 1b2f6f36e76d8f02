"""Call logs of the sizes of real life: made up, in the API's shape."""

from __future__ import annotations

from pathlib import Path

import orjson

__all__ = ["PAYLOADS"]

DOCUMENTED = orjson.loads((Path(__file__).parents[1] / "documented_shape.json").read_bytes())
LINES = ("bot: Good afternoon, this is the workshop. What can I do for you?\n", "human: My bicycle makes a noise.\n")


def call_log(*, characters: int, **changes: object) -> bytes:
    """Make a call log with so long a transcript."""
    transcript = "".join(LINES) * (characters // len("".join(LINES)) + 1)
    return orjson.dumps(DOCUMENTED | {"transcript": transcript[:characters]} | changes)


PAYLOADS = {
    "2 kB, no action": call_log(characters=1300, executedCallActions=[]),
    "4 kB, eight actions": orjson.dumps(DOCUMENTED),
    "60 kB of transcript": call_log(characters=57_000),
}
