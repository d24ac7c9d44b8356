"""A program that fills a store, or reads all that is in it: a process of the test of damaged files.

    python -m penstock_faults.reading make|read

PENSTOCK_STORE names the store. `make` is told by lines on its standard input how many jobs to put, one commit each, and says when
they are there; at the end of its input it closes the store. `read` runs all of them and prints what it saw as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import NoReturn

from penstock import App, Context, WorkerOptions
from penstock.errors import PenstockError
from penstock.model.events import Event, Trouble
from penstock_faults.waiting import die_with_parent

PATIENCE = 20.0
app = App(name="reading")


def text_of(n: int) -> str:
    return f"{n:08d}." * 50


got: dict[str, bool] = {}
"""By id: whether it was what was put."""
troubles: list[str] = []


@app.task()
async def read(ctx: Context, n: int, text: str) -> None:
    got[ctx.job_id] = ctx.job_id == f"job-{n}" and text == text_of(n)


async def make() -> None:
    made = 0
    while line := await asyncio.to_thread(sys.stdin.readline):
        for n in range(made, made + int(line)):
            await read.using(id=f"job-{n}").enqueue(n, text_of(n))
        made += int(line)
        print("MADE", made, flush=True)
    async with app.transaction() as tx:
        await tx.fetch("select 1")
    await app.close()


async def look() -> None:
    """Until nothing is left, or something is wrong."""
    told = asyncio.Event()

    def note(event: Event) -> None:
        if isinstance(event, Trouble):
            troubles.append(f"{type(event.error).__name__}: {event.error}")
            loop.call_soon_threadsafe(told.set)

    loop = asyncio.get_running_loop()
    app.signals.listen(note)
    try:
        async with app.worker(WorkerOptions(concurrency=50)) as worker:
            ends = [asyncio.create_task(worker.idle()), asyncio.create_task(told.wait())]
            done, _ = await asyncio.wait(ends, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            leave("" if done else f"it came to no end within {PATIENCE:g} s")
    except PenstockError as error:
        troubles.append(f"{type(error).__name__}: {error}")
    leave("")


def leave(why: str) -> NoReturn:
    """Nothing more is written."""
    print(json.dumps({"got": got, "troubles": troubles, "endless": why}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    die_with_parent()
    asyncio.run(make() if sys.argv[1] == "make" else look())
