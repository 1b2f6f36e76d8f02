"""A Redis for trying the worker out: on a free port of this machine, and gone with all that is in it afterwards."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

MISSING = "there is no redis-server here; Debian's is installed by: apt-get install redis-server"


@contextmanager
def running_redis_server() -> Iterator[str]:
    """Run `redis-server` for as long as the `with` block lasts, and give its URL."""
    port = free_port()
    with TemporaryDirectory() as folder, running_redis_server_at(port, folder):
        yield f"redis://127.0.0.1:{port}"


@contextmanager
def running_redis_server_at(port: int, folder: str) -> Iterator[None]:
    """Run a `redis-server` that finds in the folder what the last one there had."""
    program = shutil.which("redis-server")
    if program is None:
        raise FileNotFoundError(MISSING)
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", folder]
    command += ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
    # In a session of its own, since a Ctrl+C in the terminal is for the program that uses it.
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:  # noqa: S603  # found above
        try:
            _wait_until_ready(process)
            yield
        finally:
            process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port: int = unused.getsockname()[1]
    return port


def _wait_until_ready(process: subprocess.Popen[bytes]) -> None:
    said = []
    for line in process.stdout or []:
        if b"Ready to accept connections" in line:
            return
        said.append(line.decode())
    raise RuntimeError(f"redis-server ended at once: {''.join(said)}")
