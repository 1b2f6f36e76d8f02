"""What can go wrong between a client and HighLevel, for a `VoiceAIServer` to play.

Each fault is frozen, so that it can be the key of a mapping of rates.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal, get_args

from aiohttp import web
from attrs import Attribute, field, frozen
from attrs.validators import ge, in_, instance_of, le, lt

__all__ = [
    "BadJSON",
    "CloseAfterAnswer",
    "CloseBeforeAnswer",
    "CutShort",
    "Fault",
    "Latency",
    "Oversized",
    "Raw",
    "ResetBeforeAnswer",
    "ResetWithinAnswer",
    "Silence",
    "SlowDrip",
    "Status",
    "StrayBytes",
    "WithHeaders",
    "everyday_faults",
]

Framing = Literal["length", "chunked", "close", "gzip"]

_AS_LONG_AS_A_TEST_COULD_LAST = 3600.0
_PIECE = 65536


def _check_seconds(_: object, attribute: Attribute[float], value: float) -> None:
    if not 0 <= value <= _AS_LONG_AS_A_TEST_COULD_LAST:
        raise ValueError(f"{attribute.name} must be a number from 0 to {_AS_LONG_AS_A_TEST_COULD_LAST:g}, not {value}")


class Fault(ABC):
    """One way in which an answer goes wrong."""

    @abstractmethod
    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Answer the request wrongly. `answer` is what it would have got."""

    def status_of(self, answer: web.Response) -> int | None:  # noqa: ARG002  # for those that have one
        """Return the status that the client gets with a whole answer, or None when it gets none."""
        return None


@frozen
class Status(Fault):
    """Answers with this status, and with the body and the headers given and no others of HighLevel's."""

    status: int = field(validator=[instance_of(int), ge(200), le(599)])
    body: str | bytes = field(default="", validator=instance_of((str, bytes)))
    headers: Mapping[str, str] = field(factory=dict, eq=False)

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:  # noqa: ARG002
        """Answer with the status."""
        body = self.body.encode() if isinstance(self.body, str) else self.body
        return web.Response(status=self.status, body=body, headers=self.headers)

    def status_of(self, answer: web.Response) -> int:  # noqa: ARG002
        """Return the status."""
        return self.status


@frozen
class BadJSON(Fault):
    """Answers 200 with a body that claims to be JSON and is not."""

    body: bytes = field(default=b'{"id": "507f1f77bcf86cd799439011", "summary": ', validator=instance_of(bytes))

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:  # noqa: ARG002
        """Answer with the body."""
        return web.Response(body=self.body, content_type="application/json", headers=_own_headers(answer))

    def status_of(self, answer: web.Response) -> int:  # noqa: ARG002
        """Return 200."""
        return 200


class _RightInTheEnd(Fault):
    """A fault after which the client has the whole of what it would have got."""

    def status_of(self, answer: web.Response) -> int:
        """Return the status of the answer."""
        return answer.status


@frozen
class WithHeaders(_RightInTheEnd):
    """Answers as it should, but for these headers: they replace those of their names, and "" takes one away."""

    headers: Mapping[str, str] = field(eq=False)

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:  # noqa: ARG002
        """Change the headers, then answer."""
        for name, value in self.headers.items():
            answer.headers.pop(name, None)
            if value:
                answer.headers[name] = value
        return answer


