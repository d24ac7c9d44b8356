"""A worker with many schedules, whose clock is a file: a process of the schedules' test.

PENSTOCK_STORE names the store, CLOCK a file with the wall clock and the time since boot in µs, PLAN how many schedules and which
seed, LEDGER and STAND as for `victim.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from penstock import App, Context, Transaction, WorkerOptions
from penstock.connect import MakeStore
from penstock.ports.store import Store
from penstock.stores.postgres.address import parse
from penstock.stores.postgres.clock import PostgresClock
from penstock.stores.postgres.store import PostgresStore
from penstock.stores.sqlite.clock import StoreClock
from penstock.stores.sqlite.store import SqliteStore
from penstock_faults.plan import Planned, plan
from penstock_faults.waiting import die_with_parent

PID = os.getpid()
STAND = Path(os.environ["STAND"])
CLOCK = Path(os.environ["CLOCK"])
LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def write(*words: object) -> None:
    """One line in one append: a killed writer leaves whole lines."""
    os.write(LEDGER, (" ".join(map(str, (*words, PID))) + "\n").encode())


def stand(point: str) -> None:
    """Stand still here for ever, if the test waits for somebody at this point, and nobody else has taken the order."""
    order = STAND / "order"
    with contextlib.suppress(FileNotFoundError):
        if order.read_text() == point:
            order.rename(STAND / "taken")
            write("STANDS", point)
            while True:
                time.sleep(60)


def read(column: int) -> int:
    return int(CLOCK.read_text().split()[column])


class Keeper(App):
    """Its store's time comes from the file."""

    async def open_store(self, make: MakeStore) -> Store:
        if self.found.url.startswith("postgresql:"):
            server = PostgresClock(lambda: read(0), lambda: read(0))
            there = PostgresStore(parse(self.found.url, "the test's"), signals=self.signals, clock=server)
            await there.open(migrate=False)
            return there
        clock = StoreClock(lambda: read(0), lambda: read(1), "the test's boot")
        store = SqliteStore(self.found.url.removeprefix("sqlite:///"), signals=self.signals, clock=clock)
        await store.open()
        return store


app = Keeper(name="keeper")


@app.task()
async def tick(ctx: Context, tx: Transaction) -> None:
    await tx.execute("insert into fired (job) values (:job)", job=ctx.job_id)


def schedule(planned: Planned) -> None:
    missed: Any = planned.missed
    if planned.every is not None:
        app.schedule(tick.bind(), name=planned.name, every=timedelta(microseconds=planned.every), missed=missed)
    else:
        app.schedule(tick.bind(), name=planned.name, cron=planned.cron, tz=planned.zone, missed=missed)


async def work() -> None:
    app.signals._faults = stand
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with app.worker(WorkerOptions(concurrency=100, lease=1.5, shutdown_timeout=5)):
        write("WORKER")
        await stop.wait()
    await app.close()


if __name__ == "__main__":
    die_with_parent()
    count, seed = map(int, os.environ["PLAN"].split())
    for each in plan(count, seed):
        schedule(each)
    asyncio.run(work())
