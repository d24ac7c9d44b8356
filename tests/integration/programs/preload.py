"""A server that imports the app, uses it, and forks, as gunicorn does with `--preload`.

    preload.py load|outlived|engine|transaction|worker|working|sockets

It says what it did on its standard output and goes on when it is given a line.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import create_engine, text

from penstock import App, Transaction, WorkerOptions
from penstock.integrations.sqlalchemy import prepare

CHILDREN = 4
ROUNDS = 3
EACH = 20

app = App(name="web")


@app.task()
async def count(who: int, n: int) -> None: ...


@app.task(queue="held")
async def hang() -> None:
    say(f"hang {os.getpid()}")
    await asyncio.Event().wait()


def say(line: str) -> None:
    os.write(1, (line + "\n").encode())


def fork(work: Callable[[], None], *, exits: bool = False) -> int:
    """`exits`: as a whole interpreter does, with everything that runs at its end."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException as error:
        say(f"child failed: {error!r}")
        os._exit(1)
    if exits:
        sys.exit(0)
    os._exit(0)


def reap(pids: list[int]) -> bool:
    return all(os.waitpid(pid, 0)[1] == 0 for pid in pids)


# -- children under load while the parent goes on


def request() -> None:
    for n in range(EACH):
        count.sync.enqueue(os.getpid(), n)
    asyncio.run(serve())
    count.sync.enqueue(os.getpid(), -1)


async def serve() -> None:
    await asyncio.gather(*(count.enqueue(os.getpid(), EACH + n) for n in range(EACH)))


def load() -> None:
    count.sync.enqueue(0, 0)
    kept = 1
    over = threading.Event()

    def go_on() -> None:
        nonlocal kept
        while not over.is_set():
            count.sync.enqueue(0, kept)
            kept += 1

    thread = threading.Thread(target=go_on)
    thread.start()
    good = True
    for _ in range(ROUNDS):
        good &= reap([fork(request, exits=child % 2 == 0) for child in range(CHILDREN)])
    over.set()
    thread.join()
    app.sync.close()
    say(f"parent kept {kept}, children {'well' if good else 'ill'}")


# -- a child that outlives what its parent had open


def outlived(dispose: Callable[[], None] = lambda: None) -> None:
    count.sync.enqueue(0, 0)
    (told, tell), (asked, ask) = os.pipe(), os.pipe()

    def child() -> None:
        count.sync.enqueue(1, 0)
        os.write(ask, b"x")
        os.read(told, 1)
        count.sync.enqueue(1, 1)

    pid = fork(child)
    os.read(asked, 1)
    count.sync.enqueue(0, 1)
    app.sync.close()
    dispose()
    os.write(tell, b"x")
    say(f"children {'well' if reap([pid]) else 'ill'}")


def engine() -> None:
    """The same with connections of the user's in a pool."""
    made = prepare(create_engine(app.found.url))
    with made.begin() as connection:
        connection.execute(text("create table users (name text)"))
    outlived(made.dispose)


# -- a transaction of the parent's while children come and go


def transaction() -> None:
    with app.sync.transaction() as tx:
        tx.execute("create table if not exists ledger (entry text)")
        tx.execute("insert into ledger values ('before')")
        good = reap([fork(lambda: None, exits=child % 2 == 0) for child in range(CHILDREN)])
        tx.execute("insert into ledger values ('after')")
        say(f"transaction open, children {'well' if good else 'ill'}")
        sys.stdin.readline()
    say("committed")
    say(f"child after it {'well' if reap([fork(lambda: void(count.sync.enqueue(2, 0)))]) else 'ill'}")


def void(_: object) -> None: ...


# -- a worker whose children live and die


def worker() -> None:
    asyncio.run(work())


async def work() -> None:
    await hang.enqueue()
    async with app.worker(WorkerOptions(concurrency=1, lease=60)):
        killed, living = (fork(lambda: signal.pause()) for _ in range(2))
        os.kill(killed, signal.SIGKILL)
        os.waitpid(killed, 0)
        say(f"child {living} lives, parent {os.getpid()}")
        await asyncio.Event().wait()


# -- a worker that works while its process forks


def working() -> None:
    asyncio.run(work_on())


async def work_on() -> None:
    kept = 0
    async with app.worker(WorkerOptions(concurrency=10)) as worker:
        pids: list[int] = []
        for _ in range(CHILDREN):
            await asyncio.gather(*(count.enqueue(0, kept + n) for n in range(EACH)))
            kept += EACH
            pids.append(fork(lambda: in_a_thread(request)))
        while pids:
            job = await count.enqueue(0, kept)
            kept += 1
            await job.result(timeout=30)
            pids = [pid for pid in pids if not ended(pid)]
        await worker.idle()
    await app.close()
    say(f"parent kept {kept}, children {'ill' if ill else 'well'}")


ill: list[int] = []


def ended(pid: int) -> bool:
    found, status = os.waitpid(pid, os.WNOHANG)
    if status:
        ill.append(pid)
    return bool(found)


def in_a_thread(work: Callable[[], None]) -> None:
    """The child's main thread is inside of a loop that does not run any more."""
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


# -- what a child has of its parent's connections


def sockets() -> None:
    asyncio.run(connected())


@app.task(queue="threads")
def threaded(tx: Transaction) -> None:
    tx.sync.execute("select 1")


async def connected() -> None:
    """All kinds of connections are open when it forks."""
    async with app.worker():
        await (await threaded.enqueue()).result(timeout=30)
        say(f"parent has {len(connections())}")
        good = reap([fork(lambda: say(f"child has {len(connections())}"))])
        job = await threaded.enqueue()
        await job.result(timeout=30)
    await app.close()
    say(f"children {'well' if good else 'ill'}")


def connections() -> list[int]:
    found: list[int] = []
    for entry in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as end:
            if end.family == socket.AF_INET:
                found.append(int(entry.name))
    return found


if __name__ == "__main__":
    {
        "load": load,
        "outlived": outlived,
        "engine": engine,
        "transaction": transaction,
        "worker": worker,
        "working": working,
        "sockets": sockets,
    }[sys.argv[1]]()
