"""Handlers in child processes: what they may ask, how they end, and that nobody else pays for it.

A handler tells that it runs on a pipe, which ends when no process holds it any more: so a test knows that one is dead.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pytest

from penstock import App, Delivery, Outcome, WorkerOptions
from penstock.engine import lookout
from penstock.engine.executors import process
from penstock.errors import ChildDied, ChildRaised, ConfigurationError, JobCancelled, JobFailed, ResultUnavailable
from penstock.model.events import JobStuck
from penstock.model.job import JobView
from tests.integration.cli.console import PATIENCE, Console
from tests.integration.play import PROGRAMS, heard, program, until

TWO = WorkerOptions(children=2)


@dataclass
class Line:
    """A named pipe that a handler writes its pid to."""

    path: Path
    pipe: TextIO | None = None

    async def pid(self) -> int:
        def first() -> int:
            self.pipe = self.path.open()
            return int(self.pipe.readline())

        return await asyncio.wait_for(asyncio.to_thread(first), PATIENCE)

    async def ended(self) -> None:
        """Everybody who had it open is dead."""
        assert self.pipe is not None
        assert await asyncio.wait_for(asyncio.to_thread(self.pipe.read), PATIENCE) == ""

    def close(self) -> None:
        if self.pipe is not None:
            self.pipe.close()


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[list[Line]]:
    """Three of them."""
    made = [Line(tmp_path / f"line-{number}") for number in range(3)]
    for line in made:
        os.mkfifo(line.path)
    yield made
    for line in made:
        line.close()


@pytest.fixture
async def apart(fast: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """The program, imported by this process under the name that its children import it by."""
    monkeypatch.setenv("PENSTOCK_STORE", f"sqlite:///{fast}/shop.db")
    monkeypatch.syspath_prepend(PROGRAMS)
    monkeypatch.delitem(sys.modules, "apart", raising=False)
    module = importlib.import_module("apart")
    yield module
    await module.app.close()
    del sys.modules["apart"]


async def view_of(app: App, id: str) -> JobView:
    view = await (await app._link.opened()).inspect.job(id)
    assert view is not None
    return view


async def failure_of(job: Any) -> str:
    with pytest.raises(JobFailed) as caught:
        await job.result(timeout=PATIENCE)
    return str(caught.value)


# -- what a handler has there


@pytest.mark.parametrize("name", ["facts", "async_facts"])
async def test_a_handler_has_its_context_in_the_child(apart: Any, name: str) -> None:
    task = vars(apart)[name]
    async with apart.app.worker(TWO):
        job = await task.using(headers={"tenant": "a"}).enqueue(7)
        facts = await job.result(timeout=PATIENCE)
        again = await (await task.enqueue(8)).result(timeout=PATIENCE)
    assert facts.pid != os.getpid()
    assert facts.pid == facts.state == facts.injected == again.pid == again.state, "one lifespan a child, and children are used again"
    assert (facts.number, facts.attempt, facts.job_id, facts.headers, facts.cancelled) == (7, 1, job.id, {"tenant": "a"}, False)
    assert facts.main_thread is (name == "async_facts")
    assert again.headers == {}


async def test_progress_and_chains_cross_into_the_child(apart: Any, lines: list[Line]) -> None:
    work, go, _ = lines
    async with apart.app.worker(TWO) as worker:
        then = apart.render.using(id="rendered").bind(str(work.path), str(go.path))
        await apart.facts.using(then=then).enqueue(7)
        pid = await work.pid()
        rendering = apart.app.job("rendered")

        async def told() -> bool:
            return await rendering.progress() is not None

        await until(apart.app, told)
        progress = await rendering.progress()
        assert (progress.fraction, progress.note) == (0.5, f"in {pid}")
        await asyncio.to_thread(go.path.write_text, "go")
        assert (await rendering.result(timeout=PATIENCE))["number"] == 7
        await worker.idle()


async def test_results(apart: Any) -> None:
    async with apart.app.worker(TWO):
        assert await (await apart.nothing.enqueue()).result(timeout=PATIENCE) is None
        with pytest.raises(ResultUnavailable, match="object"):
            await (await apart.unfit_result.enqueue()).result(timeout=PATIENCE)


@pytest.mark.parametrize("name", ["enqueues", "async_enqueues"])
async def test_what_it_enqueues_goes_to_the_same_store(apart: Any, name: str) -> None:
    async with apart.app.worker(TWO):
        id = await (await vars(apart)[name].enqueue(21)).result(timeout=PATIENCE)
        assert await apart.app.job(id).result(timeout=PATIENCE) == 42


async def test_it_inherits_nothing_of_the_store(apart: Any, fast: Path) -> None:
    async with apart.app.worker(TWO):
        found = await (await apart.descriptors.enqueue()).result(timeout=PATIENCE)
    assert any(name.startswith("socket:") for name in found)
    assert [name for name in found if name.startswith(str(fast))] == []


# -- how it ends


@pytest.mark.parametrize(
    ("how", "attempts", "reason", "error"),
    [
        ("error", 3, "failed 3 times", ("ValueError", "not good")),
        ("gives up", 1, "gave up on KeyError", ("KeyError", "'gone'")),
        ("reject", 1, "no such thing", ("Reject", "no such thing")),
        ("exit", 3, "failed 3 times", ("RuntimeError", "the handler raised SystemExit: enough")),
        ("stop", 3, "failed 3 times", ("RuntimeError", "the handler raised StopIteration: ")),
    ],
)
async def test_an_error_keeps_what_it_means(apart: Any, how: str, attempts: int, reason: str, error: tuple[str, str]) -> None:
    async with apart.app.worker(TWO):
        job = await apart.end.enqueue(how)
        await failure_of(job)
    letter = await (await apart.app._link.opened()).inspect.letter(job.id)
    assert letter is not None and letter.error is not None
    assert (letter.attempts, letter.reason) == (attempts, reason)
    assert (letter.error.type, letter.error.message) == error
    assert "apart.py" in letter.error.traceback and "in end\n" in letter.error.traceback


async def test_retry_after_and_snooze(apart: Any, tmp_path: Path) -> None:
    async with apart.app.worker(TWO):
        counted = await apart.later.enqueue("retry", str(tmp_path / "a"))
        uncounted = await apart.later.enqueue("snooze", str(tmp_path / "b"))
        assert await counted.result(timeout=PATIENCE) == 2
        assert await uncounted.result(timeout=PATIENCE) == 1
    assert [step.what for step in (await view_of(apart.app, uncounted.id)).history] == ["snoozed"]


async def test_middleware_and_on_error_run_in_the_worker(apart: Any) -> None:
    seen: list[tuple[int, str]] = []

    async def watching(delivery: Delivery, next: Any) -> Outcome:
        outcome: Outcome = await next(delivery)
        seen.append((os.getpid(), type(outcome).__name__))
        return outcome

    apart.app.use(watching)
    async with apart.app.worker(TWO):
        await failure_of(await apart.end.enqueue("gives up"))
    assert seen == [(os.getpid(), "Dead")]
    ((pid, task, error),) = apart.errors
    assert (pid, task, str(error)) == (os.getpid(), "shop.end", "KeyError: 'gone'")
    assert isinstance(error, ChildRaised) and "in end\n" in error.traceback


# -- crashes


async def test_a_crash_is_a_failed_attempt_of_its_job_only(apart: Any, lines: list[Line], tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    async with apart.app.worker(TWO):
        other = await apart.wait.enqueue(str(lines[0].path), str(go))
        await lines[0].pid()
        crashed = await apart.crash.enqueue("segfault")
        assert "ChildDied: its child process died: exit code -11 (SIGSEGV)" in await failure_of(crashed)
        await asyncio.to_thread(go.write_text, "done")
        assert await other.result(timeout=PATIENCE) == "done"
    error = (await view_of(apart.app, crashed.id)).history[-1].error
    assert error is not None
    assert "last words" in error.traceback
    assert "Segmentation fault" in error.traceback and "in crash" in error.traceback, "and where it was"
    assert (await view_of(apart.app, other.id)).history == ()


async def test_a_child_that_exits(apart: Any) -> None:
    async with apart.app.worker(TWO):
        assert "its child process died: exit code 3" in await failure_of(await apart.crash.enqueue("exit"))


async def test_a_child_that_is_killed_from_outside(apart: Any, lines: list[Line]) -> None:
    async with apart.app.worker(TWO):
        job = await apart.hang.enqueue(str(lines[0].path))
        os.kill(await lines[0].pid(), signal.SIGKILL)
        assert "exit code -9 (SIGKILL), not sent by its worker: out of memory?" in await failure_of(job)


async def test_memory(apart: Any, lines: list[Line]) -> None:
    async with apart.app.worker(TWO):
        job = await apart.hog.enqueue(str(lines[0].path))
        await lines[0].pid()
        text = await failure_of(job)
        await lines[0].ended()
    assert "ChildDied: its child process was killed: used " in text and " MB, its limit is 150 MB" in text


async def test_a_timeout_kills_the_child_and_what_it_started(apart: Any, lines: list[Line]) -> None:
    async with apart.app.worker(TWO):
        job = await apart.late.enqueue(str(lines[0].path))
        await lines[0].pid()
        assert "TimeoutError: shop.late ran longer than its timeout" in await failure_of(job)
        await lines[0].ended()
        assert (await (await apart.facts.enqueue(1)).result(timeout=PATIENCE)).number == 1


async def test_the_timeout_begins_with_the_handler(apart: Any, lines: list[Line], tmp_path: Path) -> None:
    """It waits for a child for longer than its timeout."""
    go = tmp_path / "go"
    os.mkfifo(go)
    async with apart.app.worker(WorkerOptions(children=1)):
        first = await apart.wait.enqueue(str(lines[0].path), str(go))
        await lines[0].pid()
        second = await apart.facts.using(timeout=0.5).enqueue(1)
        await until(apart.app, lambda: is_status(second, "running"))
        await moment(1.0)
        await asyncio.to_thread(go.write_text, "")
        await first.result(timeout=PATIENCE)
        assert (await second.result(timeout=PATIENCE)).attempt == 1


async def is_status(job: Any, status: str) -> bool:
    return bool(await job.status() == status)


async def moment(seconds: float) -> None:
    """Lets a deadline of the engine's pass."""
    passed = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(seconds, passed.set_result, None)
    await passed


