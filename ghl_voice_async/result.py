"""What a bulk is asked for, and what it answers with for each."""

from __future__ import annotations

from typing import NamedTuple

from attrs import define

from ghl_voice_async.models import CallLog

__all__ = ["CallLogResult", "CallRef"]


class CallRef(NamedTuple):
    """Names a call log: the call and its location. A plain pair will do in its place."""

    call_id: str
    """The call."""
    location_id: str
    """Its location."""


@define
class CallLogResult:
    """What became of one item of the input: it has either a call log or the error that there is none for."""

    index: int
    """Position in the input, from 0."""
    ref: CallRef
    """The call asked for. Of an item that names none it is what can be shown of it."""
    call_log: CallLog | None = None
    """The call log, or None where there is an error."""
    error: Exception | None = None
    """The error, or None where there is a call log."""

    @property
    def call_id(self) -> str:
        """The call asked for, which need not be the `id` of the answer."""
        return self.ref.call_id

    @property
    def location_id(self) -> str:
        """The location asked for."""
        return self.ref.location_id

    @property
    def ok(self) -> bool:
        """Whether there is a call log."""
        return self.error is None

    def unwrap(self) -> CallLog:
        """Return the call log, or raise the error."""
        if self.call_log is None:
            assert self.error is not None  # noqa: S101  # one of the two is always there
            raise self.error
        return self.call_log
