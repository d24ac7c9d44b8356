"""A worker or a producer that is killed: a real program on the public API, run as a process of its own.

    python tests/faults/victim.py worker|producer|once

PENSTOCK_STORE names the store, LEDGER a file on another file system, STAND a folder: a file there named after the pid and
holding a point's name makes the process stand still at that point, after it has said so in the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from penstock import App, Context, Retry, Transaction
from penstock.engine.program import WorkerOptions
from penstock.model.events import Event, WorkerStarted

PID = os.getpid()
STAND = Path(os.environ["STAND"]) / str(PID)
LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

KEYS = 20
"""Every 20th job has a key: 5 %."""
TICK = 0.05

durability: Any = os.environ.get("DURABILITY", "power")
app = App(name="victim", durability=durability)


def write(*words: object) -> None:
    """One line in one append: a killed writer leaves whole lines."""
    os.write(LEDGER, (" ".join(map(str, (*words, PID, time.time_ns() // 1000))) + "\n").encode())


def stand(point: str) -> None:
    """Stand still here for ever, if told to."""
    with contextlib.suppress(FileNotFoundError):
        if STAND.read_text() == point:
            write("STANDS", point)
            while True:
                time.sleep(60)


def told(event: Event) -> None:
    if isinstance(event, WorkerStarted):
        write("WORKER", f"{event.incarnation:016x}")


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


@app.task()
async def follow(tx: Transaction, n: int) -> None:
    await tx.execute("insert into follows (n) values (:n)", n=n)


async def work() -> None:
    app.signals.listen(told)
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
        await asyncio.gather(in_order(lane, keyed), *(put(lane, each, "ACK") for each in burst if each % KEYS))
        n = burst.stop
        at += TICK
        await asyncio.sleep(max(0.0, at - asyncio.get_running_loop().time()))


async def in_order(lane: int, numbers: list[int]) -> None:
    for n in numbers:
        await put(lane, n, "ACK")


async def put(lane: int, n: int, word: str) -> None:
    job_id = f"{lane}-{n}"
    write("TRY", job_id)
    if n % KEYS == 0:
        key = f"k{lane}-{n // KEYS % 25}"
        job = await effect.using(id=job_id, key=key).enqueue(n, key)
    elif n % KEYS == 3:
        job = await effect.using(id=job_id).enqueue(n, f"free{lane}")
    else:
        job = await plain.using(id=job_id).enqueue(n)
    write(word, job_id, int(job.created))


async def once(numbers: list[tuple[int, int]]) -> None:
    for lane, n in numbers:
        await put(lane, n, "RESOLVED")
    await app.close()


def die_with_parent() -> None:
    """A harness that is killed leaves nobody behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


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
