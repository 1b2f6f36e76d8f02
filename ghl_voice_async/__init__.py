"""The asyncio SDK for HighLevel Voice AI call logs.

::

    async with VoiceAIClient(token="pit-…") as client:
        call = await client.get_call_log(call_id, location_id)

Names are imported when they are first used, so that decoding alone does not load an HTTP client.

PYTEST_DONT_REWRITE: a program may import this before pytest, which would warn that it cannot rewrite the asserts.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ghl_voice_async.version import __version__

if TYPE_CHECKING:
    from ghl_voice_async.auth import TokenProvider
    from ghl_voice_async.client import VoiceAIClient
    from ghl_voice_async.decoder import decode_call_log, encode_call_log
    from ghl_voice_async.errors import (
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
    from ghl_voice_async.hooks import CallEvent, Hook, LimitEvent, RequestEvent, ResponseEvent, RetryEvent
    from ghl_voice_async.models import (
        ActionParameters,
        ActionType,
        AppointmentBookingActionParameters,
        CallLog,
        CallTransferActionParameters,
        CustomActionApiDetails,
        CustomActionHeader,
        CustomActionParameter,
        CustomActionParameters,
        DataExtractionActionParameters,
        ExecutedCallAction,
        InCallDataExtractionActionParameters,
        KnowledgeBaseParameters,
        SMSParameters,
        Translation,
        UnknownActionParameters,
        WorkflowTriggerParameters,
    )
    from ghl_voice_async.rate_limit import Permit, RateLimit, RateLimiter, RateLimitState, WindowRateLimiter
    from ghl_voice_async.result import CallLogResult, CallRef
    from ghl_voice_async.retry import RetryPolicy

__all__ = [
    "ActionParameters",
    "ActionType",
    "AppointmentBookingActionParameters",
    "AttemptTimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "CallEvent",
    "CallLog",
    "CallLogResult",
    "CallRef",
    "CallTransferActionParameters",
    "ClientClosedError",
    "CustomActionApiDetails",
    "CustomActionHeader",
    "CustomActionParameter",
    "CustomActionParameters",
    "DailyLimitError",
    "DataExtractionActionParameters",
    "DeadlineExceededError",
    "DecodeError",
    "ExecutedCallAction",
    "GHLVoiceError",
    "Hook",
    "InCallDataExtractionActionParameters",
    "InvalidInputError",
    "KnowledgeBaseParameters",
    "LimitEvent",
    "NotFoundError",
    "PermissionDeniedError",
    "Permit",
    "RateLimit",
    "RateLimitError",
    "RateLimitState",
    "RateLimiter",
    "RequestEvent",
    "ResponseEvent",
    "RetryEvent",
    "RetryPolicy",
    "SMSParameters",
    "ServerError",
    "StatusError",
    "TokenProvider",
    "Translation",
    "TransportError",
    "UnknownActionParameters",
    "UnprocessableEntityError",
    "VoiceAIClient",
    "WindowRateLimiter",
    "WorkflowTriggerParameters",
    "__version__",
    "decode_call_log",
    "encode_call_log",
]

# Light modules first: a name is looked for in this order, and what is found ends the search.
_MODULES = ("errors", "models", "decoder", "hooks", "result", "rate_limit", "retry", "auth")


if not TYPE_CHECKING:  # a type checker that saw this would believe in any name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # The client does not need all of the others.
        candidates = ("client",) if name == "VoiceAIClient" else _MODULES
        modules = (import_module(f"{__name__}.{candidate}") for candidate in candidates)
        value: object = getattr(next(module for module in modules if name in module.__all__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
