"""What type checkers must refuse: each `type: ignore` stands for an error, and one that is not needed is an error, too.

Nothing of it is run. What they let pass although it is wrong is at the end.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import TYPE_CHECKING

import ghl_voice_async
from ghl_voice_async import (
    CallEvent,
    CallLog,
    CallLogResult,
    CallRef,
    DecodeError,
    GHLVoiceError,
    Hook,
    NotFoundError,
    Permit,
    RateLimit,
    RateLimiter,
    RetryPolicy,
    TokenProvider,
    VoiceAIClient,
    WindowRateLimiter,
    decode_call_log,
    encode_call_log,
)
from ghl_voice_async.testing import CutShort, Fault, Status, VoiceAIServer, make_call_log, running_in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping


def misspell(client: VoiceAIClient, call: CallLog) -> None:
    ghl_voice_async.VoiceAiClient  # type: ignore[attr-defined]
    client.get_call_logs  # type: ignore[attr-defined]
    call.executedCallActions  # type: ignore[attr-defined]
    call.translatedTranscript  # type: ignore[attr-defined]  # it is in `extra`


def make_clients(tokens: TokensWithoutRefresh, limiter: LimiterThatBlocks) -> None:
    VoiceAIClient("pit", "http://127.0.0.1")  # type: ignore[call-arg]
    VoiceAIClient(5)  # type: ignore[arg-type]
    VoiceAIClient(tokens)  # type: ignore[arg-type]
    VoiceAIClient(rate_limit=limiter)  # type: ignore[arg-type]
    VoiceAIClient(rate_limit=10)  # type: ignore[arg-type]
    VoiceAIClient(retry=3)  # type: ignore[arg-type]
    VoiceAIClient(retry=None)  # type: ignore[arg-type]
    VoiceAIClient(timeout="30")  # type: ignore[arg-type]
    VoiceAIClient(timeout=None)  # type: ignore[arg-type]
    VoiceAIClient(session="mine")  # type: ignore[arg-type]
    VoiceAIClient(retries=3)  # type: ignore[call-arg]


class TokensWithoutRefresh:
    async def get_token(self, location_id: str) -> str:
        return location_id


class TokensThatBlock(TokensWithoutRefresh):
    def token_refused(self, location_id: str, token: str) -> None: ...


class LimiterThatBlocks:
    permit: Permit

    def acquire(self, location_id: str, *, max_pause: float) -> Permit:
        return self.permit


class PermitWithoutCancel:
    def release(self, *, status: int | None, headers: Mapping[str, str]) -> None: ...


provider: TokenProvider = TokensThatBlock()  # type: ignore[assignment]
limiter: RateLimiter = LimiterThatBlocks()  # type: ignore[assignment]
permit: Permit = PermitWithoutCancel()  # type: ignore[assignment]


async def fetch(client: VoiceAIClient) -> None:
    await client.get_call_log("call")  # type: ignore[call-arg]
    await client.get_call_log("call", None)  # type: ignore[arg-type]
    await client.get_call_log(5, "location")  # type: ignore[arg-type]
    await client.get_call_log("call", "location", 3.0)  # type: ignore[call-arg]
    await client.get_call_log("call", "location", timeout=3.0)  # type: ignore[call-arg]
    client.get_call_log("call", "location").summary  # type: ignore[attr-defined]
    (await client.get_call_log("call", "location"))["summary"]  # type: ignore[index]
    with client:  # type: ignore[attr-defined]
        pass


async def fetch_many(client: VoiceAIClient, numbers: list[int], triples: list[tuple[str, str, str]]) -> None:
    client.fetch_call_logs(numbers, "location")  # type: ignore[arg-type]
    client.fetch_call_logs([b"call"], "location")  # type: ignore[list-item]
    client.fetch_call_logs([None], "location")  # type: ignore[list-item]
    client.fetch_call_logs(triples)  # type: ignore[arg-type]
    client.fetch_call_logs(["call"], "location", 64)  # type: ignore[call-arg]
    await client.fetch_call_logs(["call"], "location")  # type: ignore[misc]
    for _ in client.fetch_call_logs(["call"], "location"):  # type: ignore[attr-defined]
        pass
    CallRef("call")  # type: ignore[call-arg]


def keep(result: CallLogResult) -> None:
    result.call_log.summary  # type: ignore[union-attr]
    result.ok = True  # type: ignore[misc]
    result.ref.call_id = "other"  # type: ignore[misc]
    if result.ok:
        result.call_log.summary  # type: ignore[union-attr]  # a property narrows nothing: `unwrap()` is for that


def read(call: CallLog) -> None:
    call.summary.upper()  # type: ignore[union-attr]
    call.created_at.year  # type: ignore[union-attr]
    call.executed_call_actions[0].action_parameters.trigger_prompt  # type: ignore[union-attr]
    call.duration = "5"  # type: ignore[assignment]
    CallLog()  # type: ignore[call-arg]
    CallLog("call")  # type: ignore[call-arg]
    CallLog(id=5)  # type: ignore[arg-type]
    CallLog(id="call", callId="call")  # type: ignore[call-arg]


def decode(call: CallLog) -> None:
    decode_call_log(None)  # type: ignore[arg-type]
    decode_call_log([b"{}"])  # type: ignore[arg-type]
    decode_call_log("{}").get("id")  # type: ignore[attr-defined]
    encode_call_log({"id": "call"})  # type: ignore[arg-type]
    encode_call_log(call).id  # type: ignore[attr-defined]


def set_policies(policy: RetryPolicy) -> None:
    policy.max_attempts = 3  # type: ignore[misc]
    RetryPolicy(max_attempts="3")  # type: ignore[arg-type]
    RetryPolicy(max_retries=3)  # type: ignore[call-arg]
    RetryPolicy(retry_statuses=503)  # type: ignore[arg-type]
    RateLimit(max_requests="100")  # type: ignore[arg-type]
    RateLimit().interval = 5.0  # type: ignore[misc]
    WindowRateLimiter()  # type: ignore[call-arg]
    WindowRateLimiter(10)  # type: ignore[arg-type]


def count(client: VoiceAIClient, event: CallEvent) -> None:
    event.status  # type: ignore[attr-defined]  # of a ResponseEvent and a RetryEvent alone
    event.attempt = 2  # type: ignore[misc]
    client.add_hook(lambda: None)  # type: ignore[misc,arg-type]
    client.add_hook("count")  # type: ignore[arg-type]


def handle(error: GHLVoiceError) -> None:
    error.status  # type: ignore[attr-defined]  # of a StatusError alone
    NotFoundError("no such call")  # type: ignore[call-arg]
    DecodeError(("$: not JSON",)).problems.append("")  # type: ignore[attr-defined]


def serve() -> None:
    VoiceAIServer(1)  # type: ignore[call-arg]
    VoiceAIServer(window="rolling")  # type: ignore[arg-type]
    VoiceAIServer(faults={503: 0.1})  # type: ignore[type-var]
    VoiceAIServer(faults={Status(503): "often"})  # type: ignore[dict-item]
    VoiceAIServer(faults=[Status(503)])  # type: ignore[arg-type]
    VoiceAIServer().fail(503)  # type: ignore[arg-type]
    VoiceAIServer().url = ""  # type: ignore[misc]
    Status()  # type: ignore[call-arg]
    Status("503")  # type: ignore[arg-type]
    Status(503).status = 502  # type: ignore[misc]
    CutShort(framing="none")  # type: ignore[arg-type]
    Fault()  # type: ignore[abstract]
    make_call_log("call")  # type: ignore[call-arg]
    with running_in_thread(VoiceAIServer) as server:  # type: ignore[arg-type]
        server.start_new_day()


# An id is an iterable of ids for a checker, and a coroutine an object. The client refuses both when it is run.


async def count_later(event: CallEvent) -> None: ...


def pass_unseen(client: VoiceAIClient) -> None:
    hook: Hook = count_later
    client.add_hook(hook)
    client.fetch_call_logs("call", "location")
