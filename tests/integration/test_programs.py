"""Several programs and releases on one store, each a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from penstock import App, Job, Retry, Task, WorkerOptions
from penstock.errors import JobFailed
from penstock.model.job import Status
from tests.integration.cli.console import PATIENCE
from tests.integration.play import heard, program, until


@dataclass
class Producer:
    """What enqueues for a program and runs nothing itself."""

    app: App
    tasks: dict[str, Task[..., str]]


def producer(store: Path, name: str, *tasks: str) -> Producer:
    app = App(f"sqlite:///{store}", name=name)

    def declare(task: str) -> Task[..., str]:
        @app.task(name=task, queue="shared")
        async def run(n: int) -> str:
            raise AssertionError

        return run

    return Producer(app, {task: declare(task) for task in tasks})


async def becomes(app: App, job: Job[str], status: Status) -> None:
    async def is_so() -> bool:
        return await job.status() == status

    await until(app, is_so)


# -- two programs, one queue


async def test_each_job_runs_in_the_program_that_knows_it(fast: Path) -> None:
    store = fast / "both.db"
    shop, bank = producer(store, "shop", "sell"), producer(store, "bank", "pay")
    with program("clerk.py", "shop", "sell", store=store) as first:
        await heard(first, "ready")
        sold = [await shop.tasks["sell"].enqueue(n) for n in range(20)]
        paid = [await bank.tasks["pay"].enqueue(n) for n in range(20)]
        assert {await job.result(timeout=PATIENCE) for job in sold} == {"shop"}
        assert {await job.status() for job in paid} == {"unroutable"}
        with program("clerk.py", "bank", "pay", store=store) as second:
            assert {await job.result(timeout=PATIENCE) for job in paid} == {"bank"}
            assert second.stop() == 0
        late = await bank.tasks["pay"].enqueue(20)
        await becomes(bank.app, late, "unroutable")  # the one that knew it has left
    await shop.app.close()
    await bank.app.close()


async def test_a_job_that_nobody_here_knows_keeps_its_place_in_its_key(fast: Path) -> None:
    store = fast / "both.db"
    shop, bank = producer(store, "shop", "sell"), producer(store, "bank", "pay")
    with program("clerk.py", "shop", "sell", store=store) as first:
        await heard(first, "ready")
        turns = [shop.tasks["sell"], bank.tasks["pay"], shop.tasks["sell"], bank.tasks["pay"], shop.tasks["sell"]]
        line = [await task.using(key="k").enqueue(n) for n, task in enumerate(turns)]
        other = await shop.tasks["sell"].using(key="other").enqueue(9)
        assert await line[0].result(timeout=PATIENCE) == "shop"
        assert await other.result(timeout=PATIENCE) == "shop"
        assert [await job.status() for job in line[1:]] == ["unroutable", "waiting", "unroutable", "waiting"]
        with program("clerk.py", "bank", "pay", store=store) as second:
            assert [await job.result(timeout=PATIENCE) for job in line] == ["shop", "bank", "shop", "bank", "shop"]
            assert second.stop() == 0
    views = [await (await shop.app._link.opened()).inspect.job(job.id) for job in line]
    ends = [view.ended or 0 for view in views if view is not None]
    assert len(ends) == 5
    assert ends == sorted(ends)
    assert {view.attempt for view in views if view is not None} == {1}  # what nobody knew was never counted
    await shop.app.close()
    await bank.app.close()


# -- two releases side by side


@pytest.fixture
async def releases(fast: Path) -> AsyncIterator[tuple[Path, App, App]]:
    store = fast / "shop.db"
    old, new = (App(f"sqlite:///{store}", name="shop") for _ in range(2))
    yield store, old, new
    await old.close()
    await new.close()


async def test_a_new_task_waits_for_the_new_release(releases: tuple[Path, App, App]) -> None:
    store, _, new = releases

    @new.task()
    async def ship(order: int) -> str:
        raise AssertionError

    with program("mailer.py", "old", store=store) as before:
        await heard(before, "ready")
        early = await ship.enqueue(1)
        await becomes(new, early, "unroutable")
        with program("mailer.py", "new", store=store) as after:
            await heard(after, "ready")
            jobs = [early, *[await ship.enqueue(n) for n in range(2, 30)]]
            assert [await job.result(timeout=PATIENCE) for job in jobs] == [f"new ships {n}" for n in range(1, 30)]


async def test_a_task_that_moved_to_another_queue_leaves_nothing_behind(releases: tuple[Path, App, App]) -> None:
    """Whatever waits in the old queue: behind others that nobody knows, of a key, for its time, for a retry."""
    _, old, new = releases

    @old.task(name="ship", queue="a", retry=Retry(first=0.1, limit=0.1))
    async def ship_from_a(order: int) -> str:
        raise ConnectionError("the old release fails")

    @old.task(queue="a")
    async def gone() -> None: ...

    @new.task(name="ship", queue="b")
    async def ship_from_b(order: int) -> str:
        return f"new ships {order}"

    async with old.worker():
        failed = await ship_from_a.enqueue(0)
        await becomes(old, failed, "retrying")
    lost = [await gone.enqueue() for _ in range(3)]
    jobs = [failed, await ship_from_a.enqueue(1), await ship_from_a.using(delay=0.3).enqueue(2)]
    jobs += [await ship_from_a.using(key="k").enqueue(n) for n in (3, 4)]
    async with new.worker(WorkerOptions(queues=(("b", 1),))):
        assert await (await ship_from_b.enqueue(5)).result(timeout=PATIENCE) == "new ships 5"
        assert await jobs[1].status() == "waiting"
    async with new.worker():
        assert [await job.result(timeout=PATIENCE) for job in jobs] == [f"new ships {n}" for n in range(5)]
        assert {await job.status() for job in lost} == {"unroutable"}


async def test_a_new_argument_is_retried_until_the_new_release_takes_it(releases: tuple[Path, App, App]) -> None:
    store, _, new = releases

    @new.task()
    async def send(address: str, layout: str = "plain") -> str:
        raise AssertionError

    with program("mailer.py", "old", store=store) as before:
        await heard(before, "ready")
        assert await (await send.enqueue("a")).result(timeout=PATIENCE) == "old a"  # not given, not stored
        job = await send.enqueue("a", layout="fancy")
        await heard(before, r"old failed shop\.send UnknownArgument attempt 1")
        with program("mailer.py", "new", store=store) as after:
            await heard(after, "ready")
            assert await job.result(timeout=PATIENCE) == "new a fancy"
    view = await (await new._link.opened()).inspect.job(job.id)
    assert view is not None
    errors = [attempt.error.type for attempt in view.history if attempt.error is not None]
    assert errors == ["UnknownArgument"] * (view.attempt - 1)  # each was counted, and nothing else happened
    assert errors


async def test_an_argument_whose_default_was_removed(releases: tuple[Path, App, App]) -> None:
    """The old release runs what it stored; for the new one it is a dead letter with its raw bytes, which an old worker may replay."""
    store, old, _ = releases

    @old.task()
    async def bill(order: int, currency: str = "EUR") -> str:
        raise AssertionError

    with program("mailer.py", "new", store=store) as after:
        assert await (await bill.enqueue(1, "USD")).result(timeout=PATIENCE) == "new 1 USD"
        job = await bill.enqueue(2)
        with pytest.raises(JobFailed, match=r"UndecodablePayload: .*missing required field `currency`"):
            await job.result(timeout=PATIENCE)
        assert after.stop() == 0
    opened = await old._link.opened()
    letter = await opened.inspect.letter(job.id)
    assert letter is not None
    assert (letter.reason, letter.body) == ("undecodable", b'{"order":2}')
    assert await opened.queue.replay([job.id]) == [job.id]
    with program("mailer.py", "old", store=store):
        assert await job.result(timeout=PATIENCE) == "old 2 EUR"


async def test_a_renamed_task_runs_in_both_releases(releases: tuple[Path, App, App]) -> None:
    store, old, new = releases

    @old.task()
    async def greet() -> str:
        raise AssertionError

    @new.task(aliases=["greet"])
    async def welcome() -> str:
        raise AssertionError

    with program("mailer.py", "new", store=store) as after:
        assert await (await greet.enqueue()).result(timeout=PATIENCE) == "new welcomes"
        assert after.stop() == 0
    with program("mailer.py", "old", store=store) as before:
        await heard(before, "ready")
        assert await (await greet.enqueue()).result(timeout=PATIENCE) == "old greets"
        late = await welcome.enqueue()
        await becomes(new, late, "unroutable")
        with program("mailer.py", "new", store=store):
            assert await late.result(timeout=PATIENCE) == "new welcomes"
