"""aiohttp without its compiled parser, as on PyPy and on platforms without a wheel."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, json, sys
from ghl_voice_async import GHLVoiceError, RetryPolicy, VoiceAIClient

async def outcome(wire):
    requests = 0

    async def respond(reader, writer):
        nonlocal requests
        await reader.readuntil(b"\\r\\n\\r\\n")
        requests += 1
        writer.write(wire)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(respond, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        policy = RetryPolicy(max_attempts=2, backoff_base=0.001)
        async with VoiceAIClient("pit-made-up", base_url=url, retry=policy, rate_limit=None) as client:
            try:
                got = (await client.get_call_log("call-1", "location-1")).id
            except GHLVoiceError as error:
                got = type(error).__name__
        listening.close()
    return [got, requests]

async def main():
    print(json.dumps([await outcome(bytes.fromhex(wire)) for wire in json.load(sys.stdin)]))

asyncio.run(main())
"""
BODY = b'{"id": "call-1"}'
CHUNKED = b"Transfer-Encoding: chunked"
CASES: dict[str, tuple[list[bytes], bytes, str]] = {
    "length": ([b"Content-Length: 16"], BODY, "call-1"),
    "chunks": ([CHUNKED], b"10\r\n" + BODY + b"\r\n0\r\n\r\n", "call-1"),
    "no length": ([], BODY, "call-1"),
    "two lengths": ([b"Content-Length: 16", b"Content-Length: 25"], BODY + b', "more": 1', "TransportError"),
    "two lengths apart": ([b"content-length: 25", b"X: y", b"CONTENT-LENGTH: 16"], BODY, "TransportError"),
    "the same length twice": ([b"Content-Length: 16", b"Content-Length: 16"], BODY, "TransportError"),
    "a list of lengths": ([b"Content-Length: 16, 25"], BODY, "TransportError"),
    "a length with a sign": ([b"Content-Length: +16"], BODY, "TransportError"),
    "a length and chunks": ([b"Content-Length: 16", CHUNKED], b"10\r\n" + BODY + b"\r\n0\r\n\r\n", "TransportError"),
    "chunks and a length": ([CHUNKED, b"Content-Length: 16"], b"10\r\n" + BODY + b"\r\n0\r\n\r\n", "TransportError"),
    "a chunk with a sign": ([CHUNKED], b"+10\r\n" + BODY + b"\r\n0\r\n\r\n", "TransportError"),
    "a chunk in Python's hex": ([CHUNKED], b"0x10\r\n" + BODY + b"\r\n0\r\n\r\n", "TransportError"),
    "a chunk with an underscore": ([CHUNKED], b"1_0\r\n" + BODY + b"\r\n0\r\n\r\n", "TransportError"),
    "a short chunk": ([CHUNKED], b"f\r\n" + BODY + b"\r\n0\r\n\r\n", "TransportError"),
    "a chunk cut short": ([CHUNKED], b"20\r\n" + BODY, "TransportError"),
    "a name with a space": ([b"X y: a", b"Content-Length: 16"], BODY, "TransportError"),
    "a name in Latin-1": ([b"X\xfc: a", b"Content-Length: 16"], BODY, "TransportError"),
    "a folded header": ([b"X: a", b" b", b"Content-Length: 16"], BODY, "call-1"),
    "another transfer coding": ([b"Transfer-Encoding: gzip, chunked"], b"0\r\n\r\n", "TransportError 1"),
}


@pytest.mark.parametrize("without_extensions", ["", "1"], ids=["compiled", "in Python"])
def test_guarantee_8_both_parsers_of_aiohttp_give_the_same_results(without_extensions: str) -> None:
    wires = [b"\r\n".join([b"HTTP/1.1 200 OK", *headers, b"", body]).hex() for headers, body, _ in CASES.values()]
    environment = dict(os.environ) | ({"AIOHTTP_NO_EXTENSIONS": "1"} if without_extensions else {})
    environment.pop("PYTHONDEVMODE", None)  # which has the compiled parser refuse folded headers

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        check=True,
        env=environment,
        input=json.dumps(wires),
        text=True,
    )

    outcomes = dict(zip(CASES, json.loads(done.stdout), strict=True))
    expected = {name: [kind.split()[0], 2 if kind == "TransportError" else 1] for name, (_, _, kind) in CASES.items()}
    assert outcomes == expected
