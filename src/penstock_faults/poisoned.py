"""Poison among good messages: a worker of a process of its own, which some of its jobs kill.

    python -m penstock_faults.poisoned

PENSTOCK_STORE names the store, LEDGER a file on another file system.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import threading

from penstock import App, Context, Retry, Transaction, WorkerOptions
from penstock_faults.poison import ATTEMPTS, TASKS, id_of
from penstock_faults.waiting import die_with_parent

PID = os.getpid()
LEDGER = os.open(os.environ.get("LEDGER", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
STALL = 2.0
MEMORY = 1 << 30
"""Bytes of addresses that this process may have."""

app = App(name="poisoned")


class Escape(BaseException):
    """Of a handler's own: no `Exception`."""


def write(*words: object) -> None:
    os.write(LEDGER, (" ".join(map(str, (*words, PID))) + "\n").encode())


@app.task()
async def good(ctx: Context, tx: Transaction, n: int) -> None:
    await tx.execute("insert into effects (n) values (:n)", n=n)


@app.task(retry=Retry(attempts=ATTEMPTS, first=0.05))
async def failing(ctx: Context, kind: str) -> None:
    """Poison that leaves its worker alive."""
    write("RUN", kind, ctx.job_id)
    match kind:
        case "raises":
            raise ValueError("poison")
        case "escapes":
            raise Escape("poison")
        case "exits":
            raise SystemExit(3)
        case "recurses":
            recurse(0)
        case "swallows memory":
            bytearray(4 * MEMORY)


@app.task(retry=Retry(attempts=ATTEMPTS, first=0.05), timeout=0.3)
async def deadlocked(ctx: Context) -> None:
    write("RUN", "deadlocks", ctx.job_id)
    async with LOCK, LOCK:
        pass


@app.task()
async def killing(ctx: Context, kind: str) -> None:
    """Poison that takes its worker with it."""
    write("RUN", kind, ctx.job_id)
    match kind:
        case "leaves":
            os._exit(1)
        case "crashes":
            os.kill(PID, signal.SIGSEGV)
        case "is killed":
            os.kill(PID, signal.SIGKILL)  # as the kernel does to who takes too much memory
        case "spins":
            while True:
                pass


LOCK = asyncio.Lock()


def recurse(depth: int) -> int:
    return recurse(depth + 1) + 1


async def work() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with app.worker(WorkerOptions(concurrency=20, name=f"poisoned-{PID}", stall_limit=STALL, lease=6, shutdown_timeout=5)):
        write("WORKER", threading.get_native_id())
        await stop.wait()
    await app.close()


async def put(goods: int, each: int, seed: int) -> None:
    """Poison anywhere among the good ones."""
    chance = random.Random(seed)
    kinds = [(kind, n) for n in range(each) for kind in TASKS]
    poison = dict(zip(chance.sample(range(goods), len(kinds)), kinds, strict=True))
    for n in range(goods):
        if n in poison:
            kind, number = poison[n]
            job = id_of(kind, number)
            match TASKS[kind]:
                case "deadlocked":
                    await deadlocked.using(id=job).enqueue()
                case "failing":
                    await failing.using(id=job).enqueue(kind)
                case _:
                    await killing.using(id=job).enqueue(kind)
        await good.using(id=f"good-{n}").enqueue(n)
    await app.close()


if __name__ == "__main__":
    die_with_parent()
    asyncio.run(work())
