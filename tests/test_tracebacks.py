"""No traceback with local variables has the token, whoever prints it, and whatever went wrong."""

from __future__ import annotations

import asyncio
import copy
import inspect
import io
import json
import pickle
import reprlib
import traceback
from base64 import b64encode
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from _pytest._code.code import ExceptionInfo
from leaks import TESTS, chain, shown
from rich.console import Console
from rich.pretty import pretty_repr
from virtual_time import virtual_time
from watched import QUICK, WatchedClient
from wire import CALL, LOCATION, OK, answer, raw_server

import ghl_voice_async as ghl
from ghl_voice_async import RetryPolicy, VoiceAIClient
from ghl_voice_async.tracebacks import hide_frames

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

# As long as an access token of OAuth is. Printers cut it, and any piece of it is a leak.
LONG = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9." + "".join(f"SECRET{number:03d}" for number in range(30)) + ".SIGNATURE"
PIECES = ["eyJhbGciOiJSUzI1", *(f"SECRET{number:03d}" for number in range(30)), "SIGNATURE"]
REFUSED = answer(b'{"message": "no"}', status="401 Unauthorized")
ENCODED = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Encoding: %b\r\n\r\n{}" % LONG.encode()


def leave_out_tests(error: BaseException) -> None:
    """Take the frames of the tests out, which have the token, as a caller's do."""
    for link in chain(error):
        kept = None
        for entry in reversed([*walk(link)]):
            if not entry.tb_frame.f_code.co_filename.startswith(TESTS):
                kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
        link.__traceback__ = kept


def walk(error: BaseException) -> Iterator[TracebackType]:
    entry = error.__traceback__
    while entry is not None:
        yield entry
        entry = entry.tb_next


def printed(error: BaseException) -> dict[str, str]:
    """Print an error with its local variables in the ways that programs have."""
    values = [value for link in chain(error) for entry in walk(link) for value in entry.tb_frame.f_locals.values()]
    pytests = ExceptionInfo.from_exception(error).getrepr(
        showlocals=True, style="long", funcargs=True, truncate_locals=False
    )
    return {
        "traceback": "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()),
        "rich": " ".join(pretty_repr(value, max_length=10, max_string=80) for value in values),
        "pytest": str(pytests),
        "reprlib": " ".join(map(reprlib.repr, values)),
        # As cgitb does, which fails where an argument was deleted.
        "arguments": " ".join(
            inspect.formatargvalues(*inspect.getargvalues(entry.tb_frame))
            for link in chain(error)
            for entry in walk(link)
        ),
        "containers": " ".join(text for value in values for text in shown(value)),
        "text": f"{error} {error!r} {vars(error)}",
    }


def check_prints_no_piece(error: BaseException) -> None:
    leave_out_tests(error)
    for name, text in printed(error).items():
        assert [piece for piece in PIECES if piece.lower() in text.lower()] == [], name


@dataclass
class Tokens:
    """A provider whose repr shows its token."""

    token: str = LONG
    failure: BaseException | None = None

    async def get_token(self, location_id: str) -> str:
        if self.failure is not None:
            raise self.failure
        return self.token

    async def token_refused(self, location_id: str, token: str) -> None:
        assert token == LONG


@pytest.mark.parametrize("token", [LONG, Tokens()], ids=["fixed", "provided"])
@pytest.mark.parametrize(
    "wire",
    [REFUSED, answer(b"", status="500 Oops"), None, b"garbage\r\n\r\n", answer(b"[]"), answer(b"x"), ENCODED],
    ids=["401", "500", "disconnect", "garbage", "not a call log", "not JSON", "unknown encoding"],
)
async def test_no_failure_prints_a_piece_of_the_token(wire: bytes | None, token: Any) -> None:
    async with (
        raw_server(wire) as raw,
        WatchedClient(token, base_url=raw.url, rate_limit=None, retry=QUICK) as client,
    ):
        with pytest.raises(ghl.GHLVoiceError) as caught:
            await client.get_call_log(CALL, LOCATION)

    check_prints_no_piece(caught.value)


