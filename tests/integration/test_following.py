"""Jobs that hold a name, follow each other, say how far they are, and are waited for."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock import App, Context, Progress, Retry, Transaction, Unique
from penstock.api import job as waiting
from penstock.errors import JobCancelled, JobFailed, NotFound, ResultUnavailable
from tests.integration.cli.console import PATIENCE
from tests.integration.play import opened, program, rows, until

ONCE = Retry(attempts=1)


@pytest.fixture
def nobody_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits and is not told waits for ever."""
    monkeypatch.setattr(waiting, "_FIRST_REST", 3600.0)
    monkeypatch.setattr(waiting, "_LONGEST_REST", 3600.0)


# -- waiting


@pytest.mark.usefixtures("nobody_polls")
async def test_a_result_is_told_to_another_process(shop: App, fast: Path) -> None:
    @shop.task()
    async def send(address: str) -> str:
        raise AssertionError

    job = await send.enqueue("ada")
    wait = asyncio.create_task(job.result(timeout=PATIENCE))
    await until(shop, lambda: _registered(fast))
    with program("mailer.py", "new", store=fast / "shop.db"):
        assert await wait == "new ada plain"


@pytest.mark.usefixtures("nobody_polls")
async def test_a_result_is_told_to_other_loops_and_threads_of_this_process(shop: App) -> None:
    @shop.task()
    async def double(n: int) -> int:
        return 2 * n

    async with shop.worker():
        for n in range(20):
            job = await double.enqueue(n)
            assert await job.result(timeout=PATIENCE) == 2 * n
        job = await double.enqueue(50)
        assert await asyncio.to_thread(job.sync.result, timeout=PATIENCE) == 100


async def test_who_cannot_be_told_looks(shop: App, fast: Path) -> None:
    """A cancellation tells nobody, and this handle cannot even say that it waits."""

    @shop.task()
    async def nothing() -> None: ...

    job = await nothing.enqueue()
    wait = asyncio.create_task(job.result(timeout=PATIENCE))
    await until(shop, lambda: _registered(fast))
    assert await job.cancel() == "cancelled"
    with pytest.raises(JobCancelled):
        await wait


async def _registered(path: Path) -> bool:
    return bool(rows(path / "shop.db", "select 1 from penstock_watch"))


async def test_gather(shop: App) -> None:
    @shop.task(retry=ONCE)
    async def half(n: int) -> int:
        if n % 2:
            raise ValueError(f"{n} is odd")
        return n // 2

    async with shop.worker():
        even = await shop.enqueue_many(half.bind(n) for n in range(0, 100, 2))
        assert await shop.gather(even, timeout=PATIENCE) == list(range(50))
        assert await asyncio.to_thread(shop.sync.gather, even, timeout=PATIENCE) == list(range(50))
        assert await shop.gather([]) == []
        mixed = await shop.enqueue_many(half.bind(n) for n in (2, 3, 4))
        with pytest.raises(JobFailed, match="3 is odd"):
            await shop.gather(mixed, timeout=PATIENCE)


async def test_gather_leaves_nothing_behind(shop: App) -> None:
    @shop.task(retry=ONCE)
    async def fail() -> None:
        raise ValueError("no")

    never = await fail.using(delay=3600).enqueue()
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        await shop.gather([never, never], timeout=0.01)
    async with shop.worker():
        failed = await fail.enqueue()
        with pytest.raises(JobFailed):
            await shop.gather([never, failed], timeout=PATIENCE)
    assert asyncio.all_tasks() == before
    with pytest.raises(NotFound):
        await shop.gather([shop.job("nowhere"), never], timeout=PATIENCE)


# -- unique names


async def test_who_comes_meanwhile_gets_the_job_and_its_result(shop: App) -> None:
    @shop.task()
    async def rebuild(n: int) -> int:
        return n

    one = rebuild.using(unique=Unique("catalogue"))
    first, second = await one.enqueue(1), await one.enqueue(2)
    many = await shop.enqueue_many([one.bind(3), rebuild.using(unique=Unique("prices")).bind(4), one.bind(5)])
    assert [(job.id == first.id, job.created) for job in (first, second, *many)] == [
        (True, True),
        (True, False),
        (True, False),
        (False, True),
        (True, False),
    ]
    async with shop.worker():
        assert await shop.gather([second, *many], timeout=PATIENCE) == [1, 1, 4, 1]
        third = await one.enqueue(6)
        assert third.created and await third.result(timeout=PATIENCE) == 6


async def test_a_name_belongs_to_its_task(shop: App) -> None:
    @shop.task()
    async def one() -> None: ...

    @shop.task()
    async def other() -> None: ...

    unique = Unique("n", window=timedelta(hours=1))
    assert (await one.using(unique=unique).enqueue()).created
    assert (await other.using(unique=unique).enqueue()).created


