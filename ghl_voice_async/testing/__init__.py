"""A server that answers as HighLevel does, for tests and for trying things out, with no account.

`VoiceAIServer` is a real HTTP server on 127.0.0.1. Hypothesis strategies for call logs are in
`ghl_voice_async.testing.strategies`, and installing the package gives pytest the fixture `voice_ai_server`.
"""

from ghl_voice_async.testing.background import VoiceAIServerProcess, running_in_thread
from ghl_voice_async.testing.call_logs import make_call_log
from ghl_voice_async.testing.faults import (
    BadJSON,
    CloseAfterAnswer,
    CloseBeforeAnswer,
    CutShort,
    Fault,
    Latency,
    Oversized,
    Raw,
    ResetBeforeAnswer,
    ResetWithinAnswer,
    Silence,
    SlowDrip,
    Status,
    StrayBytes,
    WithHeaders,
    everyday_faults,
)
from ghl_voice_async.testing.seen import Seen, SeenRequest
from ghl_voice_async.testing.server import VoiceAIServer

__all__ = [
    "BadJSON",
    "CloseAfterAnswer",
    "CloseBeforeAnswer",
    "CutShort",
    "Fault",
    "Latency",
    "Oversized",
    "Raw",
    "ResetBeforeAnswer",
    "ResetWithinAnswer",
    "Seen",
    "SeenRequest",
    "Silence",
    "SlowDrip",
    "Status",
    "StrayBytes",
    "VoiceAIServer",
    "VoiceAIServerProcess",
    "WithHeaders",
    "everyday_faults",
    "make_call_log",
    "running_in_thread",
]
