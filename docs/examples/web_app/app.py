"""The routes. The client lives as long as the application does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from sse_starlette import EventSourceResponse

from ghl_voice_async import encode_call_log
from web_app import bulk
from web_app.calls import Calls, open_calls
from web_app.middleware import BodyLimit, KnownHosts, SafeHeaders
from web_app.pages import HERE, conversation, templates, time_line
from web_app.problems import answer_errors


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Calls]]:
    async with open_calls() as calls:
        yield {"calls": calls}


def the_calls(request: Request) -> Calls:
    calls: Calls = request.state.calls
    return calls


CallsOfTheApp = Annotated[Calls, Depends(the_calls)]

app = FastAPI(lifespan=lifespan, openapi_url=None)
app.add_middleware(BodyLimit)
app.add_middleware(KnownHosts)
app.add_middleware(SafeHeaders)
app.state.suggested_ids = []
app.mount("/static", StaticFiles(directory=HERE / "static"))
answer_errors(app)


@app.get("/api/calls/{call_id:path}")
async def call_as_json(call_id: str, calls: CallsOfTheApp) -> dict[str, Any]:
    return encode_call_log(await calls.get(call_id))


@app.post("/api/bulk")
async def bulk_as_events(wanted: bulk.Wanted, calls: CallsOfTheApp) -> EventSourceResponse:
    return bulk.stream(calls, wanted)


@app.get("/", response_class=HTMLResponse)
async def start(request: Request) -> Response:
    return templates.TemplateResponse(request, "start.html", {"suggested_ids": app.state.suggested_ids})


@app.get("/calls")
async def call_named_in_the_form(call_id: str) -> RedirectResponse:
    call_id = call_id.strip()
    if call_id in {".", ".."}:  # a browser would take them out of the address
        raise HTTPException(422, "A call id is more than dots")
    return RedirectResponse(f"/calls/{quote(call_id, safe='')}", status_code=303)


@app.get("/calls/{call_id:path}", response_class=HTMLResponse)
async def call_as_page(request: Request, call_id: str, calls: CallsOfTheApp) -> Response:
    call = await calls.get(call_id)
    turns = conversation(call.transcript or "")
    return templates.TemplateResponse(
        request, "call.html", {"call": call, "conversation": turns, "time_line": time_line(call)}
    )
