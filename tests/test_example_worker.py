"""The worker of docs/examples/worker, with a real Redis, and killed for real."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from attrs import define
from blocks import EXAMPLES, ROOT, blocks_of
from redis import Redis
from surroundings import need
from terminal import commands_of
from worker.redis_server import free_port, running_redis_server, running_redis_server_at
from worker.results import without_words

from ghl_voice_async import (
    AuthenticationError,
    NotFoundError,
    TransportError,
    UnprocessableEntityError,
    VoiceAIClient,
    decode_call_log,
)
from ghl_voice_async.testing import Latency, Silence, Status, VoiceAIServer, running_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import ModuleType

    from taskiq import AsyncTaskiqTask, TaskiqResult

pytestmark = pytest.mark.asyncio(loop_scope="module")  # of the broker that sends

PATIENCE = 60.0
REDELIVER_AFTER = 2.5  # more than a busy machine lets a process wait
TASKIQ_WORKER = [sys.executable, "-m", "taskiq", "worker", "worker.broker:broker", "worker.tasks"]


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    need("redis-server")
    with running_redis_server() as url:
        yield url


class Simulator:
    """A server that can be stopped, and started again where it was."""

    def __init__(self) -> None:
        self.server = VoiceAIServer(max_requests=None)
        self.running = ExitStack()
        self.start()
        self.url = self.server.url

    def start(self) -> None:
        self.running.enter_context(running_in_thread(self.server))

    def stop(self) -> None:
        self.running.close()


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    simulator = Simulator()
    yield simulator
    simulator.stop()


@define
class Worker:
    """A `taskiq worker`: its main process, what it wrote, and where it stores."""

    process: subprocess.Popen[bytes]
    log_file: Path
    database: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_until_ready(self, processes: int) -> None:
        end = time.monotonic() + PATIENCE
        while self.log.count("Listening started.") < processes:
            assert self.process.poll() is None, self.log
            assert time.monotonic() < end, self.log
            time.sleep(0.02)

    def stored(self, location_id: str) -> dict[str, str]:
        return dict(self._rows("SELECT call_id, body FROM call_logs WHERE location_id = ?", location_id))

    def failures(self, location_id: str) -> dict[str, str]:
        return dict(self._rows("SELECT call_id, error FROM failures WHERE location_id = ?", location_id))

    def _rows(self, query: str, location_id: str) -> list[Any]:
        with closing(sqlite3.connect(self.database)) as database:
            return database.execute(query, (location_id,)).fetchall()


def environment(redis_url: str, simulator: Simulator, folder: Path) -> dict[str, str]:
    # What third-party code warns of is not ours, and what a process that is killed had measured is torn.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {"PYTHONWARNINGS", "PYTHONDEVMODE"} and not name.startswith("COVERAGE_")
    }
    return inherited | {
        "PYTHONPATH": os.pathsep.join([str(EXAMPLES), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        "REDIS_URL": redis_url,
        "GHL_BASE_URL": simulator.url,
        "GHL_ACCESS_TOKEN": simulator.server.token,
        "GHL_MAX_ATTEMPTS": "2",
        "GHL_PROCESSES": "2",
        "CALLS_DATABASE": str(folder / "calls.db"),
        "REDELIVER_AFTER": str(REDELIVER_AFTER),
    }


@contextmanager
def running_worker(variables: dict[str, str], folder: Path, *, processes: int) -> Iterator[Worker]:
    command = [*TASKIQ_WORKER, "--workers", str(processes), "--wait-tasks-timeout", "0.5"]
    log_file = folder / "worker.log"
    with (
        log_file.open("wb") as log,
        subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=variables, cwd=folder, start_new_session=True
        ) as process,
    ):
        worker = Worker(process, log_file, Path(variables["CALLS_DATABASE"]))
        try:
            worker.wait_until_ready(processes)
            yield worker
        finally:
            with suppress(ProcessLookupError):  # it has stopped
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def worker(redis_url: str, simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """Run two processes for all tests; each test has a location of its own."""
    folder = tmp_path_factory.mktemp("worker")
    with running_worker(environment(redis_url, simulator, folder), folder, processes=2) as worker:
        yield worker
        assert simulator.server.token not in worker.log


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tasks(redis_url: str) -> AsyncIterator[ModuleType]:
    """Import the tasks as a program that sends them does, whose broker is that of the environment."""
    for name in [name for name in sys.modules if name in {"worker.broker", "worker.tasks"}]:
        del sys.modules[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDIS_URL", redis_url)
        tasks = import_module("worker.tasks")
    await tasks.broker.startup()
    yield tasks
    await tasks.broker.shutdown()


async def result_of(task: AsyncTaskiqTask[Any]) -> TaskiqResult[Any]:
    return await task.wait_result(check_interval=0.02, timeout=PATIENCE)


async def until(condition: Callable[[], bool]) -> None:
    """Return when something that tells nobody has happened."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def test_a_call_that_ended_is_fetched_and_stored(worker: Worker, tasks: ModuleType, simulator: Simulator) -> None:
    (call_id,) = simulator.server.call_ids(1, "event")
    result = await result_of(await tasks.fetch_call.kiq(call_id, "event"))
    assert (result.is_err, result.return_value) == (False, None)
    expected = decode_call_log(simulator.server.call_log(call_id, "event"))
    assert {id_: decode_call_log(body) for id_, body in worker.stored("event").items()} == {call_id: expected}


