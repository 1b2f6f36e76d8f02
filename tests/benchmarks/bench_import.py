"""What importing costs a new process, beside importing the two largest of the dependencies alone."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from paired import print_paired

if TYPE_CHECKING:
    from collections.abc import Callable


def milliseconds(statement: str) -> Callable[[], float]:
    def measure() -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        return (time.perf_counter() - started) * 1000

    return measure


STATEMENTS = (
    "import aiohttp, cattrs",
    "pass",
    "import ghl_voice_async",
    "from ghl_voice_async import decode_call_log",
    "from ghl_voice_async import VoiceAIClient",
)
print_paired("A process that does", "ms", {statement: milliseconds(statement) for statement in STATEMENTS}, rounds=15)
