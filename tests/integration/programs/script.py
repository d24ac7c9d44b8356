"""Scripts without an event loop of their own:  script.py exits|raises|killed|flask|loops|bars"""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from penstock import App
from penstock.errors import ConfigurationError

app = App(name="script")


@app.task()
async def note(text: str, n: int = 0) -> str:
    return text


def exits() -> None:
    for n in range(5):
        note.sync.enqueue("last words", n)


def raises() -> None:
    note.sync.enqueue("last words", 0)
    raise SystemExit(3)


def flask() -> None:
    """Threads of a web server, none of which has a loop."""

    def request(n: int) -> str:
        job = note.sync.enqueue("request", n)
        with app.sync.transaction() as tx:
            tx.execute("create table if not exists seen (n integer)")
            tx.execute("insert into seen values (:n)", n=n)
            note.using(tx=tx).sync.enqueue("joined", n)
        return job.sync.status()

    with ThreadPoolExecutor(8) as pool:
        print(sorted(set(pool.map(request, range(40)))))


def loops() -> None:
    """`asyncio.run` twice, with `.sync` before, between and after."""

    async def serve(n: int) -> None:
        await asyncio.gather(*(note.enqueue(f"run {n}", m) for m in range(5)))
        async with app.transaction() as tx:
            await tx.execute("create table if not exists seen (n integer)")
            await tx.execute("insert into seen values (:n)", n=n)

    asyncio.run(serve(1))
    asyncio.run(serve(2))
    note.sync.enqueue("between")
    asyncio.run(serve(3))
    note.sync.enqueue("after")
    asyncio.run(worked())


async def worked() -> None:
    job = await note.enqueue("worked")
    async with app.worker():
        print(await job.result(timeout=30))
    await app.close()


def bars() -> None:
    """On the loop's own thread `.sync` would wait for itself."""

    async def serve() -> None:
        await note.enqueue("async")
        for verb in (lambda: note.sync.enqueue("sync"), lambda: app.job("x").sync.status(), lambda: app.sync.transaction().__enter__()):
            try:
                verb()
            except ConfigurationError as error:
                print(f"refused: {error}")
        print(await asyncio.to_thread(lambda: note.sync.enqueue("from a thread").created))

    asyncio.run(serve())


def killed() -> None:
    """Nothing that was acknowledged needs a good end."""
    note.sync.enqueue("last words", 0)
    os._exit(9)


if __name__ == "__main__":
    {"exits": exits, "raises": raises, "flask": flask, "loops": loops, "bars": bars, "killed": killed}[sys.argv[1]]()