async def test_a_batch_is_stored_and_its_summary_names_what_failed(
    worker: Worker, tasks: ModuleType, simulator: Simulator
) -> None:
    call_ids = simulator.server.call_ids(10, "batch")
    result = await result_of(await tasks.fetch_batch.kiq([*call_ids, "of-no-call", "a/b", call_ids[0]], "batch"))
    summary = result.return_value
    assert isinstance(summary, tasks.BatchSummary)
    assert (summary.stored_before, summary.fetched) == (0, 10)
    failed = {call.call_id: (call.error, call.message) for call in summary.failed}
    assert set(failed) == {"of-no-call", "a/b"}
    assert failed["of-no-call"] == (
        "NotFoundError",
        f"HTTP 404: Not Found [call 'of-no-call' of location 'batch', 1 attempt] {NotFoundError.advice}",
    )
    assert failed["a/b"][0] == "InvalidInputError"
    assert set(worker.stored("batch")) == set(call_ids)
    assert worker.failures("batch") == {"of-no-call": "NotFoundError", "a/b": "InvalidInputError"}


async def test_an_id_that_is_no_text_fails_and_not_the_batch_with_it(
    worker: Worker, tasks: ModuleType, simulator: Simulator
) -> None:
    (call_id,) = simulator.server.call_ids(1, "no-text")
    result = await result_of(await tasks.fetch_batch.kiq([call_id, "c\ud83d", f"{call_id}\0"], "no-text"))
    assert result.error is None
    assert [call.error for call in result.return_value.failed] == ["InvalidInputError"] * 2
    assert set(worker.stored("no-text")) == {call_id}
    assert worker.failures("no-text") == dict.fromkeys(["c\\ud83d", f"{call_id}\0"], "InvalidInputError")


async def test_the_commands_of_the_page_send_calls_and_print_what_is_said(
    worker: Worker, simulator: Simulator, redis_url: str, tmp_path: Path
) -> None:
    call_ids = simulator.server.call_ids(40)
    (tmp_path / "ids.txt").write_text("\n".join(call_ids))
    (block,) = [block for block in blocks_of("docs/worker.md") if "-m worker.enqueue" in block.text]
    for command, said in commands_of(block.text):
        typed = command.replace("python", sys.executable, 1)
        variables = environment(redis_url, simulator, tmp_path)
        printed = await asyncio.to_thread(
            subprocess.check_output, typed, shell=True, cwd=tmp_path, env=variables, text=True, timeout=PATIENCE
        )
        assert printed == said
    assert set(worker.stored(simulator.server.location_id)) == set(call_ids)


async def test_what_goes_through_redis_is_no_call_log(
    worker: Worker, tasks: ModuleType, simulator: Simulator, redis_url: str
) -> None:
    call_ids = simulator.server.call_ids(10, "private")
    task = await tasks.fetch_batch.kiq(call_ids, "private")
    await result_of(task)
    with Redis.from_url(redis_url) as redis:
        size = redis.strlen(f"ended-calls-result:{task.task_id}")
    assert set(worker.stored("private")) == set(call_ids)
    assert isinstance(size, int)
    assert 0 < size < 500


