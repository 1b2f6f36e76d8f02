"""`VoiceAIServer`: a real HTTP server on loopback that answers as HighLevel does."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Mapping
from typing import Any, Literal, Self, TypeVar

from aiohttp import hdrs, web
from attrs import define

from ghl_voice_async.testing.call_logs import call_id_at, is_call_id, make_call_log
from ghl_voice_async.testing.faults import Fault
from ghl_voice_async.testing.seen import Seen, SeenRequest
from ghl_voice_async.testing.window import FixedWindow, LocationLimits, SlidingWindow, Window

__all__ = ["VoiceAIServer"]

AnyFault = TypeVar("AnyFault", bound=Fault)  # mappings are invariant in their keys: those of Status alone fit, too

_VERSIONS = {"2021-04-15", "v3"}
_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")


@define
class _Ordered:
    """A fault that was asked for, and how many more requests are to meet it."""

    fault: Fault
    times: int
    call_id: str | None
    location_id: str | None

    def meets(self, request: SeenRequest) -> bool:
        return self.call_id in {None, request.call_id} and self.location_id in {None, request.location_id}


class VoiceAIServer:
    """A simulator of the call-log endpoint, on 127.0.0.1 and a free port unless `port` names one.

    It knows as many call logs as anyone asks for: `call_ids` names them and `call_log` shows them, both
    following from `seed`, so that two servers with one seed hold the same. It checks the token, the version
    and the ids, and answers 400, 401, 404 and 422 as HighLevel does.

    Each location may send `max_requests` in any `interval` seconds, and `daily` in all until `start_new_day`; what
    goes beyond is answered 429. With `window="fixed"` it is not any, but each `interval` counted from
    `window_start`, in seconds after the server's start. `limit_headers=False` leaves HighLevel's headers out, and
    `retry_after=True` puts a `Retry-After` into each 429 that a window with no room left is the reason of.
    `max_requests=None` switches the limits off, and all this with them.

    `faults` maps faults to rates from 0 to 1, at which random requests meet them. `fail` sets faults for the
    next requests. `seen` counts what happened.

    Usable as `async with`, in the event loop of the program that it serves or in one of its own: see
    `running_in_thread` and `VoiceAIServerProcess`.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        token: str = "pit-simulator",  # noqa: S107  # opens this simulator and nothing else
        max_requests: int | None = 100,
        interval: float = 10.0,
        daily: int = 200_000,
        window: Literal["sliding", "fixed"] = "sliding",
        window_start: float = 0.0,
        limit_headers: bool = True,
        retry_after: bool = False,
        faults: Mapping[AnyFault, float] | None = None,
        port: int = 0,
    ) -> None:
        if max_requests is not None and max_requests < 1:
            raise ValueError("max_requests must be at least 1, or None")
        if interval <= 0 or daily < 1:
            raise ValueError("interval must be above 0, and daily at least 1")
        if window not in {"sliding", "fixed"}:
            raise ValueError(f"window must be 'sliding' or 'fixed', not {window!r}")
        self._rates: dict[Fault, float] = {_fault(fault): rate for fault, rate in (faults or {}).items()}
        if any(not 0 <= rate <= 1 for rate in self._rates.values()) or sum(self._rates.values()) > 1 + 1e-9:
            raise ValueError("rates of faults are from 0 to 1, and not more than 1 together")
        self.seed = seed
        """What the call logs and the faults at random follow from."""
        self.token = token
        """The one token that is not refused."""
        self.location_id = "ve9EPM428h8vShlRW1KT"
        """A location to use where any will do; the server answers for every location."""
        self.seen: Seen = Seen()
        """What arrived, and what was answered."""
        self._max_requests = max_requests
        self._interval = interval
        self._daily = daily
        self._window_kind = window
        self._window_start = window_start
        self._says_limits = limit_headers
        self._says_when = retry_after
        self._started_at = 0.0
        self._limits: dict[str, LocationLimits] = {}
        self._ordered: list[_Ordered] = []
        self._added: dict[tuple[str, str], dict[str, Any]] = {}
        self._dice = random.Random(seed)  # noqa: S311  # made-up faults
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The base URL, to be given to the client as `base_url`. Raises `RuntimeError` before the start."""
        if self._runner is None:
            raise RuntimeError("the server is not running; use `async with VoiceAIServer() as server:`")
        return f"http://127.0.0.1:{self._port}"

    def call_ids(self, count: int, location_id: str | None = None) -> list[str]:
        """Return the ids of the first `count` call logs of a location."""
        return [call_id_at(index, self._location(location_id), self.seed) for index in range(count)]

    def call_log(self, call_id: str, location_id: str | None = None) -> dict[str, Any]:
        """Return the call log that this id is answered with, as parsed JSON. Raises `KeyError` for no such id."""
        location_id = self._location(location_id)
        added = self._added.get((location_id, call_id))
        if added is not None:
            return added
        if not is_call_id(call_id, location_id, self.seed):
            raise KeyError(call_id)
        return make_call_log(call_id, location_id, seed=self.seed)

    def add_call_log(self, call_log: dict[str, Any], location_id: str | None = None) -> str:
        """Hold a call log of your own, in the API's JSON form, under its `id`, and return that id."""
        call_id = call_log.get("id")
        if not isinstance(call_id, str) or not _ID.fullmatch(call_id):
            raise ValueError("a call log needs an id of 1 to 256 of the characters A-Z a-z 0-9 _ -, to be asked for")
        self._added[self._location(location_id), call_id] = call_log
        return call_id

    def fail(self, fault: Fault, *, times: int = 1, call_id: str | None = None, location_id: str | None = None) -> None:
        """Play a fault on the next `times` requests, or on the next of one call, one location, or one call in one.

        Faults that were asked for first are played first.
        """
        if isinstance(times, bool) or not isinstance(times, int) or times < 1:
            raise ValueError(f"times must be a whole number of at least 1, not {times!r}")
        self._ordered.append(_Ordered(_fault(fault), times, call_id, location_id))

    def start_new_day(self) -> None:
        """Give every location its requests of the day anew."""
        for limits in self._limits.values():
            limits.admitted_today = 0

    async def start(self) -> None:
        """Start to listen."""
        self._started_at = asyncio.get_running_loop().time()
        app = web.Application()
        app.router.add_get("/voice-ai/dashboard/call-logs/{call_id}", self._handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port)
        await site.start()
        self._port = runner.addresses[0][1]
        self._runner = runner

    async def aclose(self) -> None:
        """Stop listening and close all connections; requests not yet answered get no answer."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        seen = SeenRequest(
            path=request.raw_path,
            call_id=request.match_info["call_id"],
            location_id=request.query.get("locationId", ""),
            headers=request.headers,
        )
        self.seen.arrived(seen)
        answer = self._answer(seen)
        fault = self._fault_for(seen)
        status = answer.status if fault is None else fault.status_of(answer)
        if status is not None:
            self.seen.statuses[status] += 1
        if fault is None:
            return answer
        self.seen.faults[type(fault).__name__] += 1
        return await fault.play(request, answer)

    def _answer(self, seen: SeenRequest) -> web.Response:
        if seen.headers.get(hdrs.AUTHORIZATION) != f"Bearer {self.token}":
            return _refusal(401, "Invalid token: access token is invalid", error="Unauthorized")
        headers: dict[str, str] = {}
        limits = self._limits_of(seen.location_id)
        if limits is not None:
            now = asyncio.get_running_loop().time()
            admitted = limits.admit(now)
            if self._says_limits:
                headers = limits.headers(now)
            if not admitted:
                self.seen.refused += 1
                seconds = limits.retry_after(now) if self._says_when else None
                if seconds is not None:
                    headers["Retry-After"] = str(seconds)
                return _refusal(429, "Too Many Requests", headers=headers)
        if seen.headers.get("Version") not in _VERSIONS:
            return _refusal(400, "version header is invalid", headers=headers)
        if not _ID.fullmatch(seen.location_id):
            problems = ["locationId must be a string", "locationId should not be empty"]
            return _refusal(422, problems, error="Unprocessable Entity", headers=headers)
        if not _ID.fullmatch(seen.call_id):
            return _refusal(400, "Bad Request", headers=headers)
        try:
            call_log = self.call_log(seen.call_id, seen.location_id)
        except KeyError:
            return _refusal(404, "Call log not found", error="Not Found", headers=headers)
        return web.Response(body=json.dumps(call_log).encode(), content_type="application/json", headers=headers)

    def _limits_of(self, location_id: str) -> LocationLimits | None:
        if self._max_requests is None:
            return None
        limits = self._limits.get(location_id)
        if limits is None:
            if self._window_kind == "sliding":
                window: Window = SlidingWindow(self._max_requests, self._interval)
            else:
                window = FixedWindow(self._max_requests, self._interval, self._started_at + self._window_start)
            limits = self._limits[location_id] = LocationLimits(window, self._daily)
        return limits

    def _fault_for(self, seen: SeenRequest) -> Fault | None:
        for ordered in self._ordered:
            if ordered.meets(seen):
                ordered.times -= 1
                if ordered.times == 0:
                    self._ordered.remove(ordered)
                return ordered.fault
        roll = self._dice.random()
        for fault, rate in self._rates.items():
            roll -= rate
            if roll < 0:
                return fault
        return None

    def _location(self, location_id: str | None) -> str:
        return self.location_id if location_id is None else location_id


def _fault(fault: Fault) -> Fault:
    if isinstance(fault, Fault):
        return fault
    raise ValueError(f"a fault is one of ghl_voice_async.testing, such as Status(503), and not {fault!r}")


def _refusal(
    status: int, message: str | list[str], *, error: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    body = {"statusCode": status, "message": message} | ({} if error is None else {"error": error})
    return web.json_response(body, status=status, headers=headers)
