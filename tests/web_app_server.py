"""The example `web_app`, served by uvicorn in a thread of the test's process."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import uvicorn
from surroundings import ask
from web_app.app import app

from ghl_voice_async.testing import VoiceAIServer, running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

START_UP = 30.0


class Server(uvicorn.Server):
    def __init__(self) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, log_level="info", timeout_graceful_shutdown=5))
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@contextmanager
def serving(simulator: VoiceAIServer, *, deadline: float = 10.0) -> Iterator[str]:
    """Run the application against a simulator, and give its URL. Failures are tried again without a wait."""
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listener:
        ask(simulator, patch)
        patch.setenv("GHL_MAX_REQUESTS", "1000000")
        patch.setenv("GHL_DEADLINE", str(deadline))
        server = Server()
        thread = threading.Thread(target=server.run, args=([listener],), name="web_app")
        thread.start()
        try:
            assert server.is_up.wait(START_UP)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def serving_with_simulator() -> Iterator[tuple[str, VoiceAIServer]]:
    with running_in_thread(VoiceAIServer(max_requests=None)) as simulator, serving(simulator) as url:
        yield url, simulator
