"""A worker or a producer that is killed: a real program on the public API, run as a process of its own.

    python -m penstock_faults.victim worker|producer|once

PENSTOCK_STORE names the store, LEDGER a file on another file system, STAND a folder: a file there named after the pid and
holding a point's name makes the process stand still at that point, after it has said so in the ledger; a file named `anybody` makes
whoever comes there first. With EVERYTHING there is a schedule, too.
`quiet` there: producers publish nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from penstock import App, Context, Retry, Transaction
from penstock.engine.program import WorkerOptions
from penstock.errors import PublishUnknown, StoreFull, StoreUnavailable
from penstock.model.delivery import Delivery
from penstock.model.events import Event, Trouble, WorkerStarted
from penstock.model.outcome import Committed, Outcome
from penstock.ports.handler import Next
from penstock_faults.logbook import LANE
from penstock_faults.waiting import die_with_parent

PID = os.getpid()
STAND = Path(os.environ["STAND"]) / str(PID)
QUIET = STAND.with_name("quiet")
"""While it is there, producers publish nothing."""
ANYBODY = STAND.with_name("anybody")
LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

KEYS, CROWDED = 20, 3
"""Every 20th job has a key: 5 %; of three keys, so that they wait for each other."""
TICK = 0.05
EVERYTHING = "EVERYTHING" in os.environ
T = TypeVar("T")

durability: Any = os.environ.get("DURABILITY", "power")
app = App(name="victim", durability=durability)


@dataclass(frozen=True)
class News:
    n: int


news = app.topic("news", News)
accounts = app.topic("accounts", News, versioned=True)


def write(*words: object) -> None:
    """One line in one append: a killed writer leaves whole lines."""
    os.write(LEDGER, (" ".join(map(str, (*words, PID, time.time_ns() // 1000))) + "\n").encode())


def stand(point: str) -> None:
    """Stand still here for ever, if told to."""
    if ordered(STAND, point) or (ordered(ANYBODY, point) and taken(ANYBODY)):
        write("STANDS", point)
        while True:
            time.sleep(60)


def ordered(order: Path, point: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return order.read_text() == point
    return False


def taken(order: Path) -> bool:
    """Of all that come there at once one takes it."""
    with contextlib.suppress(FileNotFoundError):
        order.unlink()
        return True
    return False


def started(event: Event) -> None:
    match event:
        case WorkerStarted():
            write("WORKER", f"{event.incarnation:016x}")
        case Trouble():
            write("TROUBLE", type(event.error).__name__, event.where.replace(" ", "_"))
        case _:
            pass


@app.task(retry=Retry(attempts=3, first=0.1))
async def plain(ctx: Context, n: int) -> None:
    write("BEGIN", ctx.job_id)
    stand("in_handler")
    await asyncio.sleep(TICK)
    write("END", ctx.job_id)


@app.task(retry=Retry(attempts=3, first=0.1))
async def effect(ctx: Context, tx: Transaction, n: int, key: str = "") -> None:
    write("BEGIN", ctx.job_id)
    await tx.execute("insert into effects (n, key) values (:n, :key)", n=n, key=key)
    stand("tx_open")
    if n % 7 == 0:
        await follow.enqueue(n)
    write("END", ctx.job_id)


@app.subscribe(news, start="beginning")
async def reader(tx: Transaction, event: News) -> None:
    await tx.execute("insert into heard (n) values (:n)", n=event.n)


@app.task()
async def slot(ctx: Context, tx: Transaction) -> None:
    await tx.execute("insert into slots (job) values (:job)", job=ctx.job_id)


if EVERYTHING:
    app.schedule(slot.bind(), name="often", every=timedelta(seconds=1), missed="all")


async def witness(delivery: Delivery, next: Next) -> Outcome:
    outcome = await next(delivery)
    if isinstance(outcome, Committed):
        write("COMMITTED", delivery.job_id)
    return outcome


if "WITNESS" in os.environ:
    app.use(witness)


@app.task()
async def follow(tx: Transaction, n: int) -> None:
    await tx.execute("insert into follows (n) values (:n)", n=n)


async def work() -> None:
    app.signals.listen(started)
    app.signals._faults = stand
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with app.worker(WorkerOptions(concurrency=150, name=f"victim-{PID}", shutdown_timeout=5)):
        await stop.wait()
    await app.close()


async def produce(lane: int, first: int, unknown: list[int], rate: int) -> None:
    """First settle what a killed predecessor left unknown, with the same ids; then go on at `rate` a second."""
    app.signals._faults = stand
    for n in unknown:
        await put(lane, n, "RESOLVED")
    n = first
    at = asyncio.get_running_loop().time()
    while True:
        burst = range(n, n + max(1, int(rate * TICK)))
        keyed = [each for each in burst if each % KEYS == 0]
        told = () if QUIET.exists() else (tell(lane, n),)
        await asyncio.gather(*told, in_order(lane, keyed), *(put(lane, each, "ACK") for each in burst if each % KEYS))
        n = burst.stop
        at += TICK
        await asyncio.sleep(max(0.0, at - asyncio.get_running_loop().time()))


async def in_order(lane: int, numbers: list[int]) -> None:
    for n in numbers:
        await put(lane, n, "ACK")


async def tell(lane: int, n: int) -> None:
    number = lane * LANE + n
    await send(f"news-{number}", lambda id: news.using(id=id).publish(News(number)))
    await send(f"entry-{number}", lambda id: accounts.using(id=id).append(f"a{lane}", [News(number)], expected=None))


async def send(event_id: str, ask: Callable[[str], Awaitable[object]]) -> None:
    write("SEND", event_id)
    await insist(event_id, lambda: ask(event_id))
    write("SENT", event_id)


async def put(lane: int, n: int, word: str) -> None:
    job_id = f"{lane}-{n}"
    write("TRY", job_id)
    if n % KEYS == 0:
        key = f"k{lane}-{n // KEYS % CROWDED}"
        job = await insist(job_id, lambda: effect.using(id=job_id, key=key).enqueue(n, key))
    elif n % KEYS == 3:
        job = await insist(job_id, lambda: effect.using(id=job_id).enqueue(n, f"free{lane}"))
    else:
        job = await insist(job_id, lambda: plain.using(id=job_id).enqueue(n))
    write(word, job_id, int(job.created))


async def insist(what: str, ask: Callable[[], Awaitable[T]]) -> T:
    """Where the store is away or full, or nobody knows: the same again, with the same id."""
    while True:
        try:
            return await ask()
        except (PublishUnknown, StoreUnavailable, StoreFull) as error:
            write("REFUSED", type(error).__name__, what)
            await asyncio.sleep(TICK)


async def once(numbers: list[tuple[int, int]]) -> None:
    for lane, n in numbers:
        await put(lane, n, "RESOLVED")
    await app.close()


if __name__ == "__main__":
    die_with_parent()
    role, *words = sys.argv[1:]
    if role == "worker":
        asyncio.run(work())
    elif role == "producer":
        lane, first, rate, *left = map(int, words)
        asyncio.run(produce(lane, first, left, rate))
    else:
        asyncio.run(once([(int(word.split("-")[0]), int(word.split("-")[1])) for word in words]))
