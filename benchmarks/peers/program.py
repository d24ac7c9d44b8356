"""What all programs of peers share: how they are called, and what they answer. Nothing of Penstock's is in their environment.

    python -m benchmarks.peers.NAME facts
    python -m benchmarks.peers.NAME make                       what an empty queue needs
    python -m benchmarks.peers.NAME fill COUNT
    python -m benchmarks.peers.NAME enqueue COUNT SECONDS      one by one; whichever is over first
    python -m benchmarks.peers.NAME concurrent COUNT SECONDS
    python -m benchmarks.peers.NAME many COUNT SECONDS
    python -m benchmarks.peers.NAME steady COUNT RATE          to a worker that is up: from each call to its handler
    python -m benchmarks.peers.NAME moments COUNT              jobs that say when they begin
    python -m benchmarks.peers.NAME work                       says `ready`, begins at a line from stdin, and works until it is ended
    python -m benchmarks.peers.NAME left                       says `ready`, and for each line from stdin how many jobs have not ended

PEER_QUEUE is where the queue is: a URL, or a file. PEER_MOMENTS is the file in which handlers say when they began; with PEER_REST they
take so many seconds then, and say in PEER_ENDS that they have ended. Each but `work`
and `left` prints at most one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit, urlunsplit

CLIENTS = 100
BATCH = 1_000
PATIENCE = 30.0
"""Seconds that a worker has to begin a job."""

TEXT = "x" * 89
"""100 bytes as a JSON object with its name, as Penstock's own jobs have."""

FIRST = -1
"""The number of the moment by which a worker is known to be up."""


class Peer(ABC):
    """A queue as its own documentation has it."""

    settings: ClassVar[str]
    """For the report."""

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    def worker(cls, url: str) -> Self:
        """Its claims and settles are no more synced than Penstock's, where what it keeps its queue in can tell them from puts."""
        return cls(unsynced(url))

    @abstractmethod
    def version(self) -> str: ...

    @abstractmethod
    async def make(self) -> None: ...

    @abstractmethod
    async def open(self) -> None:
        """As a producer."""

    @abstractmethod
    async def put(self) -> None: ...

    @abstractmethod
    async def put_moment(self, n: int) -> None:
        """A job whose handler calls `begun(n)`."""

    async def put_many(self, count: int) -> None:
        """By its verb for that, if it has one."""
        await self.together(count, float("inf"))

    async def together(self, count: int, end: float) -> list[float]:
        """By clients that each wait for their job before they put the next one."""
        waits = await asyncio.gather(*(client(self.put, share, end) for share in shares(count)))
        return [wait for each in waits for wait in each]

    async def left(self) -> int:
        """Jobs that have not ended."""
        raise NotImplementedError

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def start(self) -> Callable[[], Awaitable[None]]:
        """A worker that has connected. What it returns does the work, and does not end."""

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run(work)


def main(kind: type[Peer]) -> None:
    peer = kind(os.environ.get("PEER_QUEUE", ""))
    match sys.argv[1:]:
        case ["facts"]:
            answer({"version": peer.version(), "settings": peer.settings})
        case ["make"]:
            peer.run(peer.make())
        case ["fill", count]:
            peer.run(fill(peer, int(count)))
        case ["enqueue", count, seconds]:
            peer.run(measured(peer, 1, lambda end: client(peer.put, int(count), end), float(seconds)))
        case ["concurrent", count, seconds]:
            peer.run(measured(peer, CLIENTS, lambda end: peer.together(int(count), end), float(seconds)))
        case ["many", count, seconds]:
            peer.run(measured(peer, 1, lambda end: client(lambda: peer.put_many(BATCH), int(count) // BATCH, end), float(seconds)))
        case ["steady", count, rate]:
            peer.run(steady(peer, int(count), int(rate)))
        case ["moments", count]:
            peer.run(put_moments(peer, int(count)))
        case ["work"]:
            worker = kind.worker(peer.url)
            worker.run(work(worker))
        case ["left"]:
            peer.run(left(peer))
        case words:
            raise SystemExit(f"what is {words}?")


def unsynced(url: str) -> str:
    """PostgreSQL's sessions at this URL commit without waiting for the disk."""
    parts = urlsplit(url)
    if not parts.scheme.startswith("postgres"):
        return url
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, "options=-c%20synchronous_commit%3Doff")))))