async def test_a_child_that_cannot_start(apart: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker works on, and so do children as soon as they can."""
    async with apart.app.worker(TWO):
        with monkeypatch.context() as broken:
            broken.setenv("APART_BROKEN", "1")
            text = await failure_of(await apart.facts.enqueue(1))
        assert "its child process cannot start: cannot import apart:app: " in text and "RuntimeError: no good here" in text
        assert (await (await apart.facts.enqueue(2)).result(timeout=PATIENCE)).number == 2


async def test_one_that_is_stuck_is_told_of_with_its_process(apart: Any, lines: list[Line], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "LOOK", 0.05)
    told: asyncio.Queue[JobStuck] = asyncio.Queue()
    apart.app.signals.listen(lambda event: told.put_nowait(event) if isinstance(event, JobStuck) else None)
    async with apart.app.worker(WorkerOptions(children=1, stuck_after=0.01, shutdown_timeout=0)):
        job = await apart.hang.enqueue(str(lines[0].path))
        child = await lines[0].pid()
        stuck = await asyncio.wait_for(told.get(), PATIENCE)
    assert (stuck.job_id, stuck.task) == (job.id, "shop.hang")
    assert stuck.stack.endswith(f"child process {child}\n"), "not while it waited for one"


# -- cancellation and shutdown


@pytest.mark.parametrize("name", ["obey", "async_obey"])
async def test_a_cancellation_is_told_first(apart: Any, lines: list[Line], tmp_path: Path, name: str) -> None:
    async with apart.app.worker(WorkerOptions(children=1)):
        job = await vars(apart)[name].enqueue(str(lines[0].path), str(tmp_path / "told"))
        pid = await lines[0].pid()
        assert await job.cancel() == "requested"
        await lines[0].ended()
        await until(apart.app, lambda: has_ended(job))
        assert (tmp_path / "told").exists()
        after = await (await apart.facts.enqueue(1)).result(timeout=PATIENCE)
    assert after.pid == pid, "it ended by itself, so it is used again"
    assert await job.status() == ("done" if name == "obey" else "cancelled")


async def has_ended(job: Any) -> bool:
    return await job.status() in ("done", "cancelled", "dead")


async def test_one_that_does_not_listen_is_killed(apart: Any, lines: list[Line], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "CANCEL_PATIENCE", 0.2)
    async with apart.app.worker(TWO):
        job = await apart.hang.enqueue(str(lines[0].path))
        await lines[0].pid()
        await job.cancel()
        await lines[0].ended()
        with pytest.raises(JobCancelled):
            await job.result(timeout=PATIENCE)


async def test_signals_are_the_workers_to_answer(apart: Any, lines: list[Line], tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    async with apart.app.worker(WorkerOptions(children=1)):
        job = await apart.wait.enqueue(str(lines[0].path), str(go))
        child = await lines[0].pid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            os.kill(child, number)
        await asyncio.to_thread(go.write_text, "not impressed")
        assert await job.result(timeout=PATIENCE) == "not impressed"
        assert await (await apart.blocked_signals.enqueue()).result(timeout=PATIENCE) == []
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


async def test_a_shutdown_lets_it_end(apart: Any, lines: list[Line], tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    async with apart.app.worker(TWO) as worker:
        job = await apart.wait.enqueue(str(lines[0].path), str(go))
        await lines[0].pid()
        stopping = asyncio.create_task(worker.stop())
        await asyncio.to_thread(go.write_text, "in time")
        await stopping
    assert await job.result(timeout=PATIENCE) == "in time"


@pytest.mark.parametrize("now", [False, True])
async def test_a_shutdown_kills_what_does_not_end(apart: Any, lines: list[Line], now: bool) -> None:
    async with apart.app.worker(WorkerOptions(children=2, shutdown_timeout=0.2)) as worker:
        job = await apart.hang.enqueue(str(lines[0].path))
        await lines[0].pid()
        await worker.stop(now)
        await lines[0].ended()
    view = await view_of(apart.app, job.id)
    assert (view.status, view.attempt, view.deaths, view.history) == ("unroutable", 0, 0, ()), "nobody is there who would run it"


async def test_the_command_says_how_many(lines: list[Line], apart: Any) -> None:
    console = Console(PROGRAMS, os.environ["PENSTOCK_STORE"])
    with console.started("worker", "apart:app", "--children", "3", "--shutdown-timeout", "0.1s") as running:
        running.until("jobs at once from")
        for line in lines:
            await apart.hang.enqueue(str(line.path))
        assert len({await line.pid() for line in lines}) == 3
        assert running.stop() == 0
        for line in lines:
            await line.ended()


async def test_children_log_as_their_worker_does(apart: Any) -> None:
    console = Console(PROGRAMS, os.environ["PENSTOCK_STORE"])
    with console.started("worker", "apart:app", "--log-format", "json") as running:
        pid = await (await apart.logs.enqueue("a line")).result(timeout=PATIENCE)
        line = json.loads(await heard(running, r"^\{.*a line.*\}$"))
        assert (line["pid"], line["logger"], line["message"]) == (pid, "apart", "a line")


async def test_children_die_with_their_worker(fast: Path, lines: list[Line], apart: Any) -> None:
    """SIGKILL to a worker process: its parent starts another one, which runs the jobs again."""
    console = Console(PROGRAMS, os.environ["PENSTOCK_STORE"])
    with console.started("worker", "apart:app", "--shutdown-timeout", "0.1s") as running:
        running.until("jobs at once from")
        jobs = [await apart.hang.enqueue(str(line.path)) for line in lines[:2]]
        children = [await line.pid() for line in lines[:2]]
        (worker,) = {int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1]) for child in children}
        os.kill(worker, signal.SIGKILL)
        for line in lines[:2]:
            await line.ended()
            line.close()
        for line in lines[:2]:
            assert await line.pid() not in children
        for job in jobs:
            assert (await view_of(apart.app, job.id)).deaths == 1


# -- children


async def test_a_child_is_replaced_after_some_jobs(apart: Any) -> None:
    async with apart.app.worker(WorkerOptions(children=1, child_jobs=2)):
        pids = [(await (await apart.facts.enqueue(n)).result(timeout=PATIENCE)).pid for n in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]


async def test_idle_children_leave_their_lifespan(apart: Any, lines: list[Line], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APART_LEFT", str(tmp_path))
    async with apart.app.worker(WorkerOptions(children=1, child_idle=0.05)):
        await apart.stay.enqueue(str(lines[0].path))
        first = await lines[0].pid()
        await lines[0].ended()
        assert (tmp_path / str(first)).exists()
        second = await (await apart.facts.enqueue(2)).result(timeout=PATIENCE)
    assert second.pid != first
    assert (tmp_path / str(second.pid)).exists(), "the worker's stop lets idle ones leave, too"


# -- finding the app


async def test_an_app_that_a_child_cannot_find(fast: Path) -> None:
    hidden = App(f"sqlite:///{fast}/hidden.db", name="hidden")

    @hidden.task(isolation="process")
    def work() -> None: ...

    with pytest.raises(ConfigurationError, match=r"task 'hidden\.work': isolation='process' needs an app .* variable of a module"):
        async with hidden.worker():
            raise AssertionError
    await hidden.close()


async def test_a_program_that_was_started_as_a_file(apart: Any, fast: Path) -> None:
    with program("apart.py", store=fast / "shop.db") as running:
        await heard(running, "ready")
        facts = await (await apart.facts.enqueue(5)).result(timeout=PATIENCE)
        assert facts.number == 5 and facts.pid != running.process.pid
        assert running.stop() == 0


@pytest.mark.parametrize("how", [("apart_main.py",), ("-m", "apart_main")])
async def test_tasks_in_the_program_that_was_started_of_an_app_elsewhere(fast: Path, how: tuple[str, ...]) -> None:
    with program(*how, store=fast / "shop.db") as running:
        await heard(running, "in a child: True")


async def test_tasks_in_a_module_that_the_apps_own_does_not_import(apart: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "apart_more", raising=False)
    more = importlib.import_module("apart_more")
    async with apart.app.worker(TWO):
        assert await (await more.elsewhere.enqueue()).result(timeout=PATIENCE) != os.getpid()
    async with apart.app.worker(TWO):
        with monkeypatch.context() as broken:
            broken.setenv("APART_MORE_BROKEN", "1")
            text = await failure_of(await more.elsewhere.enqueue())
    assert "its child process cannot start: cannot import apart_more: " in text and "RuntimeError: no good there" in text


async def test_the_dead_child_is_told_to_on_error(apart: Any) -> None:
    async with apart.app.worker(TWO):
        await failure_of(await apart.crash.enqueue("exit"))
    ((_, _, error),) = apart.errors
    assert isinstance(error, ChildDied) and error.__notes__ == ["the last it wrote to stderr:\nlast words"]
