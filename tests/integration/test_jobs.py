"""The life of a job, seen from where it was enqueued."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock import App, Context, Delivery, Outcome, Reject, Retry, Snooze, Transaction, WorkerOptions, inject, testing
from penstock.errors import ConfigurationError, JobCancelled, JobFailed, QueueFull, ResultUnavailable
from penstock.model.job import JobView
from tests.integration.cli.console import PATIENCE
from tests.integration.play import heard, opened, program, rows, until

ONCE = Retry(attempts=1)
SOON = Retry(attempts=20, first=0.01, factor=1.0)
ONE = WorkerOptions(concurrency=1)


async def view_of(app: App, job_id: str) -> JobView:
    view = await (await app._link.opened()).inspect.job(job_id)
    assert view is not None
    return view


async def ran(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE):
        await event.wait()


# -- how it ends


async def test_a_result_crosses_processes(shop: App, fast: Path) -> None:
    @shop.task()
    async def send(address: str, layout: str = "plain") -> str:
        raise AssertionError

    job = await send.enqueue("ada", layout="fancy")
    with program("mailer.py", "new", store=fast / "shop.db"):
        assert await job.result(timeout=PATIENCE) == "new ada fancy"
        assert await asyncio.to_thread(shop.job(job.id).sync.result, timeout=PATIENCE) == "new ada fancy"
        async with opened(fast / "shop.db") as elsewhere:
            assert await elsewhere.job(job.id).result(timeout=PATIENCE) == "new ada fancy"


async def test_a_failed_job_tells_its_last_error(shop: App) -> None:
    @shop.task(retry=Retry(attempts=3))
    async def fail(ctx: Context) -> None:
        raise KeyError(f"attempt {ctx.attempt}")

    @shop.task(retry=Retry(attempts=3, give_up=(ValueError,)))
    async def give_up() -> None:
        raise ValueError("never")

    @shop.task()
    async def reject() -> None:
        raise Reject("no such user")

    told = {fail: "KeyError: 'attempt 3'", give_up: "ValueError: never", reject: "Reject: no such user"}
    async with testing.run(shop) as kit:
        jobs = {task: await task.enqueue() for task in told}
        report = await kit.advance("10s", raise_errors=False)
        for task, job in jobs.items():
            with pytest.raises(JobFailed, match=f"{task.name}.*{told[task]}"):
                await job.result()
        assert [len(report.of(task)) for task in told] == [3, 1, 1]


async def test_a_cancelled_job_never_runs_or_is_stopped(shop: App) -> None:
    begun = asyncio.Event()
    stopped: list[str] = []

    @shop.task()
    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append("cancelled")
            raise

    waiting = await hang.enqueue()
    assert await waiting.cancel() == "cancelled"
    async with shop.worker():
        running = await hang.enqueue()
        await ran(begun)
        assert await running.cancel() == "requested"
        for job in (waiting, running):
            with pytest.raises(JobCancelled, match="was cancelled"):
                await job.result(timeout=PATIENCE)
    assert stopped == ["cancelled"]
    assert (await view_of(shop, running.id)).history == ()  # never retried


async def test_a_thread_is_told_by_its_flag(shop: App) -> None:
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    never = threading.Event()

    def until_told(ctx: Context) -> None:
        while not ctx.cancelled:
            never.wait(0.01)

    @shop.task(retry=ONCE)
    def cancelled(ctx: Context) -> None:
        loop.call_soon_threadsafe(begun.set)
        until_told(ctx)
        raise RuntimeError("stopped")

    @shop.task(retry=ONCE, timeout=0.2)
    def too_slow(ctx: Context) -> None:
        until_told(ctx)
        raise RuntimeError("stopped")

    async with shop.worker():
        job = await cancelled.enqueue()
        await ran(begun)
        assert await job.cancel() == "requested"
        with pytest.raises(JobCancelled):
            await job.result(timeout=PATIENCE)
        with pytest.raises(JobFailed, match=r"TimeoutError: shop\.too_slow ran longer than its timeout"):
            await (await too_slow.enqueue()).result(timeout=PATIENCE)


async def test_a_result_that_cannot_be_kept_does_not_fail_its_job(fast: Path) -> None:
    async with opened(fast / "shop.db", payload_limit=1024) as app:

        @app.task(retry=ONCE)
        async def large() -> str:
            return "x" * 2000

        @app.task(retry=ONCE)
        def unkept() -> object:
            return threading.Lock()

        async with app.worker():
            for task, why in ((large, "the result takes 2002 bytes, the limit is 1024"), (unkept, "cannot travel as JSON")):
                job = await task.enqueue()
                with pytest.raises(ResultUnavailable, match=why):
                    await job.result(timeout=PATIENCE)
                assert await job.status() == "done"


async def test_waiting_for_a_result_has_a_timeout(shop: App) -> None:
    @shop.task()
    async def work() -> None: ...

    job = await work.enqueue()
    for timeout in (0.01, timedelta(milliseconds=10)):
        with pytest.raises(TimeoutError):
            await job.result(timeout=timeout)
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(job.sync.result, timeout=0.01)
    assert await job.status() == "unroutable"


# -- who is told


async def test_a_hook_whose_worker_is_killed_is_still_told(shop: App, fast: Path) -> None:
    @shop.task()
    async def fail(order: int) -> None:
        raise AssertionError

    store, mark = fast / "shop.db", fast / "mark"
    job = await fail.enqueue(7)
    with program("mourner.py", str(mark), store=store) as first:
        await heard(first, f"killed before it told of {job.id}")
        assert await asyncio.to_thread(first.code) == -9
    assert await job.status() == "dead"
    with program("mourner.py", str(mark), store=store) as second:
        await heard(second, rf"told of {job.id} \{{'order': 7\}} KeyError: 'order 7'")


async def test_middleware_and_error_hooks_see_every_attempt(shop: App) -> None:
    seen: list[str] = []

    def stage(name: str) -> Callable[[Delivery, Callable[[Delivery], Awaitable[Outcome]]], Awaitable[Outcome]]:
        async def around(delivery: Delivery, next: Callable[[Delivery], Awaitable[Outcome]]) -> Outcome:
            seen.append(f"{name} {delivery.attempt}")
            outcome = await next(delivery)
            seen.append(f"{type(outcome).__name__} {name}")
            return outcome

        return around

    shop.use(stage("outer"))
    shop.use(stage("inner"))
    failed: list[tuple[int, str]] = []

    @shop.on_error
    async def report(delivery: Delivery, error: Exception) -> None:
        failed.append((delivery.attempt, repr(error)))
        raise RuntimeError("a hook that fails changes nothing")

    @shop.task()
    def work(ctx: Context) -> int:
        if ctx.attempt < 3:
            raise KeyError(ctx.attempt)
        return ctx.attempt

    async with testing.run(shop) as kit:
        job = await work.enqueue()
        await kit.advance("10s", raise_errors=False)
        assert await job.result() == 3
    tries = [[f"outer {n}", f"inner {n}", f"{how} inner", f"{how} outer"] for n, how in ((1, "Failed"), (2, "Failed"), (3, "Done"))]
    assert seen == [line for each in tries for line in each]
    assert failed == [(1, "KeyError(1)"), (2, "KeyError(2)")]


# -- what a handler is given


class Resources:
    def __init__(self) -> None:
        self.used = 0


async def test_injection_and_state_reach_both_kinds_of_handlers(fast: Path) -> None:
    entered: list[Resources] = []
    left: list[Resources] = []

    @asynccontextmanager
    async def resources() -> AsyncGenerator[Resources, None]:
        entered.append(Resources())
        yield entered[-1]
        left.append(entered[-1])

    async def get_client() -> str:
        return "client"

    async with opened(fast / "shop.db", lifespan=resources) as app:

        @app.task()
        async def on_the_loop(ctx: Context[Resources], n: int, client: str = inject(get_client)) -> str:
            ctx.state.used += n
            return client

        @app.task()
        def on_a_thread(ctx: Context[Resources], n: int, client: str = inject(get_client), limit: int = inject(lambda: 7)) -> str:
            ctx.state.used += n
            return f"{client} {limit}"

        async with app.worker(ONE):
            jobs = await app.enqueue_many([task.bind(n) for n in range(5) for task in (on_the_loop, on_a_thread)])
            assert {await job.result(timeout=PATIENCE) for job in jobs} == {"client", "client 7"}
            assert left == []
        with pytest.raises(TypeError, match="'client' is injected by the worker"):
            await on_the_loop.enqueue(1, client="mine")
    assert entered == left
    assert [state.used for state in entered] == [20]


async def test_a_worker_whose_state_has_another_type_claims_nothing(fast: Path) -> None:
    left: list[str] = []

    @asynccontextmanager
    async def resources() -> AsyncGenerator[str, None]:
        yield "not Resources"
        left.append("left")

    async with opened(fast / "shop.db", lifespan=resources) as app:

        @app.task()
        async def work(ctx: Context[Resources]) -> None:
            raise AssertionError

        job = await work.enqueue()

        async def start() -> None:
            async with app.worker():
                raise AssertionError

        with pytest.raises(ConfigurationError, match=r"'shop\.work' asks for Context\[Resources\], but the app's lifespan yields a str"):
            await start()
        assert await job.status() == "unroutable"
        assert (await view_of(app, job.id)).attempt == 0


async def test_def_handlers_run_at_once_on_threads(shop: App) -> None:
    together = threading.Barrier(4, timeout=PATIENCE)

    @shop.task(retry=ONCE)
    def meet(n: int) -> str:
        together.wait()
        return threading.current_thread().name

    async with shop.worker(WorkerOptions(concurrency=4)):
        jobs = await shop.enqueue_many([meet.bind(n) for n in range(4)])
        assert len({await job.result(timeout=PATIENCE) for job in jobs}) == 4


# -- when and in which order


async def test_priority_goes_first(shop: App) -> None:
    order: list[int] = []

    @shop.task()
    async def work(priority: int) -> None:
        order.append(priority)

    async with testing.run(shop, concurrency=1) as kit:
        for priority in (0, 9, 4, 7, 9, 1):
            await work.using(priority=priority).enqueue(priority)
        await kit.drain()
    assert order == [9, 9, 7, 4, 1, 0]


async def test_delay_and_at_and_snooze(shop: App) -> None:
    @shop.task()
    async def work() -> None: ...

    @shop.task()
    async def snooze(ctx: Context) -> int:
        if kit.now < due:
            raise Snooze(50)
        return ctx.attempt

    async with testing.run(shop) as kit:
        due = kit.now + timedelta(seconds=300)
        jobs = [await work.using(delay=300).enqueue(), await work.using(at=due).enqueue(), await snooze.enqueue()]
        await kit.advance("299s")
        assert [await job.status() for job in jobs] == ["delayed"] * 3
        report = await kit.advance(1)
        assert sorted(report.done) == sorted(job.id for job in jobs)
        assert {run.at for run in report.runs} == {due}
        assert await jobs[-1].result() == 1  # not counted


async def test_what_expired_does_not_start(shop: App) -> None:
    told: list[str] = []

    @shop.task()
    async def work(name: str) -> None:
        told.append(name)

    async with testing.run(shop) as kit:
        jobs = [await work.using(expires=60).enqueue("late"), await work.using(expires=60, key="k").enqueue("late too")]
        await work.using(expires=3600, key="k").enqueue("in time")
        kit.skip("1m")
        await kit.drain()
        for job in jobs:
            with pytest.raises(JobCancelled, match="was not started in time"):
                await job.result()
    assert told == ["in time"]


async def test_a_key_keeps_its_order_across_retries_with_two_workers(shop: App, fast: Path) -> None:
    tries: dict[tuple[str, int], int] = {}
    running: set[str] = set()
    overlaps: list[str] = []

    def declare(app: App) -> Any:
        @app.task(name="write", retry=SOON)
        async def write(ctx: Context, tx: Transaction, key: str, n: int) -> None:
            if key in running:
                overlaps.append(key)
            running.add(key)
            try:
                tries[key, n] = tries.get((key, n), 0) + 1
                await tx.execute("insert into line values (:key, :n)", key=key, n=n)
                if tries[key, n] <= n % 3:
                    raise ConnectionError
            finally:
                running.discard(key)

        return write

    async with shop.transaction() as tx:
        await tx.execute("create table line (key text, n integer)")
    async with opened(fast / "shop.db") as second:
        write = declare(shop)
        declare(second)
        async with shop.worker(WorkerOptions(concurrency=4)), second.worker(WorkerOptions(concurrency=4)):
            sent = [(key, n) for n in range(8) for key in ("a", "b", "c", "d")]
            jobs = [await write.using(key=key).enqueue(key, n) for key, n in sent]
            for job in jobs:
                await job.result(timeout=PATIENCE)
    assert overlaps == []
    for key in "abcd":
        assert rows(fast / "shop.db", f"select n from line where key = '{key}' order by rowid") == [(n,) for n in range(8)]
    assert max(tries.values()) == 3


async def test_a_full_queue_waits_for_room_and_then_says_so(shop: App) -> None:
    shop.queue("mail", max_waiting=3)

    @shop.task(queue="mail")
    async def send(n: int) -> int:
        return n

    jobs = [await send.enqueue(n) for n in range(3)]
    with pytest.raises(QueueFull, match=r"queue mail holds 3 messages, its max_waiting is 3; waited 5 s .*nothing of this call was stored"):
        await send.enqueue(3)
    async with shop.transaction() as tx:  # a transaction never waits
        jobs.append(await send.using(tx=tx).enqueue(3))
    patient = asyncio.create_task(send.enqueue(4))

    async def worked() -> bool:
        return await jobs[-1].status() == "done"

    async with shop.worker():
        await until(shop, worked)
        jobs.append(await patient)
        assert [await job.result(timeout=PATIENCE) for job in jobs] == [0, 1, 2, 3, 4]
