from __future__ import annotations

import inspect
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import aiohttp
import pytest
from hypothesis import HealthCheck, settings
from leaks import Records, check_no_leak

from ghl_voice_async import GHLVoiceError
from ghl_voice_async.testing import VoiceAIServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("default"), max_examples=10_000)
settings.load_profile("default")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in ("GHL_ACCESS_TOKEN", "GHL_LOCATION_ID", "GHL_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def aioresponses_on_new_aiohttp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let aioresponses 0.7.9 build the responses of aiohttp 3.14, whose `__init__` asks for a writer more."""
    build = aiohttp.ClientResponse.__init__
    if "stream_writer" in inspect.signature(build).parameters:

        def build_without_writer(self: Any, *args: Any, **kwargs: Any) -> None:
            if "stream_writer" not in kwargs:
                kwargs["stream_writer"] = Mock()
            build(self, *args, **kwargs)

        monkeypatch.setattr(aiohttp.ClientResponse, "__init__", build_without_writer)


@pytest.fixture(autouse=True)
def no_leaks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look for secrets in every error and every log record that a test made, and for what asyncio complains of."""
    errors: list[GHLVoiceError] = []
    make = GHLVoiceError.__init__

    def make_and_keep(self: GHLVoiceError, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        errors.append(self)

    monkeypatch.setattr(GHLVoiceError, "__init__", make_and_keep)
    root, records = logging.getLogger(), Records()
    level = root.level
    root.addHandler(records)
    root.setLevel(1)
    try:
        yield
    finally:
        root.removeHandler(records)
        root.setLevel(level)
    check_no_leak(errors, records.records)
    complaints = [record for record in records.records if record.name == "asyncio" and record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in complaints] == []


@pytest.fixture
async def server() -> AsyncIterator[VoiceAIServer]:
    async with VoiceAIServer(max_requests=None) as running:
        yield running


@pytest.fixture
def documented() -> dict[str, Any]:
    """Give a call log in the shape of the API page's example, which its own schema does not allow."""
    payload: dict[str, Any] = json.loads(Path(__file__).with_name("documented_shape.json").read_text())
    return payload
