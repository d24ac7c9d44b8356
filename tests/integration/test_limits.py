"""Limits of a queue over several processes."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path

from penstock import App
from penstock.model.clock import SECOND
from tests.integration.cli.console import Running
from tests.integration.play import heard, opened, program, until


async def all_done(app: App, count: int) -> bool:
    store = await app._link.opened()
    return any(queue.name == "mail" and queue.done == count for queue in await store.inspect.queues())


async def enqueue(app: App, count: int) -> None:
    @app.task(queue="mail")
    async def send(n: int) -> None:
        raise AssertionError

    await app.enqueue_many(send.bind(n) for n in range(count))


async def run(fast: Path, count: int, *limits: str) -> list[tuple[str, int]]:
    """Three processes share the work. What they said, after `put`: began or ended, and when (µs), in order."""
    async with opened(fast / "shop.db") as app:
        await app._link.opened()
        with ExitStack() as stack:
            started = [stack.enter_context(program("limited.py", *limits, store=fast / "shop.db")) for _ in range(3)]
            for each in started:
                await heard(each, "ready")
            put = ("put", time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000)
            await enqueue(app, count)
            await until(app, lambda: all_done(app, count))
            for each in started:
                assert await asyncio.to_thread(each.stop) == 0
            return [put, *events(started)]


def events(processes: list[Running]) -> list[tuple[str, int]]:
    said = [line.split() for process in processes for line in process.seen if line.startswith(("began", "ended"))]
    return sorted(((what, int(at)) for what, at in said), key=lambda event: event[1])


async def test_only_so_many_run_at_once_over_all_processes(fast: Path) -> None:
    """A job that ends says so before it is settled, and one that begins after it was claimed: so none of these overlaps by chance."""
    running = most = 0
    for what, _ in (await run(fast, 40, "2"))[1:]:
        running += 1 if what == "began" else -1
        most = max(most, running)
    assert most <= 2


async def test_a_killed_worker_gives_its_slots_back(fast: Path) -> None:
    store = fast / "shop.db"
    async with opened(store) as app:
        with program("limited.py", "3", "1000/s", "hang", store=store) as killed:
            await heard(killed, "ready")
            await enqueue(app, 10)
            for _ in range(3):
                await heard(killed, "began")
            with program("limited.py", "3", store=store) as other:
                await heard(other, "ready")
                killed.process.kill()
                await until(app, lambda: all_done(app, 10))
                assert await asyncio.to_thread(other.stop) == 0
                assert [what for what, _ in events([killed])] == ["began"] * 3
                assert len(events([other])) == 20


async def test_a_rate_holds_over_all_processes(fast: Path) -> None:
    (_, put), *said = await run(fast, 60, "100", "50/s")
    began = [at for what, at in said if what == "began"]
    assert len(began) == 60
    for count, at in enumerate(began, 1):
        assert count <= 50 * (at - put) / SECOND + 5
