from __future__ import annotations

import asyncio
import io
from typing import IO, Any, cast

import pytest
from rich.console import Console
from virtual_time import virtual_time

from ghl_voice_async import CallLog, CallLogResult, CallRef, NotFoundError, RateLimit, ResponseEvent, RetryEvent
from ghl_voice_async.cli.progress import Tally, show_progress
from ghl_voice_async.cli.streams import _Stream
from ghl_voice_async.cli.summary import summary

CALLS = [CallRef(f"call-{number}", "AB"[number % 2]) for number in range(1000)]


def tally(rate_limit: RateLimit | None = None) -> Tally:
    """Make the tally of a run that began two seconds ago, by a clock that stands still."""
    made = Tally.of(CALLS, rate_limit)
    made._started_at = 100.0
    made.clock = lambda: 102.0
    return made


def good(*numbers: int) -> list[CallLogResult]:
    return [CallLogResult(number, CALLS[number], call_log=CallLog(id="x")) for number in numbers]


def bad(*numbers: int) -> list[CallLogResult]:
    error = NotFoundError("gone\x1b[2J", status=404)
    return [CallLogResult(number, CALLS[number], error=error) for number in numbers]


def response(seconds: float, **details: Any) -> ResponseEvent:
    names = {"method": "GET", "path_template": "", "call_id": f"call-{seconds}", "location_id": "A", "attempt": 1}
    return ResponseEvent(**names, status=200, error=None, seconds=seconds, **details)  # type: ignore[arg-type]  # mixed


def shown(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_what_is_stored_is_counted() -> None:
    made = tally()
    made.add(good(*range(90)))
    made.add(bad(*range(90, 100)))
    assert (made.total, made.done, made.fetched, made.failed) == (1000, 100, 90, {"NotFoundError": 10})
    assert [result.index for result in made.first_failed] == [90, 91, 92, 93, 94]
    assert made.rate == pytest.approx(50.0)
    assert made.remaining == {"A": 450, "B": 450}


def test_time_left_is_what_the_rate_so_far_makes_it() -> None:
    made = tally()
    assert made.time_left == "?"
    made.add(good(*range(100)))
    assert made.time_left == "18 s"


def test_or_what_the_limit_makes_it_where_that_is_longer() -> None:
    made = tally(RateLimit(100, 10.0))
    made.add(good(*range(100)))
    assert made.time_left == "40 s"


def test_retries_and_the_slowest_answers_are_heard_of_as_a_hook() -> None:
    made = tally()
    for seconds in (3, 9, 1, 7, 5, 8, 2):
        made.see(response(seconds))
    retry = RetryEvent(
        method="GET", path_template="", call_id="x", location_id="A", attempt=1, status=503, error="E", delay=1.0
    )
    made.see(retry)
    assert made.retried == 1
    assert sorted(made.slowest) == [(seconds, f"call-{seconds}", "A") for seconds in (3, 5, 7, 8, 9)]


async def shown_for(seconds: float, made: Tally, console: Console) -> str:
    showing = asyncio.create_task(show_progress(made, console))
    await asyncio.sleep(seconds)
    showing.cancel()
    await asyncio.wait([showing])
    return shown(console)


def test_elsewhere_than_on_a_terminal_there_is_a_line_now_and_then() -> None:
    made = tally()
    made.add(good(*range(98)) + bad(98, 99))

    @virtual_time
    async def test() -> None:
        line = "100 of 1,000: 2 failed, 0 retried, 50.0 a second, 18 s left\n"
        assert await shown_for(11, made, Console(file=io.StringIO(), width=20)) == 2 * line

    test()


def test_on_a_terminal_there_is_a_bar() -> None:
    made = tally()
    made.add(good(*range(250)))

    @virtual_time
    async def test() -> None:
        console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
        said = await shown_for(1, made, console)
        assert "━" in said
        assert " 250/1000 0 failed, 0 retried, 125.0 a second, 6 s left" in said

    test()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_that_nobody_can_read_ends_nothing(is_terminal: bool) -> None:
    @virtual_time
    async def test() -> None:
        lost = cast("IO[str]", _Stream(None, is_output=True))
        console = Console(file=lost, width=80, force_terminal=is_terminal)
        showing = asyncio.create_task(show_progress(tally(), console))

        await asyncio.sleep(11)

        assert showing.done()
        assert showing.result() is None

    test()


def test_names_in_the_summary_steer_no_terminal() -> None:
    made = tally()
    made.add(bad(2))
    made.slowest.append((1.0, "call\x9b31m", "Z\u202erich [red]x[/red]"))
    console = Console(file=io.StringIO(), width=100)

    console.print(summary(made, "a\x1b[2Jb.failed.jsonl"), soft_wrap=True)

    said = shown(console)
    assert all(line.isprintable() for line in said.splitlines())
    assert "1.00 s  call 31m of Z rich [red]x[/red]" in said
    assert "are in a [2Jb.failed.jsonl" in said


def test_the_summary_has_the_counts_the_slowest_and_the_failed() -> None:
    made = tally()
    made.add(good(0, 1))
    made.add(bad(2))
    made.see(response(0.25))
    made.see(response(1.5))
    console = Console(file=io.StringIO(), width=100)
    console.print(summary(made, "calls.jsonl.failed.jsonl"), soft_wrap=True)
    assert shown(console) == (
        "┌────────────────┬─────┬─────────────────┐\n"
        "│ fetched        │   2 │ of 1,000        │\n"
        "│ failed         │   1 │ 1 NotFoundError │\n"
        "│ retried        │   0 │                 │\n"
        "│ calls a second │ 1.5 │                 │\n"
        "│ time           │ 2 s │                 │\n"
        "└────────────────┴─────┴─────────────────┘\n"
        "Slowest answers:\n"
        "  1.50 s  call-1.5 of A\n"
        "  0.25 s  call-0.25 of A\n"
        "Failed, and to be tried again by the same command (all of them are in calls.jsonl.failed.jsonl):\n"
        "  HTTP 404: gone [2J Check the id, and that the call is of this location.\n"
    )
