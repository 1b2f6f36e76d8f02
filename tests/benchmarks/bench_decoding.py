"""What decoding costs beside parsing the same bytes, for a call log in the shape of the documented example."""

from __future__ import annotations

import timeit
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from paired import print_paired

from ghl_voice_async import decode_call_log, encode_call_log

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = (Path(__file__).parents[1] / "documented_shape.json").read_bytes()
CALL_LOG = decode_call_log(BODY)
CALLS = 1000


def microseconds(action: Callable[[], object]) -> Callable[[], float]:
    return lambda: timeit.timeit(action, number=CALLS) / CALLS * 1e6


print_paired(
    f"One call log of {len(BODY):,} bytes with {len(CALL_LOG.executed_call_actions)} actions",
    "µs",
    {
        "orjson.loads": microseconds(lambda: orjson.loads(BODY)),
        "decode_call_log": microseconds(lambda: decode_call_log(BODY)),
        "encode_call_log": microseconds(lambda: encode_call_log(CALL_LOG)),
    },
    rounds=9,
)
