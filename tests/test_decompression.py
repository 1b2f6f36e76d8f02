from __future__ import annotations

import gzip
import tracemalloc
import zlib
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghl_voice_async import TransportError
from ghl_voice_async.decompression import Decompressor, content_codings, transfer_codings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LIMIT = 1024 * 1024
compress = partial(gzip.compress, mtime=0)
TEXT = b'{"id": "call-1", "transcript": "%b"}' % (b"Good morning. " * 40)
MEMBER = compress(b"")


def bare_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": compress, "deflate": zlib.compress}


def decompressed(codings: Sequence[str], *chunks: bytes, limit: int = LIMIT) -> bytes:
    decompressor = Decompressor(codings, limit)
    body = b"".join(piece for chunk in chunks for piece in decompressor.pieces(chunk))
    decompressor.finish()
    return body


def shown(value: str | bytes | list[str]) -> str | None:
    """Make the id of a parameter, without the bytes."""
    if isinstance(value, str):
        return None
    return f"{len(value)} bytes" if isinstance(value, bytes) else "+".join(value)


def in_bytes(data: bytes) -> list[bytes]:
    return [data[n : n + 1] for n in range(len(data))]


@pytest.mark.parametrize(
    ("values", "codings"),
    [
        ([], []),
        ([""], []),
        ([" , ,\t"], []),
        (["identity"], []),
        (["gzip"], ["gzip"]),
        (["X-GZip"], ["gzip"]),
        ([", GZIP ,"], ["gzip"]),
        (["identity, gzip"], ["gzip"]),
        (["gzip,Identity , deflate"], ["gzip", "deflate"]),
        (["deflate", "gzip"], ["deflate", "gzip"]),
    ],
)
def test_content_encoding_is_a_list_in_any_number_of_headers(values: list[str], codings: list[str]) -> None:
    assert content_codings(values) == codings


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (["br"], "'br'"),
        (["gzip, ZSTD"], "'zstd'"),
        (["pit-marked"], "an unknown one"),
        (["gzip gzip"], "an unknown one"),
    ],
)
def test_a_coding_that_was_not_asked_for_is_refused_without_its_words(values: list[str], shown: str) -> None:
    with pytest.raises(TransportError) as caught:
        content_codings(values)

    assert str(caught.value) == f"the body has a Content-Encoding that was not asked for: {shown}"
    assert not caught.value.retryable


def test_more_than_five_content_codings_are_refused() -> None:
    assert content_codings(["gzip"] * 5) == ["gzip"] * 5

    with pytest.raises(TransportError, match="more than 5 content codings") as caught:
        content_codings(["gzip, gzip"] * 3)

    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("values", "codings"), [([], []), (["Chunked"], ["chunked"]), (["identity, chunked"], ["chunked"])]
)
def test_transfer_encoding_is_a_list_too(values: list[str], codings: list[str]) -> None:
    assert transfer_codings(values) == codings


@pytest.mark.parametrize("values", [["gzip, chunked"], ["gzip", "chunked"], ["xchunked"]])
def test_a_transfer_coding_that_was_not_asked_for_is_refused(values: list[str]) -> None:
    with pytest.raises(TransportError, match="Transfer-Encoding that was not asked for") as caught:
        transfer_codings(values)

    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("codings", "data"),
    [
        ([], TEXT),
        (["gzip"], compress(TEXT)),
        (["gzip"], compress(TEXT[:9]) + compress(TEXT[9:50]) + compress(TEXT[50:])),
        (["gzip"], compress(TEXT) + MEMBER),
        (["gzip"], MEMBER + compress(TEXT)),
        (["gzip"], compress(TEXT) + bytes(600)),
        (["gzip"], compress(TEXT[:9]) + bytes(3) + compress(TEXT[9:]) + b"\0"),
        (["deflate"], zlib.compress(TEXT)),
        (["deflate"], zlib.compress(TEXT, 0)),
        (["deflate"], zlib.compress(TEXT, 9) + bytes(7)),
        (["deflate"], bare_deflate(TEXT)),
        (["deflate"], bare_deflate(TEXT) + bytes(7)),
        (["gzip", "gzip"], compress(compress(TEXT))),
        (["deflate", "gzip"], compress(zlib.compress(TEXT))),
        (["gzip", "deflate"], bare_deflate(compress(TEXT))),
        (["gzip"] * 5, compress(compress(compress(compress(compress(TEXT)))))),
    ],
    ids=shown,
)
def test_a_body_is_decompressed_however_it_arrives(codings: list[str], data: bytes) -> None:
    assert decompressed(codings, data) == TEXT
    assert decompressed(codings, *in_bytes(data)) == TEXT


