"""What the ports and the programs must bear on PostgreSQL; findings in docs/design/postgres-spike.md."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from penstock.integrations.sqlalchemy import foreign
from penstock.model.delivery import Settlement
from penstock.model.message import Message
from penstock.model.outcome import Done, Failed, Failure, Released
from penstock.ports.queue import Claim
from penstock.stores.sql.library import Library
from penstock.stores.sqlite.put import put as sqlite_put
from tests.spikes.postgres import LIBRARY, Asyncpg, Joined, PostgresQueue, Psycopg, columns

Open = Callable[[], Any]
FAILURE = Failed(1, Failure("E", "again"))
TABLES = ("ready", "later", "aside", "busy", "leased", "finished", "attempt", "delta", "message")


@pytest.fixture
async def opened(postgres_url: str) -> AsyncIterator[Open]:
    """Opens connections to a fresh schema in which the workers 1 to 4 are enrolled."""
    connections: list[Any] = []

    async def connect() -> Any:
        connections.append(await asyncpg.connect(postgres_url))
        return connections[-1]

    first = await connect()
    await first.execute("drop schema if exists penstock cascade; drop table if exists users")
    await first.execute(Path(__file__).with_name("schema.sql").read_text())
    await first.execute("insert into penstock.worker (incarnation) select generate_series(1, 4)")
    yield connect
    await asyncio.gather(*(connection.close() for connection in connections))


def message(name: str, **more: Any) -> Message:
    return Message(name, "q", "task", b"{}", **more)


def ask(owner: int, room: int = 16) -> Claim:
    return Claim(owner, [("q", room)], frozenset({"task"}))


async def test_a_key_never_runs_twice_at_once_and_keeps_its_order(opened: Open) -> None:
    keys, each = 12, 60
    running: set[str] = set()
    ended: defaultdict[str, list[int]] = defaultdict(list)
    tries: defaultdict[str, int] = defaultdict(int)

    async def produce(queue: PostgresQueue, mine: range) -> None:
        for n in range(each):
            batch = [message(f"{key}:{n}", key=f"k{key}", priority=(n * key) % 10) for key in mine]
            await queue.put([*batch, message(f"{mine}:{n}")])

    async def consume(queue: PostgresQueue, owner: int) -> None:
        while sum(map(len, ended.values())) < keys * each:
            runs = (await queue.claim(ask(owner))).runs
            claimed = [run[0].key for run in runs if run[0].key is not None]
            assert not running.intersection(claimed)
            running.update(claimed)
            await asyncio.sleep(0.001 if runs else 0.003)
            settlements: list[Settlement] = []
            for run in runs:
                settlements += end(list(run))
            running.difference_update(claimed)
            assert await queue.settle(owner, settlements) == []

    def end(run: list[Any]) -> list[Settlement]:
        """Every seventh message fails at first; the rest of its run goes back."""
        for n, delivery in enumerate(run):
            tries[delivery.job_id] += 1
            if delivery.seq % 7 == 0 and tries[delivery.job_id] == 1:
                return [*(Settlement(done, Done()) for done in run[:n]), Settlement(delivery, FAILURE), *released(run[n + 1 :])]
            if delivery.key is not None:
                ended[delivery.key].append(int(delivery.job_id.split(":")[1]))
        return [Settlement(done, Done()) for done in run]

    def released(rest: list[Any]) -> list[Settlement]:
        return [Settlement(each, Released()) for each in rest]

    queues = [PostgresQueue(await opened()) for _ in range(6)]
    producers = [produce(queues[4], range(6)), produce(queues[5], range(6, keys))]
    await asyncio.wait_for(asyncio.gather(*producers, *(consume(queues[n], n + 1) for n in range(4))), 60)
    assert dict(ended) == {f"k{key}": list(range(each)) for key in range(keys)}
    assert await queues[0].connection.fetchval("select count(*) from penstock.busy") == 0


async def test_a_stale_settle_changes_nothing_and_says_so(opened: Open) -> None:
    connection, other = await opened(), await opened()
    stale, fresh = PostgresQueue(connection), PostgresQueue(other)
    await stale.put([message("a", key="k"), message("b")])
    held = [run[0] for run in (await stale.claim(ask(1))).runs]
    rescue = other.transaction()
    await rescue.start()
    await other.execute("delete from penstock.leased where owner = 1")
    await other.execute("delete from penstock.busy where owner = 1")
    await other.execute("insert into penstock.ready (queue, rank, seq, key) select queue, rank, seq, key from penstock.message")
    late = asyncio.create_task(stale.settle(1, [Settlement(each, Done(b"late")) for each in held]))
    while not await other.fetchval("select count(*) from pg_locks where not granted"):
        await asyncio.sleep(0)
    await rescue.commit()
    assert sorted(await late) == sorted(each.seq for each in held)
    taken = (await fresh.claim(ask(2))).runs
    before = [await connection.fetch(f"select * from penstock.{table} order by 1, 2") for table in TABLES]
    assert sorted(await stale.settle(1, [Settlement(each, FAILURE) for each in held])) == [1, 2]
    assert [await connection.fetch(f"select * from penstock.{table} order by 1, 2") for table in TABLES] == before
    assert await fresh.settle(2, [Settlement(run[0], Done()) for run in taken]) == []


USER = "insert into users values ('sam')"
MESSAGES = [message("a", key="k"), message("b", due=99), message("c", given=True), message("c", given=True)]
CREATED = [True, True, True, False]


async def by_asyncpg(url: str, keep: bool) -> int:
    connection = await asyncpg.connect(url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(USER)
    joined = Joined(Asyncpg(connection), "asyncpg")
    assert [each.created for each in await joined.put(MESSAGES)] == CREATED
    await (transaction.commit() if keep else transaction.rollback())
    await connection.close()
    return joined.trips


async def by_psycopg(url: str, keep: bool) -> int:
    with psycopg.connect(url) as connection:
        connection.execute(USER)
        joined = Joined(Psycopg(connection), "psycopg")
        assert [each.created for each in joined.put_now(MESSAGES)] == CREATED
        connection.commit() if keep else connection.rollback()
    return joined.trips


async def by_session(url: str, keep: bool) -> int:
    engine = create_engine(url.replace("postgresql", "postgresql+psycopg"))
    with Session(engine) as session:
        session.execute(text(USER))
        joined = Joined(foreign(session), "psycopg")
        assert [each.created for each in joined.put_now(MESSAGES)] == CREATED
        session.commit() if keep else session.rollback()
    engine.dispose()
    return joined.trips


async def by_async_session(url: str, keep: bool) -> int:
    engine = create_async_engine(url.replace("postgresql", "postgresql+asyncpg"))
    async with AsyncSession(engine) as session:
        await session.execute(text(USER))
        joined = Joined(foreign(session), "asyncpg")
        assert [each.created for each in await joined.put(MESSAGES)] == CREATED
        await (session.commit() if keep else session.rollback())
    await engine.dispose()
    return joined.trips


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("write", [by_asyncpg, by_psycopg, by_session, by_async_session])
async def test_put_joins_the_users_transaction_in_one_round_trip(opened: Open, postgres_url: str, write: Any, keep: bool) -> None:
    assert await write(postgres_url, keep) == 1
    connection = await opened()
    counts = [await connection.fetchval(f"select count(*) from {t}") for t in ("users", "penstock.message", "penstock.ready", "penstock.later")]
    assert counts == ([1, 3, 2, 1] if keep else [0, 0, 0, 0])


async def test_sqlites_put_does_not_bear_concurrent_writers(opened: Open) -> None:
    """The same names and parameters: what lies above the last seq is not only ours."""
    columns_ = "queue, rank, seq, key"
    as_sqlite = Library(
        {
            "last_seq": "select coalesce(max(seq), 0) from penstock.message",
            "put_messages": LIBRARY["put_messages"].split("), kept")[0].replace("with incoming as (", "")
        }
    )
    _ = columns_, as_sqlite, columns, sqlite_put
