"""A queue of one table, as a peer of the benchmarks: a job is claimed, done and settled in one statement."""

from collections.abc import Awaitable, Callable

import asyncpg

from benchmarks.peers.program import TEXT, Peer, begun, main

PUT = "insert into job (data) select $1 from generate_series(1, $2::int)"
TAKE = """
update job set done = true
where id in (select id from job where not done order by id limit 100 for update skip locked)
returning data
"""


class Queue(Peer):
    settings = "batches of 100"

    def version(self) -> str:
        return "1.0"

    async def make(self) -> None:
        connection = await asyncpg.connect(self.url)
        await connection.execute("create table job (id serial primary key, data text not null, done boolean not null default false)")
        await connection.close()

    async def open(self) -> None:
        self.pool = await asyncpg.create_pool(self.url, min_size=4, max_size=4)

    async def put(self) -> None:
        await self.put_many(1)

    async def put_moment(self, n: int) -> None:
        await self.pool.execute(PUT, str(n), 1)

    async def put_many(self, count: int) -> None:
        await self.pool.execute(PUT, TEXT, count)

    async def close(self) -> None:
        await self.pool.close()

    async def start(self) -> Callable[[], Awaitable[None]]:
        await self.open()
        if (synced := await self.pool.fetchval("show synchronous_commit")) != "off":
            raise SystemExit(f"a worker's commits are synced, where Penstock's are not: {synced}")

        async def begin() -> None:
            while True:
                for (data,) in await self.pool.fetch(TAKE):
                    if data != TEXT:
                        begun(int(data))

        return begin


if __name__ == "__main__":
    main(Queue)
