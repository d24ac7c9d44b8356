"""A worker whose handlers are slow in every way, or a producer of such jobs: a process of the test of slow handlers.

    python -m penstock_faults.slowed worker NAME
    python -m penstock_faults.slowed producer LANE ROUNDS

PENSTOCK_STORE, LEDGER and TRUE as for `member`.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import suppress

from penstock import App, Context, Task, Transaction, WorkerOptions
from penstock_faults.member import PERIOD, heard, told, write
from penstock_faults.waiting import die_with_parent

LEASE = 1.5
PATIENCE = 0.5
"""Seconds that a worker which stops gives its handlers."""
TICK = 0.02
STILL, BURN = 1.2 * LEASE, 0.6
"""Seconds for which the loop stands still, and for which a thread keeps a processor busy."""
SLOW = {0: "once", 5: "thrice", 7: "stubborn", 10: "hog", 15: "deaf", 30: "blocks"}
"""Kinds of slow jobs, and the round in which each is put."""
CYCLE = 40
LOOSE = ("stubborn", "hog", "deaf")
"""Nobody can stop them: when their worker stops they are another's, and run on until its process ends."""

app = App(name="slowed")


@app.task()
async def quick(ctx: Context) -> None:
    with told(ctx):
        await asyncio.sleep(TICK)


@app.task()
async def effect(ctx: Context, tx: Transaction) -> None:
    with told(ctx):
        await tx.execute("insert into effects (job) values (:job)", job=ctx.job_id)
        await asyncio.sleep(TICK)


@app.task()
async def once(ctx: Context) -> None:
    with told(ctx):
        await asyncio.sleep(LEASE)


@app.task()
async def thrice(ctx: Context) -> None:
    with told(ctx):
        await asyncio.sleep(3 * LEASE)


@app.task()
async def blocks(ctx: Context) -> None:
    """The event loop, for longer than a lease."""
    with told(ctx):
        time.sleep(STILL)


@app.task()
def hog(ctx: Context) -> None:
    with told(ctx):
        until = time.monotonic() + BURN
        while time.monotonic() < until:
            sum(range(1000))


@app.task()
def stubborn(ctx: Context) -> None:
    """Does not ask whether it should stop."""
    with told(ctx):
        time.sleep(2 * PATIENCE)


@app.task()
async def deaf(ctx: Context) -> None:
    """Will not be cancelled."""
    with told(ctx):
        until = time.monotonic() + 2 * PATIENCE
        while (left := until - time.monotonic()) > 0:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(left)


TASKS: dict[str, Task[[], None]] = {
    "quick": quick,
    "effect": effect,
    "once": once,
    "thrice": thrice,
    "blocks": blocks,
    "hog": hog,
    "stubborn": stubborn,
    "deaf": deaf,
}


async def work(name: str) -> None:
    app.signals.listen(heard)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with app.worker(WorkerOptions(concurrency=60, name=name, lease=LEASE, shutdown_timeout=PATIENCE)):
        await stop.wait()
        write("TOLD")
    write("LEFT")
    await app.close()


async def produce(lane: str, rounds: int) -> None:
    began = asyncio.get_running_loop().time()
    for n in range(rounds):
        slow = SLOW.get(n % CYCLE)
        for kind in ("quick", "effect", *([slow] if slow else [])):
            job = f"{lane}-{n}-{kind}"
            write("TRY", job)
            await TASKS[kind].using(id=job).enqueue()
            write("ACK", job)
        await asyncio.sleep(max(0.0, began + n * PERIOD - asyncio.get_running_loop().time()))
    await app.close()


if __name__ == "__main__":
    die_with_parent()
    role, *words = sys.argv[1:]
    asyncio.run(work(words[0]) if role == "worker" else produce(words[0], int(words[1])))
