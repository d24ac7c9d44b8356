"""What ports and programs must bear on PostgreSQL; findings in docs/design/postgres-spike.md."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from inspect import isawaitable
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from penstock.integrations.sqlalchemy import foreign
from penstock.model.delivery import Delivery, Settlement
from penstock.model.message import Message
from penstock.model.outcome import Done, Failed, Failure, Released
from penstock.ports.queue import Claim
from penstock.stores.sql.library import Library
from penstock.stores.sqlite.put import put as sqlites_put
from tests.spikes.postgres import Joined, PostgresQueue, Raw

FAILED = Failed(1, Failure("E", "again"))
EVERYTHING = "select schema_to_xml('penstock', true, false, '')::text"


@pytest.fixture
async def connect(postgres_url: str) -> AsyncIterator[Callable[[], Any]]:
    """Connections to a fresh schema in which the workers 1 to 4 are enrolled."""
    connections: list[Any] = []

    async def another() -> Any:
        connections.append(await asyncpg.connect(postgres_url))
        return connections[-1]

    await (await another()).execute(Path(__file__).with_name("schema.sql").read_text())
    yield another
    await asyncio.gather(*(connection.close() for connection in connections))


def message(name: str, **more: Any) -> Message:
    return Message(name, "q", "task", b"{}", **more)


def ask(owner: int) -> Claim:
    return Claim(owner, [("q", 16)], frozenset({"task"}))


async def test_a_key_never_runs_twice_at_once_and_keeps_its_order(connect: Any) -> None:
    keys, each = 12, 60
    running, failed = set[str](), set[int]()
    ended: defaultdict[str | None, list[str]] = defaultdict(list)

    async def produce(queue: PostgresQueue, mine: range) -> None:
        for n in range(each):
            await queue.put([message(f"{key}:{n}", key=f"{key}", priority=n * key % 10) for key in mine] + [message(f"{mine}:{n}")])

    async def consume(queue: PostgresQueue, owner: int) -> None:
        while sum(map(len, ended.values())) < (keys + 2) * each:
            runs = (await queue.claim(ask(owner))).runs
            claimed = [run[0].key for run in runs if run[0].key is not None]
            assert not running.intersection(claimed)
            running.update(claimed)
            await asyncio.sleep(0)
            settlements = [settlement for run in runs for settlement in handle(run)]
            running.difference_update(claimed)
            assert await queue.settle(owner, settlements) == []

    def handle(run: Sequence[Delivery]) -> list[Settlement]:
        """Every seventh message fails at first; the rest of its run goes back."""
        bad = next((n for n, each in enumerate(run) if each.seq % 7 == 0 and each.seq not in failed), len(run))
        failed.update(each.seq for each in run[bad : bad + 1])
        ended[run[0].key] += [each.job_id for each in run[:bad]]
        outcomes = [*[Done()] * bad, FAILED, *[Released()] * len(run)]
        return [Settlement(delivery, outcome) for delivery, outcome in zip(run, outcomes, strict=False)]

    queues = [PostgresQueue(await connect()) for _ in range(6)]
    producers = [produce(queues[4], range(6)), produce(queues[5], range(6, keys))]
    await asyncio.wait_for(asyncio.gather(*producers, *(consume(queues[n], n + 1) for n in range(4))), 60)
    assert len(set(ended.pop(None))) == 2 * each
    assert ended == {f"{key}": [f"{key}:{n}" for n in range(each)] for key in range(keys)}


async def test_a_stale_settle_changes_nothing_and_says_so(connect: Any) -> None:
    stale, fresh = PostgresQueue(await connect()), PostgresQueue(other := await connect())
    await stale.put([message("a", key="k"), message("b")])
    held = [run[0] for run in (await stale.claim(ask(1))).runs]
    async with other.transaction():
        await other.execute("delete from penstock.leased; delete from penstock.busy")
        await other.execute("insert into penstock.ready select queue, rank, seq, key from penstock.message")
        late = asyncio.create_task(stale.settle(1, [Settlement(each, Done(b"late")) for each in held]))
        while not await other.fetchval("select count(*) from pg_locks where not granted"):
            pass
    assert sorted(await late) == [1, 2]  # it waited for the rescue's commit, then found nothing of its own
    taken = [run[0] for run in (await fresh.claim(ask(2))).runs]
    before = await other.fetchval(EVERYTHING)
    assert sorted(await stale.settle(1, [Settlement(each, FAILED) for each in held])) == [1, 2]
    assert await other.fetchval(EVERYTHING) == before
    assert await fresh.settle(2, [Settlement(each, Done()) for each in taken]) == []


async def done(value: Any) -> Any:
    return await value if isawaitable(value) else value


KINDS: dict[str, Callable[[str], Any]] = {
    "asyncpg": asyncpg.connect,
    "psycopg": psycopg.connect,
    "Session": lambda url: Session(create_engine(url.replace(":", "+psycopg:", 1), poolclass=NullPool)),
    "AsyncSession": lambda url: AsyncSession(create_async_engine(url.replace(":", "+asyncpg:", 1), poolclass=NullPool)),
}


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("kind", KINDS)
async def test_put_joins_the_users_transaction_in_one_round_trip(connect: Any, postgres_url: str, kind: str, end: str) -> None:
    user, look = await done(KINDS[kind](postgres_url)), await connect()
    session, sql = kind.endswith("Session"), "insert into users values ('sam')"

    await done(user.execute(text(sql) if session else "begin; " + sql if kind == "asyncpg" else sql))
    joined = Joined(foreign(user) if session else Raw(user))
    messages = [message("a", key="k"), message("b", due=99), message("c", given=True), message("c", given=True)]
    placed = await joined.put(messages) if joined.foreign.awaits else joined.put_now(messages)
    assert ([each.created for each in placed], joined.trips) == ([True, True, True, False], 1)
    assert await look.fetchval("table penstock.counts") == [0, 0, 0, 0]
    await done(user.execute(end) if kind == "asyncpg" else getattr(user, end)())
    assert await look.fetchval("table penstock.counts") == ([1, 3, 2, 1] if end == "commit" else [0, 0, 0, 0])
    await done(user.close())


async def test_sqlites_put_fails_beside_a_concurrent_writer(connect: Any) -> None:
    other = PostgresQueue(await connect())

    class Beside(Raw):
        async def run_async(self, sql: str, params: Any) -> Any:
            if sql.startswith("insert into penstock.message"):
                await other.put([message("theirs")])
            return await super().run_async(sql, params)

    joined = Joined(Beside(await connect()), Library.load("tests.spikes", "as_sqlite"))
    with pytest.raises(asyncpg.UniqueViolationError, match="ready_pkey"):  # what lies above the last seq is not only ours
        await joined.drive(sqlites_put([message("ours")], 1))
