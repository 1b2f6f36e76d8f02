"""The part of the official SDK that the documents show, in its shapes, on the simulator's call logs.

The real one lives in an environment of its own, since it brings pymongo and others. This one has the signatures of
release 3.0.0, with which the page was tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from ghl_voice_async.testing import VoiceAIServer


class GHLError(Exception):
    status_code: int | None
    message: str


def put_into(module: ModuleType, server: VoiceAIServer) -> None:
    """Make an empty module the SDK."""

    class VoiceAi:
        async def get_call_log(self, call_id: str, location_id: str) -> dict[str, Any]:
            return server.call_log(call_id, location_id)

        async def get_call_logs(self, location_id: str, page: float, page_size: float) -> dict[str, Any]:
            call_ids = server.call_ids(int(page_size), location_id)
            found = [server.call_log(call_id, location_id) for call_id in call_ids]
            return {"total": len(found), "page": page, "pageSize": page_size, "callLogs": found}

    class HighLevel:
        def __init__(self, *, private_integration_token: str) -> None:
            assert private_integration_token == server.token
            self.voice_ai = VoiceAi()

        async def close(self) -> None:
            pass

    vars(module).update(HighLevel=HighLevel, GHLError=GHLError)