async def test_an_error_crosses_the_process_boundary_without_words(
    worker: Worker, tasks: ModuleType, simulator: Simulator
) -> None:
    async with VoiceAIClient(simulator.server.token, base_url=simulator.url) as client:
        with pytest.raises(NotFoundError) as raised:
            await client.get_call_log("of-no-call", "whole")
    result = await result_of(await tasks.fetch_call.kiq("of-no-call", "whole"))
    assert type(result.error) is NotFoundError
    assert whole(result.error) == whole(without_words(raised.value))
    assert (result.error.call_id, result.error.location_id, result.error.attempts) == ("of-no-call", "whole", 1)
    assert "NotFoundError: HTTP 404: Not Found [call 'of-no-call' of location 'whole'" in worker.log


def whole(error: NotFoundError) -> dict[str, Any]:
    return {**vars(error), "headers": dict(error.headers), "text": str(error), "args": error.args}


async def test_no_word_of_a_server_is_in_redis_or_in_the_log(
    worker: Worker, tasks: ModuleType, simulator: Simulator, redis_url: str
) -> None:
    quoted = '{"message": "cannot index: my name is Ada, +15550001111", "transcript": "human: Ada"}'
    fault = Status(422, quoted, headers={"X-Quote": "human: Ada", "Set-Cookie": "session=of-ada"})
    simulator.server.fail(fault, times=2, call_id="quoted")

    event = await tasks.fetch_call.kiq("quoted", "words")
    batch = await tasks.fetch_batch.kiq(["quoted"], "words")
    results = [await result_of(event), await result_of(batch)]

    with Redis.from_url(redis_url) as redis:
        kept = [str(redis.get(f"ended-calls-result:{task.task_id}")) for task in (event, batch)]
    assert type(results[0].error) is UnprocessableEntityError
    assert [call.error for call in results[1].return_value.failed] == ["UnprocessableEntityError"]
    for text in (*kept, worker.log):
        assert [word for word in ("Ada", "ada", "+1555", "cannot index") if word in text] == []
        assert f"422: {HTTPStatus(422).phrase}" in text  # which Python 3.13 has changed
    assert worker.failures("words") == {"quoted": "UnprocessableEntityError"}