async def test_in_a_transaction_it_is_answered_at_once(shop: App, fast: Path) -> None:
    answers: list[bool] = []

    @shop.task()
    async def child() -> None: ...

    @shop.task(retry=Retry(attempts=2, first=0.01))
    async def parent(ctx: Context, tx: Transaction) -> None:
        one = child.using(unique=Unique("child"))
        answers.extend([(await one.enqueue()).created, (await one.enqueue()).created])
        if ctx.attempt == 1:
            raise ConnectionError("and it is rolled back")

    async with shop.worker():
        await (await parent.enqueue()).result(timeout=PATIENCE)
    assert answers == [True, False] * 2
    assert rows(fast / "shop.db", "select count(*) from penstock_message where task = 'shop.child'") == [(1,)]


# -- chains


async def test_a_chain_hands_its_results_on(shop: App) -> None:
    seen: list[Any] = []

    @shop.task()
    async def load(month: str) -> dict[str, int]:
        return {month: 3}

    @shop.task()
    async def add(ctx: Context, more: int) -> int:
        seen.append(ctx.previous)
        return sum(ctx.previous.values()) + more

    @shop.task()
    def send(ctx: Context, tx: Transaction) -> None:
        tx.sync.execute("create table if not exists sent (what text)")
        seen.append(ctx.previous)

    last = send.using(id="send:1").bind()
    first = await load.using(then=add.using(headers={"a": "b"}, then=last).bind(4)).enqueue("May")
    with pytest.raises(NotFound):
        await shop.job("send:1").status()
    async with shop.worker() as worker:
        await first.result(timeout=PATIENCE)
        await worker.idle()
    assert seen == [{"May": 3}, 7]
    assert await shop.job("send:1").status() == "done"


async def test_after_a_handler_with_tx(shop: App) -> None:
    seen: list[Any] = []

    @shop.task(retry=Retry(attempts=3, first=0.01))
    async def place(ctx: Context, tx: Transaction) -> int:
        await tx.execute("create table if not exists orders (n integer)")
        await tx.execute("insert into orders values (1)")
        if ctx.attempt < 3:
            raise ConnectionError("refused")
        return ctx.attempt

    @shop.task()
    async def tell(ctx: Context) -> None:
        seen.append(ctx.previous)

    async with shop.worker() as worker:
        await (await place.using(then=tell.bind()).enqueue()).result(timeout=PATIENCE)
        await worker.idle()
    assert seen == [3]


async def test_a_previous_result_that_could_not_be_kept(shop: App) -> None:
    seen: list[str] = []

    @shop.task()
    async def load() -> object:
        return threading.Lock()

    @shop.task()
    async def add(ctx: Context) -> None:
        try:
            seen.append(ctx.previous)
        except ResultUnavailable as error:
            seen.append(str(error))

    job = await load.using(then=add.bind()).enqueue()
    async with shop.worker() as worker:
        with pytest.raises(ResultUnavailable):
            await job.result(timeout=PATIENCE)
        await worker.idle()
    [text] = seen
    assert job.id in text and "cannot travel as JSON" in text


async def test_a_dead_letter_that_is_done_after_its_replay_goes_on(shop: App) -> None:
    broken = [True]
    seen: list[Any] = []

    @shop.task(retry=ONCE)
    async def load() -> int:
        if broken.pop():
            raise ValueError("not today")
        return 7

    @shop.task()
    async def add(ctx: Context) -> None:
        seen.append(ctx.previous)

    job = await load.using(then=add.bind()).enqueue()
    async with shop.worker() as worker:
        with pytest.raises(JobFailed):
            await job.result(timeout=PATIENCE)
        await worker.idle()
        assert seen == []
        broken.append(False)
        store = await shop._link.opened()
        assert await store.queue.replay([job.id]) == [job.id]
        assert await job.result(timeout=PATIENCE) == 7
        await worker.idle()
    assert seen == [7]


# -- progress


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_progress_is_seen_from_elsewhere(shop: App, fast: Path, kind: str) -> None:
    seen = threading.Event()

    if kind == "thread":

        @shop.task()
        def render(ctx: Context) -> str:
            ctx.progress(0.4, "rendering")
            assert seen.wait(PATIENCE)
            return "rendered"
    else:

        @shop.task()
        async def render(ctx: Context) -> str:
            ctx.progress(0.4, "rendering")
            assert await asyncio.to_thread(seen.wait, PATIENCE)
            return "rendered"

    job = await render.enqueue()
    assert await job.progress() is None
    async with shop.worker(), opened(fast / "shop.db") as elsewhere:
        theirs = elsewhere.job(job.id)

        async def told() -> bool:
            return await theirs.progress() is not None

        await until(elsewhere, told)
        progress = await theirs.progress()
        assert isinstance(progress, Progress)
        assert (progress.fraction, progress.note, progress.at.tzinfo is not None) == (0.4, "rendering", True)
        assert await asyncio.to_thread(theirs.sync.progress) == progress
        seen.set()
        assert await job.result(timeout=PATIENCE) == "rendered"
    with pytest.raises(NotFound):
        await shop.job("nowhere").progress()