@given(st.lists(st.sampled_from(sorted(COMPRESS)), max_size=5), st.binary(max_size=500), st.integers(1, 40))
def test_codings_are_undone_in_the_reverse_order(codings: list[str], body: bytes, step: int) -> None:
    data = body
    for coding in codings:
        data = COMPRESS[coding](data)

    assert decompressed(codings, *(data[n : n + step] for n in range(0, len(data), step))) == body


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=6), st.integers(0, 5), st.integers(1, 40))
def test_gzip_may_have_any_members_with_padding_between(parts: list[bytes], padding: int, step: int) -> None:
    data = b"".join(compress(part) + bytes(padding) for part in parts)

    assert decompressed(["gzip"], *(data[n : n + step] for n in range(0, len(data), step))) == b"".join(parts)


@pytest.mark.parametrize("size", [65535, 65536, 65537, 200_000])
def test_a_bare_stream_that_fills_its_last_piece_is_read_whole(size: int) -> None:
    """zlib may have taken all of the input while a part of the output is still inside."""
    assert len(decompressed(["deflate"], bare_deflate(bytes(size)))) == size


@pytest.mark.parametrize("codings", [["gzip"], ["deflate"], ["gzip", "gzip"]])
def test_nothing_at_all_is_an_empty_body(codings: list[str]) -> None:
    assert decompressed(codings) == b""


@pytest.mark.parametrize(
    ("codings", "data"),
    [
        (["gzip"], compress(TEXT)),
        (["deflate"], zlib.compress(TEXT)),
        (["deflate"], bare_deflate(TEXT)),
        (["gzip", "gzip"], compress(compress(TEXT))),
    ],
    ids=shown,
)
def test_guarantee_14_a_stream_that_ends_anywhere_too_early_is_told(codings: list[str], data: bytes) -> None:
    for end in range(1, len(data)):
        with pytest.raises(TransportError, match="was cut short") as caught:
            decompressed(codings, data[:end])
        assert caught.value.retryable


def test_guarantee_14_an_inner_stream_without_its_end_is_told() -> None:
    with pytest.raises(TransportError, match="its gzip stream has no end"):
        decompressed(["gzip", "gzip"], compress(compress(TEXT)[:-1]))


@pytest.mark.parametrize("cut", [1, 2, 10])
def test_guarantee_14_a_second_member_that_is_cut_is_told(cut: int) -> None:
    with pytest.raises(TransportError, match="was cut short"):
        decompressed(["gzip"], compress(TEXT) + compress(TEXT)[:cut])


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", b"not gzip at all"),
        ("gzip", b"\0" + compress(TEXT)),
        ("gzip", zlib.compress(TEXT)),
        ("gzip", compress(TEXT) + b"stray"),
        ("gzip", compress(TEXT) + bytes(5) + b"stray"),
        ("gzip", compress(TEXT)[:-8] + bytes(8)),
        ("gzip", compress(TEXT) + b"\x1f\0\x8b" + compress(TEXT)[2:]),
        ("deflate", b"\xff\xff not deflate"),
        ("deflate", zlib.compress(TEXT) + b"stray"),
        ("deflate", bare_deflate(TEXT) + b"stray"),
        ("deflate", zlib.compress(TEXT) + zlib.compress(TEXT)),
    ],
    ids=shown,
)
def test_a_damaged_stream_is_told_and_worth_a_retry(coding: str, data: bytes) -> None:
    for chunks in ([data], in_bytes(data)):
        with pytest.raises(TransportError) as caught:
            decompressed([coding], *chunks)
        assert str(caught.value) == f"the body is not valid {coding}"
        assert caught.value.retryable
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("codings", "data"),
    [
        (["gzip"], MEMBER * (3 * LIMIT // len(MEMBER))),
        (["gzip"], compress(TEXT) + bytes(3 * LIMIT)),
        (["deflate"], b"\0\0\0\xff\xff" * (3 * LIMIT // 5)),
        (["gzip", "gzip"], compress(MEMBER * (3 * LIMIT // len(MEMBER)))),
        (["gzip", "gzip"], compress(compress(TEXT) + bytes(3 * LIMIT))),
    ],
    ids=["empty members", "padding", "empty blocks", "members inside", "padding inside"],
)
def test_guarantee_20_input_that_decompresses_to_nothing_has_a_limit(codings: list[str], data: bytes) -> None:
    with pytest.raises(TransportError, match=f"larger than the limit of {LIMIT} bytes") as caught:
        decompressed(codings, data)

    assert not caught.value.retryable


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_guarantee_20_a_bomb_gives_small_pieces_and_takes_little_memory(layers: int) -> None:
    data = bytes(20 * LIMIT)
    for _ in range(layers):
        data = compress(data)
    pieces = Decompressor(["gzip"] * layers, LIMIT).pieces(data)
    tracemalloc.start()
    try:
        largest = max(len(next(pieces)) for _ in range(15))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert largest <= 64 * 1024
    assert peak < LIMIT


@pytest.mark.parametrize("data", [compress(MEMBER * 500), MEMBER * 500], ids=["inner", "outer"])
def test_empty_members_of_either_layer_give_a_piece_each(data: bytes) -> None:
    pieces = Decompressor(["gzip", "gzip"], LIMIT).pieces(data)

    assert list(pieces) == [b""] * 500