@frozen
class Latency(_RightInTheEnd):
    """Answers as it should, some seconds late."""

    seconds: float = field(validator=_check_seconds)

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
class SlowDrip(_RightInTheEnd):
    """Answers as it should, a few bytes at a time."""

    seconds: float = field(default=0.3, validator=_check_seconds)
    """Seconds between two pieces."""
    size: int = field(default=1, validator=[instance_of(int), ge(1)])
    """Bytes in a piece."""

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Drip the body."""
        body = _body(answer)
        drip = await _begin(request, answer, len(body))
        for start in range(0, len(body), self.size):
            await drip.write(body[start : start + self.size])
            await asyncio.sleep(self.seconds)
        await drip.write_eof()
        return drip


@frozen
class CutShort(Fault):
    """Closes the connection in an orderly way when only a part of the body is sent."""

    share: float = field(default=0.5, validator=[instance_of((int, float)), ge(0), lt(1)])
    """How much of the body is sent, from 0 to less than 1."""
    framing: Framing = field(default="length", validator=in_(get_args(Framing)))
    """What the answer says of its end: its length, chunks, or nothing, plain (`close`) or as a gzip stream (`gzip`)."""

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Send a part of the body and close."""
        body = _body(answer)
        if self.framing == "gzip":
            body = gzip.compress(body)
        part = body[: int(len(body) * self.share)]
        match self.framing:
            case "length":
                _send(request, answer, part, f"Content-Length: {len(body)}")
            case "chunked":
                _send(request, answer, b"%x\r\n" % len(body) + part, "Transfer-Encoding: chunked")
            case "gzip":
                _send(request, answer, part, "Content-Encoding: gzip")
            case _:
                _send(request, answer, part)
        return _close(request, answer)


@frozen
class Oversized(Fault):
    """Answers 200 with a body of this many zeros, as they are or as a much smaller gzip stream."""

    size: int = field(validator=[instance_of(int), ge(1)])
    """Bytes, unfolded."""
    gzip: bool = False

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Send the zeros, or as many of them as the client takes."""
        headers = {"Content-Encoding": "gzip"} if self.gzip else {}
        stream = await _begin(request, answer, None if self.gzip else self.size, headers)
        fold = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
        for start in range(0, self.size, _PIECE):
            piece = bytes(min(_PIECE, self.size - start))
            await stream.write(fold.compress(piece) if self.gzip else piece)
        if self.gzip:
            await stream.write(fold.flush())
        await stream.write_eof()
        return stream

    def status_of(self, answer: web.Response) -> int:  # noqa: ARG002
        """Return 200."""
        return 200


@frozen
class Raw(Fault):
    """Sends these very bytes in place of an answer, and closes the connection."""

    data: bytes = field(validator=instance_of(bytes))

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Send the bytes."""
        _write(request, self.data)
        return _close(request, answer)


@frozen
class StrayBytes(_RightInTheEnd):
    """Answers as it should, with more bytes right behind the answer, and leaves the connection open."""

    data: bytes = field(default=b"stray", validator=instance_of(bytes))

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Send both at once."""
        body = _body(answer)
        _send(request, answer, body + self.data, f"Content-Length: {len(body)}")
        await asyncio.sleep(_AS_LONG_AS_A_TEST_COULD_LAST)
        return answer


@frozen
class CloseAfterAnswer(_RightInTheEnd):
    """Answers as it should, and closes the connection, although it did not say so."""

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Answer and close."""
        body = _body(answer)
        _send(request, answer, body, f"Content-Length: {len(body)}")
        return _close(request, answer)


@frozen
class CloseBeforeAnswer(Fault):
    """Closes the connection in an orderly way when the request has been read."""

    async def play(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Close."""
        return _close(request, answer)


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
        part = await _begin(request, answer, len(body))
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


async def _begin(
    request: web.Request, answer: web.Response, length: int | None, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Send the status and the headers of an answer whose body is still to come."""
    response = web.StreamResponse(status=answer.status, headers={**_own_headers(answer), **(headers or {})})
    response.content_type = "application/json"
    response.content_length = length
    await response.prepare(request)
    return response


def _send(request: web.Request, answer: web.Response, body: bytes, *framing: str) -> None:
    """Write an answer without aiohttp, which would not let the framing and the body disagree."""
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}", "Content-Type: application/json", *framing]
    lines += [f"{name}: {value}" for name, value in _own_headers(answer).items()]
    _write(request, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def _write(request: web.Request, data: bytes) -> None:
    if request.transport is not None:
        request.transport.write(data)


def _close(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """Close with a FIN. What is returned then goes nowhere."""
    if request.transport is not None:
        request.transport.close()
    return answer


def _reset(request: web.Request) -> None:
    """Close with an RST instead of a FIN."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
