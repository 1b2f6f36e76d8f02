"""The same with aiohttp alone: a call log as JSON, and a bulk as JSON lines while it happens."""

import json
import logging
import os
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from copy import copy
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from ghl_voice_async import (
    AttemptTimeoutError,
    CallLog,
    ClientClosedError,
    DeadlineExceededError,
    GHLVoiceError,
    InvalidInputError,
    NotFoundError,
    RateLimitError,
    StatusError,
    VoiceAIClient,
)

logger = logging.getLogger(__name__)
CLIENT = web.AppKey("CLIENT", VoiceAIClient)
LOCATION = web.AppKey("LOCATION", str)
HOSTS = web.AppKey("HOSTS", list[str])
# An error that is not here is HighLevel's or the network's, or about our token: a bad gateway.
STATUSES = {
    InvalidInputError: 422,
    NotFoundError: 404,
    RateLimitError: 503,
    ClientClosedError: 503,
    AttemptTimeoutError: 504,
    DeadlineExceededError: 504,
}
PORT = re.compile(":[0-9]*$")
routes = web.RouteTableDef()


async def client_of_the_app(app: web.Application) -> AsyncIterator[None]:
    app[LOCATION] = os.environ["GHL_LOCATION_ID"]
    async with VoiceAIClient(base_url=os.environ["GHL_BASE_URL"]) as client:
        app[CLIENT] = client
        yield


async def end_all_bulks(app: web.Application) -> None:
    await app[CLIENT].aclose()


@web.middleware
async def known_hosts(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse other hosts: a page of somebody else's could give its name to this machine, and read the calls."""
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1 or PORT.sub("", hosts[0].lower()) not in request.app[HOSTS]:
        return problem(421, {"detail": "This application does not answer for this host."})
    return await handler(request)


async def not_to_be_stored(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Cache-Control"] = "no-store"


@web.middleware
async def errors_as_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except GHLVoiceError as error:
        return problem(status_of(error), told(error))


def problem(status: int, content: dict[str, object]) -> web.Response:
    return web.json_response(content, status=status, content_type="application/problem+json")


def status_of(error: Exception) -> int:
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 502)


def told(error: Exception) -> dict[str, object]:
    """Say what is wrong with the request in the library's words. Those about anything else are for the log."""
    status, name, text = status_of(error), type(error).__name__, str(without_words(error))
    if status < 500:
        return {"error": name, "detail": text}
    logger.error("%s: %s", name, text)
    return {"error": name, "detail": HTTPStatus(status).phrase}


def without_words(error: Exception) -> Exception:
    """Return a copy whose text has none of the server's words, which may quote what was said in the call."""
    error = copy(error)
    if isinstance(error, StatusError):
        error.args = (f"HTTP {error.status}",)
    return error


def shown(call: CallLog) -> dict[str, object]:
    """Choose what leaves the application: a whole call log has keys of the customer's in its custom actions."""
    return {"id": call.id, "duration": call.duration, "summary": call.summary, "transcript": call.transcript}


@routes.get("/calls/{call_id}")
async def one_call(request: web.Request) -> web.Response:
    client, location_id = request.app[CLIENT], request.app[LOCATION]
    call = await client.get_call_log(request.match_info["call_id"], location_id, deadline=10.0)
    return web.json_response(shown(call))


@routes.post("/bulk")
async def many_calls(request: web.Request) -> web.StreamResponse:
    try:
        call_ids = (await request.text()).split()
    except (LookupError, UnicodeError):
        return problem(400, {"detail": "The body is not text in the charset that it claims, or in UTF-8."})
    response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
    async with aclosing(request.app[CLIENT].fetch_call_logs(call_ids, request.app[LOCATION])) as results:
        await response.prepare(request)
        try:
            async for result in results:
                what = told(result.error) if result.error else shown(result.unwrap())
                await response.write(json.dumps({"call_id": result.call_id} | what).encode() + b"\n")
        except GHLVoiceError as error:  # what ends the bulk; the answer has begun, so it is a line, too
            await response.write(json.dumps(told(error)).encode() + b"\n")
    return response


def make_app() -> web.Application:
    app = web.Application(middlewares=[known_hosts, errors_as_answers])
    hosts = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").lower().split(",")
    app[HOSTS] = [host.strip() for host in hosts]
    app.on_response_prepare.append(not_to_be_stored)
    app.add_routes(routes)
    app.cleanup_ctx.append(client_of_the_app)
    app.on_shutdown.append(end_all_bulks)
    return app


if __name__ == "__main__":
    # Without `handler_cancellation`, a browser that leaves is noticed at the next result and not at once.
    web.run_app(make_app(), host="127.0.0.1", handler_cancellation=True)
