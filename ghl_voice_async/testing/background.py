"""A `VoiceAIServer` in a thread or in a process of its own, for programs that have another use for their loop."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread, Timer
from typing import IO, Any, Self

from ghl_voice_async.testing.seen import Seen
from ghl_voice_async.testing.server import VoiceAIServer

__all__ = ["VoiceAIServerProcess", "running_in_thread"]

_START_UP = 30.0
_LONGEST_URL = 100


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

    A frozen program, and one that embeds Python, cannot start Python. There the server runs in a thread.
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
        self._thread: ExitStack | None = None
        self._server: VoiceAIServer = self.twin

    def __enter__(self) -> Self:
        if sys.executable and not getattr(sys, "frozen", False):
            self._process, self.url = _started(self._settings)
        else:
            self._server = VoiceAIServer(**self._settings)
            with ExitStack() as stack:
                self.url = stack.enter_context(running_in_thread(self._server)).url
                self._thread = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None or self._thread is not None:
            self.stop()

    def stop(self) -> Seen:
        """Stop the server and return what it saw. Raise `RuntimeError` if it is not running any more."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()
            self._server.seen.latest.clear()
            return self._server.seen
        process, self._process = self._process, None
        if process is None:
            raise RuntimeError("the server's process is not running")
        with process:
            _pipe(process.stdin).close()
            try:
                seen: Seen = pickle.load(_pipe(process.stdout))  # noqa: S301  # from the process that we started
            except EOFError:
                raise RuntimeError(f"the server's process ended too early, with exit code {process.wait()}") from None
        return seen


def _started(settings: dict[str, Any]) -> tuple[subprocess.Popen[bytes], str]:
    """Start the process and return it with its URL, or raise `RuntimeError`."""
    # Not multiprocessing, which would run the caller's main module a second time in the new process. In a
    # session of its own, since a Ctrl+C in the terminal is the caller's, who ends this process.
    command = [sys.executable, "-c", f"from {__name__} import _serve; _serve()"]
    data = pickle.dumps(settings)
    try:
        process = subprocess.Popen(  # noqa: S603  # ourselves
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
    except OSError as error:
        raise RuntimeError(f"the server's process cannot be started with {sys.executable}: {error.strerror}") from None
    with ExitStack() as unless_started:
        unless_started.push(process)  # closes the pipes and waits for the end
        unless_started.callback(_close, process)
        url = _url_of(process, data)
        unless_started.pop_all()
    return process, url


def _url_of(process: subprocess.Popen[bytes], data: bytes) -> str:
    """Send the process its settings, and return the URL that it says."""
    patience = Timer(_START_UP, process.kill)
    patience.start()
    try:
        with suppress(BrokenPipeError):  # it has ended already
            _pipe(process.stdin).write(data)
            _pipe(process.stdin).flush()
        said = _pipe(process.stdout).readline(_LONGEST_URL)
    finally:
        patience.cancel()
        patience.join()
    if said.startswith(b"http://"):
        return said.decode("ascii").strip()
    process.kill()
    # What was said first is not ours to repeat: a program that is no Python may say anything.
    how = "said no URL" if said else f"ended at once, with exit code {process.wait()}"
    raise RuntimeError(f"the server's process {how}")


def _close(process: subprocess.Popen[bytes]) -> None:
    with suppress(BrokenPipeError):  # of what it did not read
        _pipe(process.stdin).close()


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
