"""Results in Redis as JSON, with the errors of ghl_voice_async whole."""

import json
from typing import TypeVar

from multidict import CIMultiDict, CIMultiDictProxy
from taskiq import TaskiqResult
from taskiq_redis import RedisAsyncResultBackend

from ghl_voice_async import DecodeError, GHLVoiceError, StatusError, errors

T = TypeVar("T")

LABEL = "ghl_voice_error"


class WholeErrorsBackend(RedisAsyncResultBackend[T]):
    """Keeps all attributes of our errors beside what taskiq keeps of any error, which is its class and `args`."""

    async def set_result(self, task_id: str, result: TaskiqResult[T]) -> None:
        if isinstance(result.error, GHLVoiceError):
            result = result.model_copy(update={"labels": {**result.labels, LABEL: error_to_json(result.error)}})
        await super().set_result(task_id, result)

    async def get_result(self, task_id: str, with_logs: bool = False) -> TaskiqResult[T]:  # noqa: FBT001, FBT002  # theirs
        result = await super().get_result(task_id, with_logs=with_logs)
        text = result.labels.pop(LABEL, None)
        if text is not None:
            result.error = error_from_json(text)
        return result


def error_to_json(error: GHLVoiceError) -> str:
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
