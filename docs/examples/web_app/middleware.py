"""What holds for every request: its host, the size of its body, and the headers of its response."""

import os
import re

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web_app.problems import answer

MAX_BODY = 4_000_000  # bytes; ten thousand of the longest ids have 2.6 million
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


THIS_MACHINE = "localhost,127.0.0.1,[::1]"
PORT = re.compile(":[0-9]*$")


class KnownHosts:
    """Refuses requests for hosts that are not named in `ALLOWED_HOSTS`.

    Otherwise any page that a visitor opens could read the calls: its owner lets its name lead to this machine.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_known_host(scope["headers"]):
            refusal = HTTPException(421, "This application does not answer for this host")
            await answer(Request(scope), refusal)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def is_known_host(headers: list[tuple[bytes, bytes]]) -> bool:
    hosts = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
    known = os.environ.get("ALLOWED_HOSTS", THIS_MACHINE).lower().split(",")
    return len(hosts) == 1 and PORT.sub("", hosts[0]) in map(str.strip, known)


class BodyLimit:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_BODY:
                raise HTTPException(413, f"A request may have {MAX_BODY} bytes at most")
            return message

        await self._app(scope, counted, send)


class SafeHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if not scope["path"].startswith("/static/"):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self._app(scope, receive, with_headers)