@asynccontextmanager
async def silent_server(start: bytes) -> AsyncIterator[str]:
    """Run a server that sends the start of a response, and no more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(start)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        listening.close()


HEAD = f"HTTP/1.1 200 OK\r\nX-Echo: {LONG}\r\nContent-Length: 9\r\n\r\n{{".encode()


@pytest.mark.parametrize("how", ["cancelled", "closed", "deadline", "timeout", "own timeout"])
@pytest.mark.parametrize("start", [b"", HEAD], ids=["no response", "half a response"])
@virtual_time
async def test_a_call_that_is_ended_prints_no_piece_of_the_token(start: bytes, how: str) -> None:
    async with (
        silent_server(start) as url,
        WatchedClient(LONG, base_url=url, rate_limit=None, retry=RetryPolicy(max_attempts=1), timeout=5.0) as client,
    ):
        call = asyncio.create_task(
            client.get_call_log(CALL, LOCATION, deadline=2.0 if how == "deadline" else None),
        )
        await asyncio.sleep(1)
        if how == "cancelled":
            call.cancel()
        if how == "closed":
            await client.aclose()
        with pytest.raises((ghl.GHLVoiceError, asyncio.CancelledError, TimeoutError)) as caught:
            async with asyncio.timeout(1 if how == "own timeout" else None):
                await call

    check_prints_no_piece(caught.value)


class Stop(BaseException):
    """What no `except Exception` catches."""


@pytest.mark.parametrize("kind", [ValueError, Stop, KeyError])
@pytest.mark.parametrize("where", ["middleware", "trace", "provider"])
async def test_what_a_callers_own_code_raises_prints_no_piece(where: str, kind: type[BaseException]) -> None:
    failure = kind("of the caller")

    async def fails(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        await handler(request)
        raise failure

    async def fails_in_trace(*_: object) -> None:
        raise failure

    trace = aiohttp.TraceConfig()
    if where == "trace":
        trace.on_request_headers_sent.append(fails_in_trace)
    async with (
        raw_server(OK) as raw,
        aiohttp.ClientSession(middlewares=[fails] if where == "middleware" else [], trace_configs=[trace]) as session,
        VoiceAIClient(
            Tokens(failure=failure if where == "provider" else None),
            base_url=raw.url,
            rate_limit=None,
            session=session,
        ) as client,
    ):
        with pytest.raises(kind) as caught:
            await client.get_call_log(CALL, LOCATION)

    assert caught.value is failure
    assert any(entry.tb_frame.f_code.co_name.startswith("fails") for entry in walk(failure)) or where == "provider"
    check_prints_no_piece(failure)


@pytest.mark.parametrize(
    "make",
    [
        lambda: VoiceAIClient(LONG, base_url="http://example.com"),
        lambda: VoiceAIClient(LONG, api_version=""),
        lambda: VoiceAIClient("x", base_url=f"https://user:{LONG}@example.com"),
        lambda: VoiceAIClient("x", base_url=f"https://example.com/?token={LONG}"),
        lambda: VoiceAIClient("x", base_url=f"https://[{LONG}"),
        lambda: VoiceAIClient("x", base_url=[LONG]),  # type: ignore[arg-type]  # the point
        lambda: VoiceAIClient(Tokens(), timeout=-1),
        lambda: VoiceAIClient(Tokens(), retry=0),  # type: ignore[arg-type]  # the point
        lambda: VoiceAIClient(LONG.encode()),  # type: ignore[arg-type]  # the point
        lambda: VoiceAIClient([LONG]),  # type: ignore[arg-type]  # the point
        lambda: VoiceAIClient(f"{LONG}\n"),
        lambda: VoiceAIClient(f"{LONG} é"),
    ],
)
def test_guarantee_24_a_refused_argument_prints_no_piece(make: Callable[[], VoiceAIClient]) -> None:
    with pytest.raises(ghl.InvalidInputError) as caught:
        make()

    check_prints_no_piece(caught.value)


@pytest.mark.parametrize("token", [LONG.encode(), None, f"{LONG}\n", [LONG]])
async def test_a_bad_token_of_a_provider_prints_no_piece(token: Any) -> None:
    async with WatchedClient(Tokens(token), base_url="http://127.0.0.1:9", rate_limit=None) as client:
        with pytest.raises(ghl.InvalidInputError) as caught:
            await client.get_call_log(CALL, LOCATION)

    check_prints_no_piece(caught.value)


def b64(text: str) -> str:
    return b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "wire",
    [
        answer(json.dumps({"message": LONG}).encode(), status="400 Bad"),
        answer(json.dumps({"message": b64(f"Bearer {LONG}")}).encode(), status="400 Bad"),
        answer(b64(LONG).encode(), status="400 Bad"),
        answer(LONG.encode().hex().encode(), status="500 Bad"),
        answer(b"x" * 2000 + LONG.encode(), status="500 Bad"),
        answer(b"", status=f"500 {LONG}"),
        answer(b"", f"Location: https://example.com/?token={LONG}", status="302 Found"),
        answer(b"", f"X-Echo: Bearer {LONG}", status="400 Bad"),
        answer(b"", f"{LONG}: x", status="400 Bad"),
        answer(b"", f"{LONG}: x", f"{LONG}-2: y", status="400 Bad"),
        ENCODED,
    ],
    ids=[
        "message",
        "base64 message",
        "base64 body",
        "hexadecimal body",
        "where the body is cut",
        "reason",
        "Location",
        "header",
        "header name",
        "two header names",
        "Content-Encoding",
    ],
)
async def test_no_echo_stays_in_an_error_or_its_pickle_or_its_copies(wire: bytes) -> None:
    async with (
        raw_server(wire) as raw,
        WatchedClient(LONG, base_url=raw.url, rate_limit=None, retry=RetryPolicy(max_attempts=1)) as client,
    ):
        with pytest.raises(ghl.GHLVoiceError) as caught:
            await client.get_call_log(CALL, LOCATION)

    check_prints_no_piece(caught.value)
    for error in (caught.value, copy.copy(caught.value), copy.deepcopy(caught.value)):
        kept = pickle.dumps(error).decode("latin-1") + repr(vars(error))
        assert [piece for piece in PIECES if piece.lower() in kept.lower()] == []
        assert b64(LONG)[8:24] not in kept
        assert LONG.encode().hex()[:16] not in kept


async def test_no_repr_of_the_client_or_its_parts_shows_the_token() -> None:
    async with raw_server(OK) as raw, WatchedClient(Tokens(), base_url=raw.url, rate_limit=None) as client:
        await client.get_call_log(CALL, LOCATION)
        file = io.StringIO()
        Console(file=file, width=400).print(client._session, client._session.transport, client)
        texts = [repr(client), repr(vars(client)), repr(client._session), file.getvalue()]

    assert [text for text in texts if "SECRET" in text] == []


def raised(work: Callable[[], Awaitable[object] | object]) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # of any kind
        work()
    return caught.value


def test_frames_are_hidden_in_the_whole_chain_of_an_error() -> None:
    scope: dict[str, Any] = {"__name__": "aiohttp.client"}
    exec("def fail(error):\n    token = 'pit-hidden'\n    raise error", scope)
    cause, context, member = (raised(lambda error=error: scope["fail"](error)) for error in map(ValueError, "abc"))  # type: ignore[misc]  # a default makes it
    cause.__context__ = context
    context.__cause__ = cause  # a ring
    group = raised(lambda: scope["fail"](BaseExceptionGroup("several", [member])))
    group.__cause__ = cause

    hide_frames(group)

    for link in (group, cause, context, member):
        names = [entry.tb_frame.f_globals["__name__"] for entry in walk(link)]
        assert names
        assert "aiohttp.client" not in names


def test_an_error_that_was_raised_in_libraries_alone_has_no_traceback() -> None:
    error = ValueError("x")

    hide_frames(error)

    assert error.__traceback__ is None


async def test_an_unexpected_error_notes_the_frames_that_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(aiohttp.StreamReader, "read_nowait")  # as if aiohttp had become another
    async with raw_server(OK) as server, WatchedClient(LONG, base_url=server.url, retry=QUICK) as client:
        with pytest.raises(AttributeError) as caught:
            await client.get_call_log(CALL, LOCATION)

    (note,) = caught.value.__notes__
    assert note.startswith("Hidden frames, which hold the token: ghl_voice_async.session:")
    assert " in send, ghl_voice_async.transport:" in note
    leave_out_tests(caught.value)
    check_prints_no_piece(caught.value)


def test_an_error_of_the_callers_own_code_gets_no_note() -> None:
    def work() -> None:
        raise KeyError("theirs")

    error = raised(work)
    hide_frames(error)

    assert not hasattr(error, "__notes__")