def shares(count: int) -> list[int]:
    """Of each client."""
    return [count // CLIENTS + (n < count % CLIENTS) for n in range(CLIENTS)]


async def fill(peer: Peer, count: int) -> None:
    await peer.open()
    for first in range(0, count, BATCH):
        await peer.put_many(min(BATCH, count - first))
    await peer.close()


async def client(put: Callable[[], Awaitable[None]], count: int, end: float) -> list[float]:
    waits: list[float] = []
    while len(waits) < count and (began := time.perf_counter()) < end:
        await put()
        waits.append(time.perf_counter() - began)
    return waits


async def measured(peer: Peer, first: int, work: Callable[[float], Awaitable[list[float]]], seconds: float) -> None:
    """With `first` jobs behind it, as a program that has been running for a while."""
    await peer.open()
    await peer.together(first, float("inf"))
    began, cpu = time.perf_counter(), time.process_time()
    waits = await work(began + seconds)
    answer_waits(waits, time.perf_counter() - began, time.process_time() - cpu)
    await peer.close()


async def steady(peer: Peer, count: int, rate: int) -> None:
    """Open loop, but for calls that block: those delay the next one if they take longer than their turn."""
    await peer.open()
    await peer.put_moment(FIRST)
    await moments(1)
    called: dict[int, int] = {}

    async def send(n: int) -> None:
        called[n] = now()
        await peer.put_moment(n)

    began, cpu = time.perf_counter(), time.process_time()
    tasks: list[asyncio.Task[None]] = []
    for n in range(count):
        await asyncio.sleep(max(0.0, began + n / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(send(n)))
    await asyncio.gather(*tasks)
    seconds, spent = time.perf_counter() - began, time.process_time() - cpu
    begun_at = await moments(1 + count)
    answer_waits([(begun_at[n] - at) / 1e9 for n, at in called.items()], seconds, spent)
    await peer.close()


async def work(peer: Peer) -> None:
    begin = await peer.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await begin()


async def left(peer: Peer) -> None:
    await peer.open()
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(await peer.left(), flush=True)


async def put_moments(peer: Peer, count: int) -> None:
    await peer.open()
    for n in range(count):
        await peer.put_moment(n)
    await peer.close()


def begun(n: int) -> None:
    """Of handlers that block."""
    note("PEER_MOMENTS", f"{n} {now()}")
    if rest := float(os.environ.get("PEER_REST", "0")):
        time.sleep(rest)
        note("PEER_ENDS", str(n))


async def begun_here(n: int) -> None:
    """Of handlers on an event loop."""
    note("PEER_MOMENTS", f"{n} {now()}")
    if rest := float(os.environ.get("PEER_REST", "0")):
        await asyncio.sleep(rest)
        note("PEER_ENDS", str(n))


def note(where: str, line: str) -> None:
    with Path(os.environ[where]).open("a") as file:
        file.write(f"{line}\n")


async def moments(count: int) -> dict[int, int]:
    """When each began, as soon as there are so many."""
    path, deadline = Path(os.environ["PEER_MOMENTS"]), time.perf_counter() + PATIENCE
    found: dict[int, int] = {}
    while len(found) < count:
        if time.perf_counter() > deadline:
            raise SystemExit(f"{len(found)} of {count} jobs have begun after {PATIENCE:g} s")
        await asyncio.sleep(0.01)
        found = told(path)
    return found


def told(path: Path) -> dict[int, int]:
    lines = path.read_text().splitlines() if path.exists() else []
    return {int(n): int(at) for n, at in map(str.split, lines)}


def now() -> int:
    """By the clock that all processes of a machine share."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def answer_waits(waits: Sequence[float], seconds: float, cpu: float) -> None:
    """Of each call, in seconds."""
    answer({"waits": waits, "seconds": seconds, "cpu": cpu})


def answer(what: dict[str, object]) -> None:
    print(json.dumps(what))
