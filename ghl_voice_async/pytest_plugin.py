"""The pytest fixture `voice_ai_server`, which pytest finds by itself once the package is installed.

It is not in `ghl_voice_async.testing`, so that the start of every pytest run does not load a web server.

PYTEST_DONT_REWRITE: it has no asserts, and a `conftest.py` may name it among its plugins when it is loaded already.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ghl_voice_async.testing import VoiceAIServer
else:
    VoiceAIServer = Any  # so that the annotation resolves without a web server

__all__ = ["voice_ai_server"]


@pytest.fixture
def voice_ai_server() -> Iterator[VoiceAIServer]:
    """Give a test a running `VoiceAIServer` of its own, in a thread, with HighLevel's limits."""
    from ghl_voice_async.testing import VoiceAIServer, running_in_thread  # noqa: PLC0415  # see above

    with running_in_thread(VoiceAIServer()) as server:
        yield server
