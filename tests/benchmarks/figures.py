"""Keeps the figures of all tables in one file of JSON, from which the documentation has its plots."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["keep", "machine"]

PACKAGES = ("ghl-voice-async", "aiohttp", "cattrs", "orjson", "tenacity", "pydantic", "msgspec", "httpx")


def machine() -> dict[str, Any]:
    """Describe where the figures come from."""
    cpu_info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in cpu_info.read_text().splitlines() if "model name" in line]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {package: version(package) for package in PACKAGES},
        "on": datetime.now(UTC).date().isoformat(),
    }


def keep(table: str, rows: object) -> None:
    """Write the rows of a table into the file that `BENCHMARK_FIGURES` names, if it names one."""
    if name := os.environ.get("BENCHMARK_FIGURES"):
        file = Path(name)
        kept = json.loads(file.read_text()) if file.exists() else {}
        kept |= {"machine": machine(), table: rows}
        file.write_text(json.dumps(kept, indent=1) + "\n")
