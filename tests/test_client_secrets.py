from __future__ import annotations

import pickle
import traceback

import pytest
from watched import QUICK
from wire import CALL, LOCATION, TOKEN, answer, raw_server

import ghl_voice_async as ghl
from ghl_voice_async import VoiceAIClient


def chain(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *chain(error.__cause__), *chain(error.__context__)]


ECHO = answer(b'{"message": "bad token %b"}' % TOKEN.encode(), f"X-Echo: Bearer {TOKEN}", status=f"400 {TOKEN}")
MARKED_CALL = b'{"id": 7, "transcript": "marked-transcript", "fromNumber": "+15055550177"}'


@pytest.mark.parametrize(
    "wire",
    [
        ECHO,
        answer(MARKED_CALL),
        answer(MARKED_CALL[:-9]),
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + MARKED_CALL,
        b"garbage\r\n\r\n",
        None,
    ],
    ids=["echo", "mistyped", "half", "cut short", "garbage", "disconnect"],
)
async def test_the_token_and_the_call_are_in_no_error_chain_pickle_frame_or_log(
    wire: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    async with raw_server(wire) as raw, VoiceAIClient(TOKEN, base_url=raw.url, retry=QUICK) as client:
        with pytest.raises(ghl.GHLVoiceError) as caught:
            await client.get_call_log(CALL, LOCATION)
    error = caught.value
    assert not [link for link in chain(error)[1:] if not isinstance(link, ghl.GHLVoiceError)]
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [frame for frame in shown.stack if "test_client" not in frame.filename]
    everything = [str(error), repr(error), repr(vars(error)), str(pickle.dumps(error)), caplog.text]
    everything += [repr(frame.locals) for frame in frames]
    for marked in (TOKEN, "marked-transcript", "+15055550177"):
        assert marked not in "\n".join(everything)
