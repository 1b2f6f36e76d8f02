from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import aiohttp
import pytest
from hypothesis import HealthCheck, settings

from ghl_voice_async.testing import VoiceAIServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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
            build(self, *args, **{"stream_writer": Mock(), **kwargs})

        monkeypatch.setattr(aiohttp.ClientResponse, "__init__", build_without_writer)


@pytest.fixture
async def server() -> AsyncIterator[VoiceAIServer]:
    async with VoiceAIServer(max_requests=None) as running:
        yield running


@pytest.fixture
def documented() -> dict[str, Any]:
    """Give a call log in the shape of the API page's example, which its own schema does not allow."""
    payload: dict[str, Any] = json.loads(Path(__file__).with_name("documented_shape.json").read_text())
    return payload
