"""A `VoiceAIServer` in a thread or in a process of its own, for programs that have another use for their loop."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread
from typing import IO, Any, Self

from ghl_voice_async.testing.seen import Seen
from ghl_voice_async.testing.server import VoiceAIServer

__all__ = ["VoiceAIServerProcess", "running_in_thread"]

_START_UP = 30.0


@contextmanager
def running_in_thread(server: VoiceAIServer) -> Iterator[VoiceAIServer]:
    """Run a server in a thread with an event loop of its own, for as long as the `with` block lasts.

    Its `fail`, `add_call_log`, `call_log` and `seen` may be used from the caller's thread.
    """
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="VoiceAIServer", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(_START_UP)
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.aclose(), loop).result(_START_UP)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class VoiceAIServerProcess:
    """A `VoiceAIServer` in a process of its own, so that it takes no time from the program it serves.

    Takes the arguments of `VoiceAIServer`. Inside `with`, `url` and `token` say how to reach it, `twin` is a
    server that is not running and names the same call logs, and `stop` ends the process and returns what
    it saw.
    """

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401  # those of VoiceAIServer
        self.twin: VoiceAIServer = VoiceAIServer(**settings)
        """A server of the same settings that is not running, to ask for `call_ids` and `call_log`."""
        self.token: str = self.twin.token
        """The one token that is not refused."""
        self.url: str = ""
        """The base URL inside of `with`, to be given to the client as `base_url`."""
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # Not multiprocessing, which would run the caller's main module a second time in the new process. In a
        # session of its own, since a Ctrl+C in the terminal is the caller's, who ends this process.
        command = [sys.executable, "-c", f"from {__name__} import _serve; _serve()"]
        process = subprocess.Popen(  # noqa: S603  # ourselves
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        with ExitStack() as unless_started:
            unless_started.push(process)  # closes the pipes and waits for the end
            pickle.dump(self._settings, _pipe(process.stdin))
            _pipe(process.stdin).flush()
            self.url = _pipe(process.stdout).readline().decode().strip()
            if not self.url:
                raise RuntimeError(f"the server's process ended at once, with exit code {process.wait()}")
            unless_started.pop_all()
        self._process = process
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.stop()

    def stop(self) -> Seen:
        """Stop the process and return what the server saw."""
        process, self._process = self._process, None
        if process is None:
            raise RuntimeError("the server's process is not running")
        with process:
            _pipe(process.stdin).close()
            seen: Seen = pickle.load(_pipe(process.stdout))  # noqa: S301  # from the process that we started
        return seen


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101  # asked for with PIPE
    return stream


def _serve() -> None:
    """Be the process: settings on standard input, the URL on standard output, until the input ends."""
    settings = pickle.load(sys.stdin.buffer)  # noqa: S301  # from the process that started this one
    server = VoiceAIServer(**settings)
    with suppress(BrokenPipeError):  # whoever started this process is gone
        with running_in_thread(server):
            sys.stdout.buffer.write(f"{server.url}\n".encode())
            sys.stdout.buffer.flush()
            sys.stdin.buffer.read()
        server.seen.latest.clear()
        sys.stdout.buffer.write(pickle.dumps(server.seen))
        sys.stdout.buffer.flush()
