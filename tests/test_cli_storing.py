from __future__ import annotations

import asyncio
import json
import signal
import threading
from typing import TYPE_CHECKING

import pytest
from virtual_time import now, virtual_time

from ghl_voice_async import AuthenticationError, CallLog, CallLogResult, CallRef
from ghl_voice_async.cli.gate import Gate
from ghl_voice_async.cli.json_text import UnstorableError
from ghl_voice_async.cli.outputs import Failures
from ghl_voice_async.cli.progress import Tally
from ghl_voice_async.cli.storing import Storing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator
    from pathlib import Path

CALLS = [CallRef(f"call-{number}", "A") for number in range(500)]


class Held:
    """An output whose writes wait until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[CallRef]] = []
        self.go = threading.Event()

    def stored(self) -> Iterator[CallRef]:
        raise AssertionError("not asked for here")

    def open(self) -> None:
        """Be open."""

    def write(self, call_logs: Iterable[tuple[CallRef, CallLog]]) -> dict[CallRef, UnstorableError]:
        assert self.go.wait(60)
        self.batches.append([ref for ref, _ in call_logs])
        return {}

    def close(self) -> None:
        """Be closed."""


async def results(given: list[CallRef], failure: Exception | None = None) -> AsyncGenerator[CallLogResult, None]:
    for index, ref in enumerate(CALLS):
        given.append(ref)
        yield CallLogResult(index, ref, call_log=CallLog(id=ref.call_id))
        await asyncio.sleep(0)
    if failure is not None:
        raise failure


def storing(given: list[CallRef], output: Held, folder: Path, failure: Exception | None = None) -> Storing:
    tally = Tally.of(CALLS, None)
    return Storing(results(given, failure), Gate(None), output, Failures(folder / "calls.jsonl"), tally)


async def test_a_slow_disk_holds_up_the_fetching(tmp_path: Path) -> None:
    given: list[CallRef] = []
    output = Held()
    stored = storing(given, output, tmp_path)
    running = asyncio.create_task(stored.run(None))
    for _ in range(1000):
        await asyncio.sleep(0)
    assert stored.tally.done == 0
    assert 64 <= len(given) <= 2 * 64 + 1
    output.go.set()
    await running
    assert [ref for batch in output.batches for ref in batch] == CALLS
    assert max(len(batch) for batch in output.batches) == 64
    assert stored.tally.fetched == 500


async def test_what_the_results_raise_comes_after_all_before_it_is_stored(tmp_path: Path) -> None:
    """Promise 40."""
    output = Held()
    output.go.set()
    stored = storing([], output, tmp_path, AuthenticationError("no", status=401))
    with pytest.raises(AuthenticationError):
        await stored.run(None)
    assert stored.tally.fetched == 500
    assert sum(len(batch) for batch in output.batches) == 500


async def test_a_run_that_is_cancelled_leaves_no_task_behind(tmp_path: Path) -> None:
    output = Held()
    running = asyncio.create_task(storing([], output, tmp_path).run(None))
    for _ in range(10):
        await asyncio.sleep(0)
    running.cancel()
    output.go.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def never_ending(given: list[CallRef]) -> AsyncGenerator[CallLogResult, None]:
    given.append(CALLS[0])
    yield CallLogResult(0, CALLS[0], call_log=CallLog(id="x"))
    await asyncio.sleep(1e6)


def never_ending_storing(folder: Path) -> Storing:
    output = Held()
    output.go.set()
    given: list[CallRef] = []
    tally = Tally.of(CALLS, None)
    return Storing(never_ending(given), Gate(None), output, Failures(folder / "calls.jsonl"), tally)


def test_what_is_under_way_has_five_seconds_after_a_signal(tmp_path: Path) -> None:
    @virtual_time
    async def test() -> None:
        stored = never_ending_storing(tmp_path)
        running = asyncio.create_task(stored.run(None))
        await asyncio.sleep(10)
        signal.raise_signal(signal.SIGTERM)
        started = now()
        await running
        assert now() - started == pytest.approx(5.0, abs=0.1)
        assert stored.gate.is_shut
        assert stored.tally.fetched == 1

    test()


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    @virtual_time
    async def test() -> None:
        running = asyncio.create_task(never_ending_storing(tmp_path).run(None))
        await asyncio.sleep(10)
        started = now()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
            await asyncio.sleep(1)
        await running
        assert now() - started < 3

    test()


class OneRefused(Held):
    """An output that cannot hold one of the call logs."""

    def write(self, call_logs: Iterable[tuple[CallRef, CallLog]]) -> dict[CallRef, UnstorableError]:
        refused = {ref: UnstorableError(ref, ValueError("no such form")) for ref, _ in call_logs if ref == CALLS[3]}
        return super().write(call_logs) | refused


async def test_guarantee_37_a_call_log_that_cannot_be_stored_is_a_failure_of_that_call(tmp_path: Path) -> None:
    async def all_at_once() -> AsyncGenerator[CallLogResult, None]:
        for index, ref in enumerate(CALLS[:5]):
            call_log = None if index == 1 else CallLog(id=ref.call_id)
            error = AuthenticationError("no", status=401) if index == 1 else None
            yield CallLogResult(index, ref, call_log, error)

    output = OneRefused()
    output.go.set()
    failures = Failures(tmp_path / "calls.jsonl")
    stored = Storing(all_at_once(), Gate(None), output, failures, Tally.of(CALLS[:5], None))

    await stored.run(None)

    failures.close()
    assert stored.tally.fetched == 3
    assert stored.tally.failed == {"AuthenticationError": 1, "UnstorableError": 1}
    lines = [json.loads(line) for line in failures.path.read_text().splitlines()]
    assert [(line["callId"], line["error"]) for line in lines] == [
        ("call-1", "AuthenticationError"),
        ("call-3", "UnstorableError"),
    ]
