from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ghl_voice_async.cli.waiting import LockWait

Capture = pytest.CaptureFixture[str]


class Clock:
    """Time that only a sleep moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("ghl_voice_async.cli.waiting.time", clock)
    return clock


def busy(code: int = sqlite3.SQLITE_BUSY) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_BUSY_SNAPSHOT]
)
def test_a_lock_of_another_program_is_waited_for(clock: Clock, capsys: Capture, code: int) -> None:
    def action() -> str:
        if clock.now < 130:
            raise busy(code)
        return "done"

    patience = LockWait(Path("calls.db"))

    assert patience.run(action) == "done"
    clock.now = 100
    assert patience.run(action) == "done"
    said = "ghl-voice: warning: another program has locked calls.db; waiting up to 60 s for its end.\n"
    assert capsys.readouterr().err == said


def test_a_short_wait_is_not_worth_a_word(clock: Clock, capsys: Capture) -> None:
    def action() -> None:
        if clock.now < 100.5:
            raise busy()

    LockWait(Path("calls.db")).run(action)

    assert capsys.readouterr().err == ""


def test_the_wait_ends_after_a_minute(clock: Clock) -> None:
    def action() -> None:
        raise busy()

    with pytest.raises(OSError, match="another program has had it locked for 60 s"):
        LockWait(Path("calls.db")).run(action)

    assert clock.now == pytest.approx(160, abs=1)


def test_another_error_is_not_waited_for(clock: Clock) -> None:
    def action() -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(sqlite3.OperationalError, match="full"):
        LockWait(Path("calls.db")).run(action)

    assert clock.now == 100
