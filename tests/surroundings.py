"""What the programs in docs/examples find around them: a server that they ask, and other programs that they drive."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ghl_voice_async.testing import VoiceAIServer


def ask(server: VoiceAIServer, patch: pytest.MonkeyPatch) -> None:
    """Let programs ask this server; they try failures again without a wait."""
    patch.setenv("GHL_BASE_URL", server.url)
    patch.setenv("GHL_ACCESS_TOKEN", server.token)
    patch.setenv("GHL_LOCATION_ID", server.location_id)
    patch.setattr("ghl_voice_async.retry.random.random", lambda: 0.0)


def need(*names: str) -> str:
    """Find the first of these programs that is installed. Skip the test where none is, unless examples must run."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        reason = f"{names[0]} is not installed"
        if os.environ.get("EXAMPLES_MUST_RUN"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found
