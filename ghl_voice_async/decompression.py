"""Read which codings a body has, and decompress it piece by piece, against a limit on every size that it grows to."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ghl_voice_async.errors import TransportError

__all__ = ["Decompressor", "body_too_large", "content_codings", "transfer_codings"]

_FORMATS: Final = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_NAMED_IN_ERRORS: Final = {"br", "compress", "dcb", "dcz", "x-compress", "zstd"}
_MOST_CODINGS: Final = 5
_INPUT_STEP: Final = 16 * 1024  # zlib copies the rest of its input at each end of a member
_LARGEST_PIECE: Final = 64 * 1024


def content_codings(values: Iterable[str]) -> list[str]:
    """Read all `Content-Encoding` headers, and return the codings in the order in which they were applied.

    Raises `TransportError` for a coding that was not asked for. Its text holds no words of the server, except a
    registered name.
    """
    codings = []
    for name in _elements(values):
        if name not in _FORMATS:
            shown = repr(name) if name in _NAMED_IN_ERRORS else "an unknown one"
            raise TransportError(f"the body has a Content-Encoding that was not asked for: {shown}", retryable=False)
        codings.append(_FORMATS[name])
    if len(codings) > _MOST_CODINGS:
        raise TransportError(f"the body has more than {_MOST_CODINGS} content codings", retryable=False)
    return codings


def transfer_codings(values: Iterable[str]) -> list[str]:
    """Read all `Transfer-Encoding` headers, or raise `TransportError` for a coding that was not asked for."""
    codings = _elements(values)
    if set(codings) - {"chunked"}:
        raise TransportError("the body has a Transfer-Encoding that was not asked for", retryable=False)
    return codings


def _elements(values: Iterable[str]) -> list[str]:
    """Split headers that make one list. Empty elements are ignored (RFC 9110, section 5.6.1), as is `identity`."""
    names = (name.strip(" \t").lower() for value in values for name in value.split(","))
    return [name for name in names if name not in {"", "identity"}]


def body_too_large(limit: int) -> TransportError:
    """Make the error of a body that is larger than it may be."""
    return TransportError(f"the body is larger than the limit of {limit} bytes", retryable=False)


class Decompressor:
    """Undoes the content codings of one body.

    Every method raises `TransportError`: retryable for a damaged stream, and not retryable for one that is too large.
    """

    def __init__(self, codings: Sequence[str], limit: int) -> None:
        self._layers = [_Layer(coding, limit) for coding in reversed(codings)]

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Give what comes out of `data`, in pieces of bounded size. A piece may be empty.

        Little work is done between two pieces, so that the caller can let others run.
        """
        yield from _through(self._layers, data)

    def finish(self) -> None:
        """Raise `TransportError` where a stream has begun and has no end."""
        for layer in self._layers:
            layer.finish()


def _through(layers: Sequence[_Layer], data: bytes) -> Iterator[bytes]:
    if not (layers and data):
        yield data
        return
    for piece in layers[0].pieces(data):
        yield from _through(layers[1:], piece)


class _Layer:
    """Undoes one coding. Gzip may have several members, and zero bytes may follow an end as padding."""

    def __init__(self, coding: str, limit: int) -> None:
        self._coding = coding
        self._limit = limit
        self._taken = 0
        self._start = b""
        self._stream: zlib._Decompress | None = None
        self._has_ended = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        # An endless run of empty members or blocks decodes to nothing. So the input has a limit of its own.
        self._taken += len(data)
        if self._taken > 2 * self._limit:
            raise body_too_large(self._limit)
        for start in range(0, len(data), _INPUT_STEP):
            yield from self._decompress(data[start : start + _INPUT_STEP])

    def _decompress(self, data: bytes) -> Iterator[bytes]:
        is_more_due = False
        while data or is_more_due:
            stream, data = self._open(data)
            if stream is None:
                return
            try:
                piece = stream.decompress(data, _LARGEST_PIECE)
            except zlib.error:
                piece = None
            if piece is None:  # raised here, so that the error of zlib does not become its context
                raise TransportError(f"the body is not valid {self._coding}")
            if stream.eof:
                self._stream, self._has_ended = None, True
            data = stream.unused_data if stream.eof else stream.unconsumed_tail
            # A full piece may leave output inside zlib although no input is left.
            is_more_due = not stream.eof and len(piece) == _LARGEST_PIECE
            yield piece

    def _open(self, data: bytes) -> tuple[zlib._Decompress | None, bytes]:
        """Return the stream that `data` belongs to, or None where more is needed to know it, and the data for it."""
        if self._stream is not None:
            return self._stream, data
        if self._has_ended and not self._start:
            data = data.lstrip(b"\0")
            if data and self._coding == "deflate":
                raise TransportError("the body is not valid deflate")
        data = self._start + data
        self._start = b""
        if len(data) < 2:
            self._start = data
            return None, b""
        self._stream = zlib.decompressobj(_window_bits(self._coding, data))
        return self._stream, data

    def finish(self) -> None:
        if self._stream is not None or self._start:
            raise TransportError(f"the body was cut short: its {self._coding} stream has no end")


def _window_bits(coding: str, start: bytes) -> int:
    """Choose the format of zlib: gzip, or for deflate the zlib format of RFC 9110 or the bare stream that some send."""
    if coding == "gzip":
        return zlib.MAX_WBITS | 16
    is_zlib = start[0] & 0x0F == 8 and int.from_bytes(start[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
