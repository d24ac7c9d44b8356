"""A worker and a producer at a steady rate, as programs of their own on the public API.

    python -m penstock_faults.offered offer RATE SECONDS      jobs in calls of a hundredth of the rate
    python -m penstock_faults.offered work

PENSTOCK_STORE names the store, TALLY a file to which the worker adds a line a second: [time, {tenths of a ms from call to start: jobs}].
Times are of CLOCK_MONOTONIC, which all processes share.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter

from penstock import App, Job
from penstock_faults.waiting import die_with_parent

TICK = 0.01
_SECOND = 1_000_000_000

app = App(name="offered")


class Tally:
    def __init__(self) -> None:
        self._seen: Counter[int] = Counter()
        self._told = now()
        self._file = os.open(os.environ.get("TALLY", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def add(self, waited: int) -> None:
        self._seen[waited // 100_000] += 1
        if now() - self._told >= _SECOND:
            self.tell()

    def tell(self) -> None:
        """One append: who reads meets whole lines."""
        self._told = now()
        os.write(self._file, (json.dumps([self._told / _SECOND, self._seen]) + "\n").encode())
        self._seen = Counter()


def now() -> int:
    return time.monotonic_ns()


tally = Tally()


@app.task(queue="offered")
async def timed(called: int) -> None:
    tally.add(now() - called)


async def work() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with app.worker():
        await stop.wait()
    tally.tell()
    await app.close()


async def offer(rate: int, seconds: int) -> None:
    """Open loop: a call that is late does not hold up the next. Prints how many were acknowledged."""
    loop = asyncio.get_running_loop()
    size = max(1, round(rate * TICK))
    await app.enqueue_many([timed.bind(now())])
    began = loop.time()
    calls: set[asyncio.Task[list[Job[None]]]] = set()
    acknowledged = 1
    for n in range(round(seconds / TICK)):
        await asyncio.sleep(max(0.0, began + n * TICK - loop.time()))
        calls.add(asyncio.create_task(app.enqueue_many([timed.bind(now()) for _ in range(size)])))
        for done in [call for call in calls if call.done()]:
            calls.remove(done)
            acknowledged += len(await done)
    for call in calls:
        acknowledged += len(await call)
    print(acknowledged)
    await app.close()


if __name__ == "__main__":
    die_with_parent()
    match sys.argv[1:]:
        case ["offer", rate, seconds]:
            asyncio.run(offer(int(rate), int(seconds)))
        case ["work"]:
            asyncio.run(work())
        case words:
            raise SystemExit(f"what is {words}?")
