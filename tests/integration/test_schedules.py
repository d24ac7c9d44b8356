"""Schedules as a user meets them: an app, a worker, and the store between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from penstock import App, Context, Router
from penstock.errors import ConfigurationError
from penstock.model.clock import micros
from penstock.model.schedule import ScheduleView, instant
from tests.integration.play import opened, until

OFTEN = timedelta(seconds=1)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    async with opened(tmp_path / "shop.db") as app:
        yield app


async def view(app: App) -> ScheduleView:
    (found,) = await (await app._link.opened()).schedules.views()
    return found


async def test_a_schedule_runs_and_tells_which_slot(app: App) -> None:
    seen: list[tuple[int, str, str]] = []
    twice = asyncio.Event()

    @app.task()
    async def tick(ctx: Context, n: int) -> None:
        seen.append((n, ctx.job_id, ctx.headers["penstock-slot"]))
        if len(seen) == 2:
            twice.set()

    app.schedule(tick.bind(7), name="tick", every=OFTEN)
    async with app.worker(), asyncio.timeout(30):
        await twice.wait()
    assert {n for n, _, _ in seen} == {7}
    ids = [job_id for _, job_id, _ in seen]
    assert len(set(ids)) == len(ids)
    assert all(job_id.startswith("tick@shop:") for job_id in ids)
    slots = [slot for _, _, slot in seen]
    assert all(job_id.rpartition(":")[2] == slot.replace("-", "").replace(":", "") for job_id, slot in zip(ids, slots, strict=True))


async def test_workers_of_one_store_share_its_slots(tmp_path: Path) -> None:
    """Two apps, as two processes would have them."""
    ran: list[str] = []

    def shop(app: App) -> None:
        router = Router()

        @router.task()
        async def tick(ctx: Context) -> None:
            ran.append(ctx.job_id)

        router.schedule(tick.bind(), name="tick", every=OFTEN, missed="all")
        app.include(router)

    path = tmp_path / "shop.db"
    async with opened(path) as one, opened(path) as two:
        shop(one)
        shop(two)
        async with one.worker(), two.worker():

            async def enough() -> bool:
                return len(ran) >= 3

            await until(one, enough)
    assert len(ran) == len(set(ran))


async def test_slots_that_passed_while_nobody_ran_are_made_up_for(app: App) -> None:
    ran: list[str] = []

    @app.task()
    async def tick(ctx: Context) -> None:
        ran.append(ctx.headers["penstock-slot"])

    app.schedule(tick.bind(), name="tick", every=OFTEN, missed="all")
    async with app.worker():
        pass
    ran.clear()
    store = await app._link.opened()
    missed = [(await view(app)).next or 0]
    missed += [missed[0] + n * micros(OFTEN) for n in range(1, 3)]

    async def passed() -> bool:
        await store.settings.write("queue:bell", "paused", None, "the test")  # a commit, so that this looks again
        return store.clock.now() > missed[-1]

    await until(app, passed)

    async def made_up_for() -> bool:
        return {instant(slot) for slot in missed} <= set(ran)

    async with app.worker():
        await until(app, made_up_for)
    assert len(ran) == len(set(ran))


async def test_a_bad_schedule_stops_the_worker_before_it_starts(app: App) -> None:
    other = App(app.found.url, name="other")

    @other.task()
    async def tick() -> None: ...

    app.schedule(tick.bind(), name="tick", every=OFTEN)
    with pytest.raises(ConfigurationError, match="another app"):
        async with app.worker():
            raise AssertionError
