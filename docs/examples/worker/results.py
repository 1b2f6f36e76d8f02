"""Results in Redis as JSON, with the errors of ghl_voice_async but without the words of the server."""

import copy
import json
from http import HTTPStatus
from typing import TypeVar

from multidict import CIMultiDict, CIMultiDictProxy
from taskiq import TaskiqResult
from taskiq_redis import RedisAsyncResultBackend

from ghl_voice_async import DecodeError, GHLVoiceError, StatusError, errors

T = TypeVar("T")

E = TypeVar("E", bound=Exception)

LABEL = "ghl_voice_error"


class ErrorKeepingBackend(RedisAsyncResultBackend[T]):
    """Keeps the attributes of our errors beside what taskiq keeps of any error, which is its class and `args`."""

    async def set_result(self, task_id: str, result: TaskiqResult[T]) -> None:
        if isinstance(result.error, GHLVoiceError):
            labels = {**result.labels, LABEL: error_to_json(result.error)}
            # taskiq keeps the `args`, and those of all errors in the chain. A copy has no chain.
            result = result.model_copy(update={"labels": labels, "error": without_words(result.error)})
        await super().set_result(task_id, result)

    async def get_result(self, task_id: str, with_logs: bool = False) -> TaskiqResult[T]:  # noqa: FBT001, FBT002  # theirs
        result = await super().get_result(task_id, with_logs=with_logs)
        text = result.labels.pop(LABEL, None)
        if text is not None:
            result.error = error_from_json(text)
        return result


def without_words(error: E) -> E:
    """Return a copy without the message, the body and the headers of the response.

    A server may quote there what was said in a call, or a phone number. The headers of the rate limit stay.
    """
    error = copy.copy(error)
    if isinstance(error, StatusError):
        error.message = phrase(error.status)
        error.args = (f"HTTP {error.status}: {error.message}",)
        error.body = ""
        error.headers = {name: value for name, value in error.headers.items() if is_about_the_limit(name, value)}
    return error


def phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "status without a name"


def is_about_the_limit(name: str, value: str) -> bool:
    return name.lower().startswith("x-ratelimit-") and value.isascii() and value.isdigit()


def error_to_json(error: GHLVoiceError) -> str:
    error = without_words(error)
    kept = {"class": type(error).__name__, "args": error.args, "attributes": vars(error)}
    return json.dumps(kept, default=dict)  # of headers, a mapping


def error_from_json(text: str) -> GHLVoiceError:
    kept = json.loads(text)
    if kept["class"] not in errors.__all__:
        raise ValueError(f"not an error of ghl_voice_async: {kept['class']!r}")
    error_class: type[GHLVoiceError] = getattr(errors, kept["class"])
    error = error_class.__new__(error_class)  # whose __init__ takes what is not known here
    error.args = tuple(kept["args"])
    vars(error).update(kept["attributes"])
    if isinstance(error, StatusError):
        error.headers = CIMultiDictProxy(CIMultiDict(error.headers))
    if isinstance(error, DecodeError):
        error.problems = tuple(error.problems)
    return error
