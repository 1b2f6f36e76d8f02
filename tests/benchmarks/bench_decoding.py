"""What decoding costs, beside a full pydantic model, msgspec structs, and parsing without any types.

All from the same bytes, with the fields of the published schema, and with unknown keys kept where the library can.
"""

from __future__ import annotations

import timeit
from typing import TYPE_CHECKING

import msgspec
import orjson
from figures import keep
from paired import print_paired
from payloads import PAYLOADS
from typed import MsgspecCallLog, PydanticCallLog

from ghl_voice_async import decode_call_log, encode_call_log

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS_A_ROUND = 0.03
ROUNDS = 25
with_msgspec = msgspec.json.Decoder(MsgspecCallLog)


def microseconds(action: Callable[[], object]) -> Callable[[], float]:
    number = max(20, round(SECONDS_A_ROUND / timeit.timeit(action, number=20) * 20))
    return lambda: timeit.timeit(action, number=number) / number * 1e6


def table(name: str, body: bytes) -> list[dict[str, object]]:
    call_log = decode_call_log(body)
    ways = {
        "pydantic, model_validate_json": microseconds(lambda: PydanticCallLog.model_validate_json(body)),
        "decode_call_log": microseconds(lambda: decode_call_log(body)),
        "msgspec, which keeps no unknown keys": microseconds(lambda: with_msgspec.decode(body)),
        "orjson.loads, no types": microseconds(lambda: orjson.loads(body)),
        "encode_call_log": microseconds(lambda: encode_call_log(call_log)),
    }
    return print_paired(f"{name} ({len(body):,} bytes)", "µs", ways, rounds=ROUNDS)


if __name__ == "__main__":
    keep("decoding", {name: table(name, body) for name, body in PAYLOADS.items()})
