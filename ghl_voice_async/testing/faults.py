"""What can go wrong between a client and HighLevel, for a `VoiceAIServer` to play.

Each fault is frozen, so that it can be the key of a mapping of rates.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from aiohttp import web
from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BadJSON",
    "CutShort",
    "Fault",
    "Latency",
    "ResetBeforeAnswer",
    "ResetWithinAnswer",
    "Silence",
    "SlowDrip",
    "Status",
    "everyday_faults",
]

_AS_LONG_AS_A_TEST_COULD_LAST = 3600.0


class Fault(ABC):
    """One way in which an answer goes wrong."""

    @abstractmethod
    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Answer the request wrongly. `answer` is what it would have got."""


@frozen
class Status(Fault):
    """Answers with this status, and with the body and the headers given and no others of HighLevel's."""

    status: int
    body: str | bytes = ""
    headers: Mapping[str, str] = field(factory=dict, eq=False)

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:  # noqa: ARG002
        """Answer with the status."""
        body = self.body.encode() if isinstance(self.body, str) else self.body
        return web.Response(status=self.status, body=body, headers=self.headers)


@frozen
class BadJSON(Fault):
    """Answers 200 with a body that claims to be JSON and is not."""

    body: bytes = b'{"id": "507f1f77bcf86cd799439011", "summary": '

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:  # noqa: ARG002
        """Answer with the body."""
        return web.Response(body=self.body, content_type="application/json", headers=_own_headers(answer))


@frozen
class Latency(Fault):
    """Answers as it should, some seconds late."""

    seconds: float

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:  # noqa: ARG002
        """Wait, then answer."""
        await asyncio.sleep(self.seconds)
        return answer


@frozen
class Silence(Fault):
    """Takes the request and never answers; the connection stays open until the client leaves."""

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:  # noqa: ARG002
        """Say nothing, for an hour at the most."""
        await asyncio.sleep(_AS_LONG_AS_A_TEST_COULD_LAST)
        return answer


@frozen
class SlowDrip(Fault):
    """Answers as it should, a few bytes at a time."""

    seconds: float = 0.3
    """Seconds between two pieces."""
    size: int = 1
    """Bytes in a piece."""

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Drip the body."""
        body = _body(answer)
        drip = await _begin(request, answer)
        for start in range(0, len(body), self.size):
            await drip.write(body[start : start + self.size])
            await asyncio.sleep(self.seconds)
        await drip.write_eof()
        return drip


@frozen
class CutShort(Fault):
    """Closes the connection in an orderly way when only a part of the stated body is sent."""

    share: float = 0.5
    """How much of the body is sent, from 0 to 1."""

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Send a part of the body and close."""
        body = _body(answer)
        part = await _begin(request, answer)
        await part.write(body[: int(len(body) * self.share)])
        part.force_close()
        return part


@frozen
class ResetBeforeAnswer(Fault):
    """Resets the connection when the request has been read."""

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Reset."""
        _reset(request)
        return answer


@frozen
class ResetWithinAnswer(Fault):
    """Resets the connection when the headers and half of the body are sent."""

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Send half and reset."""
        body = _body(answer)
        part = await _begin(request, answer)
        await part.write(body[: len(body) // 2])
        _reset(request)
        return part


def everyday_faults(share: float) -> dict[Fault, float]:
    """Return rates for the `faults` of a server, such that this share of the requests goes wrong.

    Every fault in the mixture is one that passes, so that a client which tries again loses nothing.
    """
    kinds = (
        Status(503, "<html>Service Unavailable</html>"),
        Status(502),
        Status(500, '{"statusCode": 500, "message": "Internal server error"}'),
        ResetBeforeAnswer(),
        ResetWithinAnswer(),
        CutShort(),
    )
    return dict.fromkeys(kinds, share / len(kinds))


def _body(answer: web.Response) -> bytes:
    return answer.body if isinstance(answer.body, bytes) else b""


def _own_headers(answer: web.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.lower().startswith("x-ratelimit")}


async def _begin(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """Send the status and the headers of an answer, its length included."""
    response = web.StreamResponse(status=answer.status, headers=_own_headers(answer))
    response.content_type = "application/json"
    response.content_length = len(_body(answer))
    await response.prepare(request)
    return response


def _reset(request: web.Request) -> None:
    """Close with an RST instead of a FIN."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
