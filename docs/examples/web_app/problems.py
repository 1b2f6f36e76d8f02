"""What a visitor is told when something goes wrong: the one place where errors become HTTP answers."""

import logging
from copy import copy
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ghl_voice_async import (
    AttemptTimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    DailyLimitError,
    DeadlineExceededError,
    DecodeError,
    GHLVoiceError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    StatusError,
    TransportError,
    UnprocessableEntityError,
)
from web_app.pages import templates

logger = logging.getLogger(__name__)

SOON = "Try again in a moment."
OPERATOR = "You can do nothing about it: whoever runs this application has to"

# The status, what happened, and what to do. An error that is not here is answered as its nearest base class is.
ANSWERS: dict[type[GHLVoiceError], tuple[int, str, str]] = {
    GHLVoiceError: (500, "This application could not ask HighLevel.", SOON),
    InvalidInputError: (422, "This cannot be asked for.", ""),  # what to do is in the error's own words
    NotFoundError: (404, "There is no such call.", NotFoundError.advice),
    BadRequestError: (422, "HighLevel can make nothing of this call id.", "Check the id."),
    UnprocessableEntityError: (422, "HighLevel can make nothing of this call id.", "Check the id."),
    AuthenticationError: (502, "HighLevel refused this application's token.", f"{OPERATOR} give it a valid one."),
    PermissionDeniedError: (
        502,
        "HighLevel does not let this application read call logs.",
        f"{OPERATOR} give its token the scope voice-ai-dashboard.readonly.",
    ),
    RateLimitError: (503, "HighLevel gets too many requests for this location.", SOON),
    DailyLimitError: (503, "This location's requests of the day are used up.", "Try again tomorrow."),
    DeadlineExceededError: (504, "There was no answer in time.", SOON),
    AttemptTimeoutError: (504, "HighLevel did not answer in time.", SOON),
    TransportError: (502, "HighLevel cannot be reached.", SOON),
    ServerError: (502, "HighLevel failed to answer.", SOON),
    StatusError: (502, "HighLevel gave an answer that was not expected.", SOON),
    DecodeError: (502, "What HighLevel answered is not a call log.", f"{OPERATOR} look into its log."),
    ClientClosedError: (503, "This application is being stopped.", SOON),
}


@dataclass(frozen=True)
class Problem:
    status: int
    what: str
    advice: str = ""
    retry_after: float | None = None
    call_id: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the members of RFC 9457. With no `type`, the title is the status's own."""
        detail = f"{self.what} {self.advice}".strip()
        title = HTTPStatus(self.status).phrase
        return {"title": title, "status": self.status, "detail": detail, "call_id": self.call_id}


def problem_of(error: Exception) -> Problem:
    match error:
        case GHLVoiceError():
            status, what, advice = next(ANSWERS[kind] for kind in type(error).__mro__ if kind in ANSWERS)
            retry_after = error.retry_after if isinstance(error, StatusError) else None
            return Problem(status, what, advice or str(error.args[0]), retry_after, error.call_id)
        case RequestValidationError():
            wrong = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:3])
            return Problem(422, "The request is not as it has to be.", "; ".join(wrong))
        case HTTPException():
            return Problem(error.status_code, f"{error.detail}.")
        case _:
            return Problem(500, "This application failed.", SOON)


def without_words(error: GHLVoiceError) -> GHLVoiceError:
    """Return a copy whose text has none of the server's words, which may quote what was said in the call."""
    error = copy(error)
    if isinstance(error, StatusError):
        error.args = (f"HTTP {error.status}",)
    return error


def answer(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    # What is none of the library's is raised again once it is answered, and logged then.
    if problem.status >= 500 and isinstance(error, GHLVoiceError):
        logger.error("%s: %s", type(error).__name__, without_words(error))
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(ceil(problem.retry_after))
    if request.url.path.startswith("/api/"):
        content, media_type = problem.as_json(), "application/problem+json"
        return JSONResponse(content, problem.status, headers, media_type)
    return templates.TemplateResponse(request, "problem.html", {"problem": problem}, problem.status, headers)


def answer_errors(app: FastAPI) -> None:
    for kind in (GHLVoiceError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)