async def test_a_refused_token_is_said_clearly_and_the_worker_goes_on_when_it_is_right(
    worker: Worker, tasks: ModuleType, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_ids = simulator.server.call_ids(5, "refused")
    with monkeypatch.context() as patch:
        patch.setattr(simulator.server, "token", "pit-new")
        refused = await result_of(await tasks.fetch_batch.kiq(call_ids, "refused"))
        refused_event = await result_of(await tasks.fetch_call.kiq(call_ids[0], "refused"))
    assert type(refused.error) is AuthenticationError
    assert type(refused_event.error) is AuthenticationError
    said = "HTTP 401: Unauthorized"
    advice = "Check the token, and that it belongs to this location."
    assert str(refused.error).startswith(said)
    assert str(refused.error).endswith(advice)
    (line,) = [line for line in worker.log.splitlines() if "5 of 5 calls" in line]
    assert f"not fetched: AuthenticationError: {said}" in line
    assert line.endswith(advice)
    assert worker.failures("refused") == dict.fromkeys(call_ids, "AuthenticationError")

    again = await result_of(await tasks.fetch_batch.kiq(call_ids, "refused"))
    assert again.return_value == tasks.BatchSummary(stored_before=0, fetched=5, failed=[])
    assert worker.failures("refused") == {}


async def test_a_server_that_is_away_is_said_clearly_and_the_worker_goes_on_when_it_is_back(
    worker: Worker, tasks: ModuleType, simulator: Simulator
) -> None:
    call_ids = simulator.server.call_ids(5, "away")
    simulator.stop()
    try:
        batch, event = await tasks.fetch_batch.kiq(call_ids, "away"), await tasks.fetch_call.kiq(call_ids[0], "away")
        missed, missed_event = await result_of(batch), await result_of(event)
    finally:
        simulator.start()
    assert {(call.call_id, call.error) for call in missed.return_value.failed} == {
        (call_id, "TransportError") for call_id in call_ids
    }
    assert type(missed_event.error) is TransportError
    assert missed_event.error.attempts == 2
    (line,) = [line for line in worker.log.splitlines() if "5 of the batch failed with TransportError" in line]
    assert "of location 'away', 2 attempts]" in line

    again = await result_of(await tasks.fetch_batch.kiq(call_ids, "away"))
    assert again.return_value == tasks.BatchSummary(stored_before=0, fetched=5, failed=[])


async def test_a_batch_that_takes_longer_than_a_redelivery_is_not_run_twice(
    worker: Worker, tasks: ModuleType, simulator: Simulator
) -> None:
    call_ids = simulator.server.call_ids(2, "long")
    simulator.server.fail(Latency(1.6 * REDELIVER_AFTER), call_id=call_ids[0], location_id="long")
    result = await result_of(await tasks.fetch_batch.kiq(call_ids, "long"))
    assert result.return_value == tasks.BatchSummary(stored_before=0, fetched=2, failed=[])
    assert set(worker.stored("long")) == set(call_ids)
    assert [simulator.server.seen.calls[call_id] for call_id in call_ids] == [1, 1]


async def test_when_a_worker_is_killed_nothing_is_lost_and_only_what_is_missing_is_fetched_again(
    worker: Worker, tasks: ModuleType, simulator: Simulator, redis_url: str
) -> None:
    unanswered, *answered = call_ids = simulator.server.call_ids(20, "killed")
    simulator.server.fail(Silence(), call_id=unanswered, location_id="killed")
    task = await tasks.fetch_batch.kiq(call_ids, "killed")
    await until(lambda: set(worker.stored("killed")) == set(answered))
    with Redis.from_url(redis_url) as redis:
        os.kill(busy_process(redis), signal.SIGKILL)
        result = await result_of(task)
        await until(lambda: redis.xlen("ended-calls") == 0)
    await until(lambda: "is dead. Scheduling reload." in worker.log)
    assert result.return_value == tasks.BatchSummary(stored_before=19, fetched=1, failed=[])
    assert set(worker.stored("killed")) == set(call_ids)
    assert [simulator.server.seen.calls[call_id] for call_id in call_ids] == [2] + [1] * 19


def busy_process(redis: Redis) -> int:
    """Return the id of the one process that has a message: it is in its name."""
    consumers: Any = redis.xinfo_consumers("ended-calls", "workers")
    (busy,) = [consumer["name"].decode() for consumer in consumers if consumer["pending"]]
    return int(busy.rpartition("-")[2])


async def test_a_worker_that_is_told_to_stop_leaves_what_it_cannot_finish_to_the_next(
    redis_url: str, simulator: Simulator, tmp_path: Path
) -> None:
    unanswered, *answered = call_ids = simulator.server.call_ids(5, "stopped")
    simulator.server.fail(Silence(), call_id=unanswered, location_id="stopped")
    variables = environment(f"{redis_url}/1", simulator, tmp_path) | {"PYTHONWARNINGS": "default::ResourceWarning"}
    with enqueueing(call_ids, "stopped", variables) as enqueue:
        with running_worker(variables, tmp_path, processes=1) as worker:
            await until(lambda: set(worker.stored("stopped")) == set(answered))
            worker.process.terminate()
            assert await asyncio.to_thread(worker.process.wait, PATIENCE) == 0
            assert "is left to another process, since this one stops" in worker.log
            for word in ("WARNING", "ERROR", "Warning", "Traceback"):
                assert word not in worker.log
        with running_worker(variables, tmp_path, processes=1):
            printed, _ = await asyncio.to_thread(enqueue.communicate, timeout=PATIENCE)
    assert printed == "BatchSummary(stored_before=4, fetched=1, failed=[])\n"


async def test_a_message_that_is_wrong_in_itself_is_not_delivered_again(worker: Worker, tasks: ModuleType) -> None:
    result = await result_of(await tasks.fetch_batch.kiq(7, "wrong"))
    assert isinstance(result.error, TypeError)


async def test_who_sends_is_told_when_there_is_no_worker(redis_url: str, simulator: Simulator, tmp_path: Path) -> None:
    impatient = (
        "import asyncio; from worker import enqueue; enqueue.PATIENCE = 0.1; asyncio.run(enqueue.main(['L', 'c1']))"
    )
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", impatient],
        env=environment(f"{redis_url}/3", simulator, tmp_path),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("No worker is running. What was sent waits in Redis")
    with Redis.from_url(f"{redis_url}/3") as redis:
        assert redis.xlen("ended-calls") == 1


async def test_who_sends_sees_that_there_is_a_worker(worker: Worker, tasks: ModuleType) -> None:
    await result_of(await tasks.fetch_call.kiq("of-no-call", "seen"))
    assert await tasks.broker.has_workers()


async def test_the_demo_loses_no_call(tmp_path: Path) -> None:
    need("redis-server")
    small = (
        "from worker import demo; demo.LOCATIONS, demo.BATCH, demo.PATIENCE = ('dentist', 'garage'), 6, 40; demo.main()"
    )
    paths = os.pathsep.join([str(EXAMPLES), str(ROOT)])
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", small],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": paths},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "asked for:              26 calls\nstored:                 26, each once\n" in ended.stdout
    assert "the error of no call:   NotFoundError" in ended.stdout


