"""The raw driver: plain SQL by asyncpg on the same tables, with none of what Penstock does beside it.

No counters, no keys, no settings, no leases that end: a claim takes the next 256 above the last one's and a settle keeps them as
history. Claims and settles with synchronous_commit off, everything else durable. As much is pipelined as a plain program would: nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from itertools import count as numbers
from typing import TYPE_CHECKING, Any

import asyncpg

from penstock.cli.bench.sites import AT_ONCE, Site

if TYPE_CHECKING:
    from penstock.cli.bench.databases import Databases

_BATCH = 256
_BODY = b'{"data":"' + b"x" * 89 + b'"}'

_PUT = """
with m as (
    insert into penstock.message (id, queue, task, rank, enqueued, body)
    select id, 'bench', 'bench.nothing', 5, 0, $2
    from unnest($1::text[]) id
    returning seq
)
insert into penstock.ready (queue, rank, seq) select 'bench', 5, seq from m
"""
_CLAIM = """
with taken as materialized (
    select seq from penstock.ready where queue = 'bench' and rank = $1 and seq > $2 order by seq limit $3 for update skip locked
), gone as (
    delete from penstock.ready r using taken t where r.queue = 'bench' and r.rank = $1 and r.seq = t.seq
), held as (
    insert into penstock.leased (owner, seq, claimed) select 1, seq, 0 from taken
)
select m.seq, m.id, m.task, m.key, m.failures, m.headers, m.options, m.body from taken t join penstock.message m using (seq) order by m.seq
"""
_SETTLE = """
with over as (
    delete from penstock.leased where owner = 1 and seq = any($1::bigint[]) returning seq
)
insert into penstock.finished (seq, queue, outcome, ended, attempt, owner) select seq, 'bench', 'done', 0, 1, 1 from over
"""
_USER = "insert into bench_user (n, name) values ($1, $2)"
_TOPIC = "insert into penstock.topic (name, versioned) values ('raw', true) returning number"
_PUBLISH = """
insert into penstock.event (topic, at, given, id, type, body)
select $1, 0, false, id, 'Happened', $3 from unnest($2::text[]) id
"""
_APPEND = """
with moved as (
    insert into penstock.stream as s (topic, key, version) values ($1, $2, 1)
    on conflict (topic, key) do update set version = s.version + 1 where s.version = $3
    returning version
)
insert into penstock.event (topic, at, given, id, version, key, type, body) select $1, 0, false, $4, version, $2, 'Happened', $5 from moved
"""


class RawServer:
    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._ids = numbers()

    def puts(self, count: int, size: int) -> float:
        async def work(connection: Any) -> None:
            for _ in range(count // size):
                await connection.execute(_PUT, self._some(size), _BODY)

        return count / self._timed(self._databases.empty(), [work])

    def drain(self, task: str, count: int, keys: int = 0) -> float:
        async def work(connection: Any) -> None:
            last = 0
            while rows := await connection.fetch(_CLAIM, 5, last, _BATCH):
                last = rows[-1]["seq"]
                await connection.execute(_SETTLE, [row["seq"] for row in rows])

        return count / self._timed(self._databases.filled(task, count, keys), [work], durable=False)

    def transactions(self, count: int) -> float:
        """By 16 at once; what they settle was claimed before."""
        jobs: list[int] = []

        async def before(connection: Any) -> None:
            jobs.extend(row["seq"] for row in await connection.fetch(_CLAIM, 5, 0, count))

        async def work(connection: Any) -> None:
            while jobs:
                seq = jobs.pop()
                async with connection.transaction():
                    await connection.execute(_USER, seq, f"user {seq}")
                    await connection.execute(_PUT, self._some(1), _BODY)
                    await connection.execute(_SETTLE, [seq])

        return count / self._timed(self._databases.filled("register", count), [work] * AT_ONCE, before=before)

    def publishes(self, count: int, size: int) -> float:
        topic: list[int] = []

        async def before(connection: Any) -> None:
            topic.append(await connection.fetchval(_TOPIC))

        async def work(connection: Any) -> None:
            for _ in range(count // size):
                await connection.execute(_PUBLISH, topic[0], self._some(size), _BODY)

        return count / self._timed(self._databases.empty(), [work], before=before)

    def appends(self, count: int, size: int) -> float:
        """To `size` keys, on a connection each as far as a server's usual hundred allow, a transaction for each event."""
        topic: list[int] = []
        keys = iter(range(size))

        async def before(connection: Any) -> None:
            topic.append(await connection.fetchval(_TOPIC))

        async def work(connection: Any) -> None:
            for key in keys:
                for version in range(count // size):
                    await connection.execute(_APPEND, topic[0], f"acc-{key}", version, self._some(1)[0], _BODY)

        return count / self._timed(self._databases.empty(), [work] * min(size, AT_ONCE), before=before)

    def _some(self, count: int) -> list[str]:
        return [f"raw-{next(self._ids)}" for _ in range(count)]

    def _timed(
        self,
        site: Site,
        works: Iterable[Callable[[Any], Awaitable[None]]],
        *,
        durable: bool = True,
        before: Callable[[Any], Awaitable[None]] | None = None,
    ) -> float:
        """Seconds; `works` side by side, each on a connection of its own."""
        try:
            return asyncio.run(_race(site, list(works), before, durable=durable))
        finally:
            self._databases.drop(site)


async def _race(
    site: Site, works: list[Callable[[Any], Awaitable[None]]], before: Callable[[Any], Awaitable[None]] | None, *, durable: bool
) -> float:
    async with AsyncExitStack() as open_:
        connections = []
        for _ in works:
            connection = await asyncpg.connect(site.url)
            open_.push_async_callback(connection.close)
            await connection.execute(f"set synchronous_commit = {'on' if durable else 'off'}; set jit = off")
            connections.append(connection)
        if before is not None:
            await before(connections[0])
        began = time.perf_counter()
        await asyncio.gather(*(work(connection) for work, connection in zip(works, connections, strict=True)))
        return time.perf_counter() - began
