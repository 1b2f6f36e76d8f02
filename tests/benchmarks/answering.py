"""A server that is not the bottleneck: nginx where there is one, or else a few lines that do not read what they answer.

Run as a program, this is the second of these. `answering` starts either in a process of its own.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["answering"]

# As the API sends them, but for the limits, which are never reached.
HEADERS = {
    "Content-Type": "application/json",
    "X-RateLimit-Max": "10000000",
    "X-RateLimit-Interval-Milliseconds": "10000",
    "X-RateLimit-Remaining": "9999999",
    "X-RateLimit-Limit-Daily": "100000000",
    "X-RateLimit-Daily-Remaining": "99999999",
}
NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off; etag off; sendfile off; open_file_cache max=10; default_type application/json;
    keepalive_requests 1000000000; keepalive_timeout 1d;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {folder};
        location ~ ^/([0-9]+)/voice-ai/ {{ {headers} try_files /$1.json =404; }}
    }}
}}
"""


@contextmanager
def answering(payloads: Mapping[str, bytes]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what serves, and the base URL under which each of the payloads is the answer to every request."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker is another user
        for number, body in enumerate(payloads.values()):
            (folder / f"{number}.json").write_bytes(body)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        nginx = shutil.which("nginx")
        if nginx:
            headers = " ".join(f"add_header {name} {value};" for name, value in HEADERS.items() if name[0] == "X")
            (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, headers=headers))
            command = [nginx, "-p", name, "-c", str(folder / "nginx.conf")]
        else:
            command = [sys.executable, __file__, name, str(port)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            until_it_listens(port)
            urls = {payload: f"http://127.0.0.1:{port}/{number}" for number, payload in enumerate(payloads)}
            yield "nginx" if nginx else "a raw asyncio protocol", urls
        finally:
            process.terminate()
            process.wait()


def until_it_listens(port: int) -> None:
    for _ in range(200):
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("the server does not listen")


class Answering(asyncio.Protocol):
    def __init__(self, answers: Mapping[bytes, bytes]) -> None:
        self.answers = answers
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        for number in re.findall(rb"^GET /([0-9]+)/", data, re.MULTILINE):
            self.transport.write(self.answers[number])


async def main(bodies: Mapping[bytes, bytes], port: int) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    answers = {
        number: f"HTTP/1.1 200 OK\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        for number, body in bodies.items()
    }
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: Answering(answers), "127.0.0.1", port, backlog=4096) as server:
        await server.serve_forever()


if __name__ == "__main__":
    given = {file.stem.encode(): file.read_bytes() for file in Path(sys.argv[1]).glob("*.json")}
    asyncio.run(main(given, int(sys.argv[2])))
