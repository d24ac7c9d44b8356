"""What all programs of peers share: how they are called, and what they answer. Nothing of Penstock's is in their environment.

    python -m benchmarks.peers.NAME facts
    python -m benchmarks.peers.NAME make                       tables in an empty database
    python -m benchmarks.peers.NAME fill COUNT
    python -m benchmarks.peers.NAME concurrent COUNT SECONDS   whichever is over first
    python -m benchmarks.peers.NAME many COUNT SECONDS
    python -m benchmarks.peers.NAME work                       says `ready`, begins at a line from stdin, and works until it is ended

PEER_DATABASE is the database. Each but `work` prints at most one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, ClassVar

CLIENTS = 100
BATCH = 1_000

TEXT = "x" * 89
"""100 bytes as a JSON object with its name, as Penstock's own jobs have."""


class Peer(ABC):
    """A queue as its own documentation has it."""

    settings: ClassVar[str]
    """For the report."""

    def __init__(self, url: str) -> None:
        self.url = url

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
    async def put_many(self, count: int) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def start(self) -> Callable[[], Awaitable[None]]:
        """A worker that has connected. What it returns does the work, and does not end."""

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run(work)


def main(kind: type[Peer]) -> None:
    peer = kind(os.environ.get("PEER_DATABASE", ""))
    match sys.argv[1:]:
        case ["facts"]:
            answer({"version": peer.version(), "settings": peer.settings})
        case ["make"]:
            peer.run(peer.make())
        case ["fill", count]:
            peer.run(fill(peer, int(count)))
        case ["concurrent", count, seconds]:
            peer.run(measured(peer, lambda: concurrent(peer, int(count), float(seconds))))
        case ["many", count, seconds]:
            peer.run(measured(peer, lambda: many(peer, int(count), float(seconds))))
        case ["work"]:
            peer.run(work(peer))
        case words:
            raise SystemExit(f"what is {words}?")


async def fill(peer: Peer, count: int) -> None:
    await peer.open()
    for first in range(0, count, BATCH):
        await peer.put_many(min(BATCH, count - first))
    await peer.close()


async def concurrent(peer: Peer, count: int, seconds: float) -> list[float]:
    """Clients that each wait for their job before they send the next one."""
    end = time.perf_counter() + seconds
    waits = await asyncio.gather(*(client(peer.put, count // CLIENTS, end) for _ in range(CLIENTS)))
    return [wait for each in waits for wait in each]


async def many(peer: Peer, count: int, seconds: float) -> list[float]:
    return await client(lambda: peer.put_many(BATCH), count // BATCH, time.perf_counter() + seconds)


async def client(put: Callable[[], Awaitable[None]], count: int, end: float) -> list[float]:
    waits: list[float] = []
    while len(waits) < count and (began := time.perf_counter()) < end:
        await put()
        waits.append(time.perf_counter() - began)
    return waits


async def measured(peer: Peer, work: Callable[[], Awaitable[list[float]]]) -> None:
    """With a first job behind it, as a program that has been running for a while."""
    await peer.open()
    await peer.put_many(1)
    began, cpu = time.perf_counter(), time.process_time()
    waits = await work()
    answer_waits(waits, time.perf_counter() - began, time.process_time() - cpu)
    await peer.close()


async def work(peer: Peer) -> None:
    begin = await peer.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await begin()


def answer_waits(waits: Sequence[float], seconds: float, cpu: float) -> None:
    """Of each call, in seconds."""
    answer({"waits": waits, "seconds": seconds, "cpu": cpu})


def answer(what: dict[str, object]) -> None:
    print(json.dumps(what))
