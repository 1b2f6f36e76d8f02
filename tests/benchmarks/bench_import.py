"""What importing costs a new process, beside importing the two largest of the dependencies alone."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from figures import keep
from paired import print_paired

if TYPE_CHECKING:
    from collections.abc import Callable


def milliseconds(statement: str) -> Callable[[], float]:
    def measure() -> float:
        process = subprocess.Popen([sys.executable, "-c", statement])
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
        return (used.ru_utime + used.ru_stime) * 1000

    return measure


STATEMENTS = (
    "import aiohttp, cattrs",
    "pass",
    "import ghl_voice_async",
    "from ghl_voice_async import decode_call_log",
    "from ghl_voice_async import VoiceAIClient",
    "from ghl_voice_async import VoiceAIClient; VoiceAIClient('pit-benchmark')",
)

if __name__ == "__main__":
    ways = {statement: milliseconds(statement) for statement in STATEMENTS}
    keep("import", print_paired("A process that does", "CPU ms", ways, rounds=25))
