"""A worker or a producer on a machine of its own, as far as its clock, its network and its run-time folder go: a real program.

    python -m penstock_faults.member worker NAME LEASE
    python -m penstock_faults.member producer LANE ROUNDS

PENSTOCK_STORE names the store, LEDGER a file for what happens, TRUE what the server's clock is ahead of the monotonic one, in µs:
all processes of one test share that one, whatever their wall clocks show.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, SupportsIndex

from penstock import App, Context, Job, Retry, RetryAfter, Transaction, WorkerOptions
from penstock.errors import PublishUnknown, StoreUnavailable
from penstock.model.events import Event, Settled, Trouble, WorkerRescued, WorkerStarted
from penstock_faults.waiting import die_with_parent

PID = os.getpid()
TRUE = int(os.environ.get("TRUE", "0"))
BUSY = float(os.environ.get("BUSY", "0.02"))
"""Seconds that most handlers take."""
LATE = "LATE" in os.environ
"""Transactions begin when their handlers end, so that nobody keeps the lock of a file meanwhile."""
LEDGER = os.open(os.environ.get("LEDGER", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

DELAY, AGAIN, SHORT, STALE, AHEAD = 1.0, 0.8, 20.0, 1.0, 1.2
RATE = 20
PERIOD = 0.05
MISSED: Any = os.environ.get("MISSED", "all")
"""What becomes of slots that were missed."""
CYCLE = 20
"""Rounds of a producer until it puts the same kinds of jobs again."""


def rest(seconds: float | SupportsIndex) -> None:
    """`time.sleep` behind libfaketime 0.9.10 with clocks that change: its `clock_nanosleep` says EINVAL."""
    select.select([], [], [], float(seconds))


if "FAKETIME_TIMESTAMP_FILE" in os.environ:
    time.sleep = rest

app = App(name="member")
app.queue("limited", rate=f"{RATE}/s")


def mono() -> int:
    """µs."""
    return time.monotonic_ns() // 1000


def write(*words: object) -> None:
    """One line in one append: a killed writer leaves whole lines."""
    os.write(LEDGER, (" ".join(map(str, (*words, PID, mono()))) + "\n").encode())


@contextmanager
def told(ctx: Context) -> Iterator[None]:
    """How a run begins and ends."""
    write("BEGIN", ctx.job_id)
    try:
        yield
    except asyncio.CancelledError:
        write("STOPPED", ctx.job_id)
        raise
    except RetryAfter:
        write("FAILED", ctx.job_id)
        raise
    write("END", ctx.job_id)


def heard(event: Event) -> None:
    match event:
        case WorkerStarted():
            write("WORKER", f"{event.incarnation:016x}", time.time_ns() // 1000 - mono() - TRUE)
        case WorkerRescued():
            write("RESCUED", f"{event.incarnation:016x}", event.released)
        case Trouble():
            write("TROUBLE", event.where.replace(" ", "_"), type(event.error).__name__)
        case Settled() if event.lost:
            write("REFUSED", event.lost)
        case _:
            pass


@app.task(queue="work")
async def plain(ctx: Context) -> str:
    with told(ctx):
        await asyncio.sleep(BUSY)
    return ctx.job_id


@app.task(queue="work")
async def long(ctx: Context, seconds: float) -> None:
    with told(ctx):
        await asyncio.sleep(seconds)


@app.task(queue="work")
async def effect(ctx: Context, tx: Transaction) -> None:
    with told(ctx):
        await asyncio.sleep(BUSY * LATE)
        await tx.execute("insert into effects (job) values (:job)", job=ctx.job_id)
        await asyncio.sleep(BUSY * (not LATE))


@app.task(queue="work", retry=Retry(attempts=5))
async def again(ctx: Context) -> None:
    with told(ctx):
        if ctx.attempt == 1:
            raise RetryAfter(AGAIN)


@app.task(queue="limited")
async def limited(ctx: Context) -> None:
    with told(ctx):
        pass


@app.task(queue="nobodys")
async def stale(ctx: Context) -> None:
    with told(ctx):
        pass


@app.task(queue="work")
async def tick(ctx: Context) -> None:
    write("CLOCK", time.time_ns() // 1000 - mono() - TRUE)
    write("SLOT", ctx.job_id, round(datetime.fromisoformat(ctx.headers["penstock-slot"]).timestamp() * 1e6) - TRUE)
    with told(ctx):
        pass


app.schedule(tick.bind(), name="every-second", every=timedelta(seconds=1), missed=MISSED)


async def work(name: str, lease: float) -> None:
    app.signals.listen(heard)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    queues = (("work", 1), ("limited", 1))
    async with app.worker(WorkerOptions(concurrency=60, name=name, lease=lease, queues=queues, shutdown_timeout=5)):
        await stop.wait()
    await app.close()


async def produce(lane: str, rounds: int) -> None:
    write("PRODUCER", lane, time.time_ns() // 1000 - mono() - TRUE)
    began = asyncio.get_running_loop().time()
    waits: list[asyncio.Task[None]] = []
    for n in range(rounds):
        await asyncio.gather(*(put(f"{lane}-{n}-{kind}", kind, waits) for kind in kinds(n)))
        await asyncio.sleep(max(0.0, began + n * PERIOD - asyncio.get_running_loop().time()))
    await asyncio.gather(*waits)
    await app.close()


def kinds(n: int) -> list[str]:
    some = {0: "delay", 5: "at", 10: "again", 15: "short"}.get(n % CYCLE)
    rare = {3: "long", 13: "stale"}.get(n % CYCLE)
    return ["plain", "effect", *(["limited"] if n % 2 else []), *(kind for kind in (some, rare) if kind)]


async def put(job: str, kind: str, waits: list[asyncio.Task[None]]) -> None:
    """`due`: it must not begin before, by the monotonic clock. Unknown is tried again, with the same id."""
    now = mono()
    due = now + round({"delay": DELAY, "at": AHEAD}.get(kind, 0.0) * 1e6)
    write("TRY", job, kind, due)
    while True:
        try:
            made = await enqueue(job, kind, datetime.fromtimestamp((due + TRUE) / 1e6, UTC))
        except (PublishUnknown, StoreUnavailable) as error:
            write("UNKNOWN", job, type(error).__name__)
            await asyncio.sleep(PERIOD)
        else:
            break
    write("ACK", job)
    if kind == "plain" and int(job.split("-")[1]) % 10 == 0:
        waits.append(asyncio.create_task(result(job, made)))


async def enqueue(job: str, kind: str, at: datetime) -> Job[Any]:
    match kind:
        case "delay":
            return await plain.using(id=job, delay=DELAY).enqueue()
        case "at":
            return await plain.using(id=job, at=at).enqueue()
        case "short":
            return await plain.using(id=job, expires=SHORT).enqueue()
        case "stale":
            return await stale.using(id=job, expires=STALE).enqueue()
        case "long":
            return await long.using(id=job).enqueue(3.0)
        case _:
            task = {"effect": effect, "again": again, "limited": limited}.get(kind, plain)
            return await task.using(id=job).enqueue()


async def result(job: str, made: Job[Any]) -> None:
    while True:
        try:
            await made.result(timeout=60)
        except StoreUnavailable:
            await asyncio.sleep(PERIOD)
        else:
            break
    write("RESULT", job)


if __name__ == "__main__":
    die_with_parent()
    role, *words = sys.argv[1:]
    asyncio.run(work(words[0], float(words[1])) if role == "worker" else produce(words[0], int(words[1])))
