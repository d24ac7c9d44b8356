"""Huey on a file of SQLite's. It takes a job out of the file before its handler runs: one that a crash interrupts is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Self

from huey import SqliteHuey  # pyright: ignore[reportMissingImports]
from huey.storage import SqliteStorage  # pyright: ignore[reportMissingImports]

from benchmarks.peers.blocking import BlockingPeer
from benchmarks.peers.program import TEXT, begun, main

WORKERS = 1
"""Threads, which take turns at one connection."""
DELAY, MAX_DELAY = 0.001, 0.01
"""Seconds between two looks at an empty queue; its defaults, 0.1 to 10, would be its latency."""
TIMEOUT = 60
"""Seconds that one waits for the file, which others write to."""


class RelaxedStorage(SqliteStorage):
    """As Penstock's settles: only checkpoints are synced. Huey's own options are all or nothing."""

    def _create_connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = super()._create_connection()
        connection.execute("pragma synchronous = normal")
        return connection


class Relaxed(SqliteHuey):
    storage_class = RelaxedStorage


class Queue(BlockingPeer):
    settings = (
        f"SqliteHuey(results=False), WAL; consumer: {WORKERS} thread, initial_delay={DELAY}, max_delay={MAX_DELAY}; producers: threads of "
        "one process; durability: puts synced (fsync=True), takes not (synchronous=normal); a job is taken before it runs: at most once"
    )

    def __init__(self, url: str, kind: type[SqliteHuey] = SqliteHuey) -> None:
        super().__init__(url)
        self.huey = kind("bench", filename=url or ":memory:", fsync=True, results=False, timeout=TIMEOUT)
        self.nothing = self.huey.task(name="nothing")(nothing)
        self.moment = self.huey.task(name="moment")(begun)

    @classmethod
    def worker(cls, url: str) -> Self:
        return cls(url, Relaxed)

    def version(self) -> str:
        return version("huey")

    async def make(self) -> None:
        """Its tables are made when it is."""

    async def open(self) -> None: ...

    def send(self) -> None:
        self.nothing(data=TEXT)

    def send_moment(self, n: int) -> None:
        self.moment(n)

    async def left(self) -> int:
        return self.huey.pending_count()

    async def close(self) -> None:
        self.huey.storage.close()

    async def start(self) -> Callable[[], Awaitable[None]]:
        consumer = self.huey.create_consumer(workers=WORKERS, periodic=False, initial_delay=DELAY, max_delay=MAX_DELAY)

        async def begin() -> None:
            consumer.run()

        return begin


def nothing(data: str) -> None: ...


if __name__ == "__main__":
    main(Queue)