async def test_without_a_token_a_process_says_so_in_one_line_and_ends(
    redis_url: str, simulator: Simulator, tmp_path: Path
) -> None:
    command = [*TASKIQ_WORKER, "--workers", "1", "--max-fails", "1"]
    variables = {**environment(f"{redis_url}/2", simulator, tmp_path), "GHL_ACCESS_TOKEN": ""}
    ended = await asyncio.to_thread(
        subprocess.run, command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
    )
    (line,) = [line for line in ended.stderr.splitlines() if "GHL_ACCESS_TOKEN" in line]
    assert line.startswith("This worker process cannot start: ")
    assert "Traceback" not in ended.stderr
    assert "no attribute" not in ended.stderr


async def test_a_worker_waits_for_a_redis_that_is_away_and_goes_on_when_it_is_back(
    simulator: Simulator, tmp_path: Path
) -> None:
    need("redis-server")
    port = free_port()
    url = f"redis://127.0.0.1:{port}"
    variables = environment(url, simulator, tmp_path)
    late, *prompt = call_ids = simulator.server.call_ids(5, "redis")
    simulator.server.fail(Latency(1.0), call_id=late, location_id="redis")
    with ExitStack() as stack:
        with running_redis_server_at(port, str(tmp_path)):
            worker = stack.enter_context(running_worker(variables, tmp_path, processes=1))
            with enqueueing(call_ids, "redis", variables):
                await until(lambda: set(worker.stored("redis")) == set(prompt))
        await until(lambda: "Redis is away" in worker.log)
        with running_redis_server_at(port, str(tmp_path)), Redis.from_url(url) as redis:
            await until(lambda: redis.xlen("ended-calls") == 0)
            with enqueueing(simulator.server.call_ids(2, "back"), "back", variables) as enqueue:
                printed, _ = await asyncio.to_thread(enqueue.communicate, timeout=PATIENCE)
    assert printed == "BatchSummary(stored_before=0, fetched=2, failed=[])\n"
    assert set(worker.stored("redis")) == set(call_ids)
    assert worker.log.count("Listening started.") == 1


async def test_reading_ends_when_it_is_cancelled_even_where_redis_loses_that(
    tasks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_reading = asyncio.Event()

    async def read_and_lose_the_cancellation(*_: Any, **__: Any) -> list[Any]:
        if is_reading.is_set():
            await asyncio.Event().wait()
        is_reading.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return []

    monkeypatch.setattr("redis.asyncio.Redis.xreadgroup", read_and_lose_the_cancellation)
    reading = asyncio.create_task(anext(tasks.broker.listen(), "the end"))
    await is_reading.wait()
    reading.cancel()
    async with asyncio.timeout(PATIENCE):
        assert await reading == "the end"


async def test_what_cannot_be_stored_is_delivered_again_until_it_can(
    worker: Worker, tasks: ModuleType, simulator: Simulator, redis_url: str
) -> None:
    call_ids = simulator.server.call_ids(5, "full")
    with closing(sqlite3.connect(worker.database)) as database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON call_logs WHEN NEW.location_id = 'full' "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
        database.commit()
        batch = await tasks.fetch_batch.kiq(call_ids, "full")
        event = await tasks.fetch_call.kiq(call_ids[0], "full")
        try:
            said = [f"task {task.task_id} stays in Redis and is run again later: " for task in (batch, event)]
            await until(lambda: all(worker.log.count(line) >= 2 for line in said))
            assert not await batch.is_ready()
            assert not await event.is_ready()
        finally:
            database.execute("DROP TRIGGER full")
            database.commit()
    assert (await result_of(event)).error is None
    summary = (await result_of(batch)).return_value
    assert (summary.stored_before + summary.fetched, summary.failed) == (5, [])
    assert set(worker.stored("full")) == set(call_ids)
    with Redis.from_url(redis_url) as redis:
        await until(lambda: redis.xlen("ended-calls") == 0)


@contextmanager
def enqueueing(call_ids: list[str], location_id: str, variables: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run the program that sends calls, which waits for what becomes of them."""
    command = [sys.executable, "-m", "worker.enqueue", location_id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables, text=True) as process:
        try:
            assert process.stdin is not None
            process.stdin.write("\n".join(call_ids))
            process.stdin.close()
            process.stdin = None
            yield process
        finally:
            process.kill()
