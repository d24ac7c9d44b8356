"""The app under measurement, and its producers. The handlers do next to nothing, so that what is left is Penstock's own.

    python program.py fill TASK COUNT KEYS | single COUNT | concurrent COUNT | many COUNT | steady COUNT RATE

A producer prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from penstock import App, Transaction

Answer: TypeAlias = dict[str, Any]

CLIENTS = 100
BATCH = 1_000

PAYLOAD = "x" * int(os.environ.get("PENSTOCK_BENCH_PAYLOAD", "89"))
"""100 bytes as a JSON object with its name."""

app = App(name="bench")


@app.task(queue="bench")
async def nothing(data: str) -> None: ...


@app.batch_task(size=256, queue="bench")
async def together(rows: list[str]) -> None: ...


@app.task(queue="followed")
async def follow(data: str) -> None:
    """Nobody works on it while transactions are measured: raw has nobody either."""


@app.task(queue="bench")
async def register(tx: Transaction, n: int) -> None:
    """A handler as the outbox pattern has it: one row of the user's, one follow-up job."""
    await tx.execute("insert into bench_user (n, name) values (:n, :name)", n=n, name=f"user {n}")
    await follow.enqueue(PAYLOAD)


@app.task(queue="bench")
async def moment(n: int) -> int:
    """When it began, by the clock that all processes of a machine share."""
    return now()


async def fill(task: str, count: int, keys: int) -> Answer:
    """`count` jobs before the measurement; with `keys`, round and round through so many keys."""
    keyed = [nothing.using(key=f"k{n}") for n in range(keys)]
    for first in range(0, count, BATCH):
        numbers = range(first, min(count, first + BATCH))
        if task == "register":
            await app.enqueue_many([register.bind(n) for n in numbers])
        elif task == "together":
            await app.enqueue_many([together.bind(PAYLOAD) for _ in numbers])
        else:
            await app.enqueue_many([(keyed[n % keys] if keys else nothing).bind(PAYLOAD) for n in numbers])
    return {}


async def single(count: int) -> Answer:
    waits = await client(count)
    return {"waits": waits}


async def concurrent(count: int) -> Answer:
    """Clients that each wait for their job before they send the next one."""
    waits = await asyncio.gather(*(client(count // CLIENTS) for _ in range(CLIENTS)))
    return {"waits": [wait for client in waits for wait in client]}


async def many(count: int) -> Answer:
    waits: list[float] = []
    for _ in range(count // BATCH):
        began = time.perf_counter()
        await app.enqueue_many([nothing.bind(PAYLOAD) for _ in range(BATCH)])
        waits.append(time.perf_counter() - began)
    return {"waits": waits}


async def steady(count: int, rate: int) -> Answer:
    """Open loop: a late one does not delay the next."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    sent: list[tuple[int, int, int]] = []

    async def send(n: int) -> None:
        called = now()
        await moment.enqueue(n)
        sent.append((n, called, now()))

    tasks: list[asyncio.Task[None]] = []
    for n in range(count):
        await asyncio.sleep(max(0.0, began + n / rate - loop.time()))
        tasks.append(asyncio.create_task(send(n)))
    await asyncio.gather(*tasks)
    return {"sent": sent}


async def client(count: int) -> list[float]:
    waits: list[float] = []
    clock = time.perf_counter
    for _ in range(count):
        began = clock()
        await nothing.enqueue(PAYLOAD)
        waits.append(clock() - began)
    return waits


def now() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


async def measured(work: Callable[[], Awaitable[Answer]]) -> Answer:
    """With the store open already, as in a program that has been running for a while."""
    await app.enqueue_many([nothing.bind(PAYLOAD)])
    began, cpu = time.perf_counter(), time.process_time()
    answer = await work()
    answer |= {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "rss": peak_mebibytes()}
    await app.close()
    return answer


def peak_mebibytes() -> float | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    match sys.argv[1:]:
        case ["fill", task, count, keys]:
            asyncio.run(filled(task, int(count), int(keys)))
        case ["single", count]:
            print(json.dumps(asyncio.run(measured(lambda: single(int(count))))))
        case ["concurrent", count]:
            print(json.dumps(asyncio.run(measured(lambda: concurrent(int(count))))))
        case ["many", count]:
            print(json.dumps(asyncio.run(measured(lambda: many(int(count))))))
        case ["steady", count, rate]:
            print(json.dumps(asyncio.run(measured(lambda: steady(int(count), int(rate))))))
        case words:
            raise SystemExit(f"what is {words}?")


async def filled(task: str, count: int, keys: int) -> None:
    await fill(task, count, keys)
    await app.close()


if __name__ == "__main__":
    main()
