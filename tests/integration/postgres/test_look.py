"""Where claims begin to scan: nothing that could run is passed over, and what is gone is not walked over again."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

import pytest

from penstock.model.outcome import Released
from penstock.model.statement import Rows, Statement
from penstock.observe.signals import Signals
from penstock.ports.queue import Claim
from penstock.stores.postgres import look
from penstock.stores.postgres.address import parse
from penstock.stores.postgres.claim import claim
from penstock.stores.postgres.look import Bounds, Sight
from penstock.stores.postgres.store import PostgresStore
from penstock.stores.sql import ends
from penstock.testing.conformance.ground import until
from tests.integration.postgres.client import NOW, Client, Connect
from tests.integration.postgres.play import QUEUE, Worker, failed, ids, message


@pytest.fixture
async def worker(connect: Connect) -> Worker:
    return await Worker(await connect(), 1).enrol()


@pytest.fixture
async def other(connect: Connect) -> Worker:
    return await Worker(await connect(), 2).enrol()


async def sight(worker: Worker, *queues: str, now: int = NOW) -> Sight:
    ask = Claim(worker.owner, [(queue, 1) for queue in queues or (QUEUE,)], worker.tasks)
    found: Sight = await worker.client.run(look.look(ask, worker.bounds, now))
    return found


async def starts(worker: Worker, *queues: str) -> list[dict[int, int]]:
    return [dict(place.starts) for place in (await sight(worker, *queues)).places.values()]


# -- nothing is passed over


@pytest.mark.parametrize("priority", [4, 9, 0])
async def test_what_comes_later_is_seen(worker: Worker, other: Worker, priority: int) -> None:
    await other.put(*(message(f"m{n}") for n in range(5)))
    assert len(await worker.claim()) == 5
    assert await worker.claim() == []
    await other.put(message("a", priority=priority))
    assert ids(await worker.claim()) == ["a"]


async def test_a_late_commit_with_a_low_place_is_seen(worker: Worker, other: Worker) -> None:
    """And one that was open over several looks, and one that drew a place and rolled back."""
    await other.client.execute("begin")
    await other.put(message("late"), message("later", due=NOW + 5))
    await worker.put(message("early"), message("soon", due=NOW + 6))
    assert [ids(await worker.claim()) for _ in range(3)] == [["early"], [], []]
    assert ids(await worker.claim(now=NOW + 6)) == ["soon"]
    await other.client.execute("commit")
    assert ids(await worker.claim()) == ["late"]
    assert ids(await worker.claim(now=NOW + 6)) == ["later"]


async def test_what_others_have_taken_and_give_back_is_seen(worker: Worker, other: Worker) -> None:
    await worker.put(*(message(f"m{n}") for n in range(4)))
    await other.client.execute("begin")
    ask = Claim(other.owner, [(QUEUE, 2)], other.tasks)
    assert len((await other.client.run(claim(ask, NOW))).runs) == 2
    assert ids(await worker.claim()) == ["m2", "m3"]
    assert await worker.claim() == []
    await other.client.execute("rollback")
    assert ids(await worker.claim()) == ["m0", "m1"]


async def test_what_is_given_back_retried_and_replayed_is_seen(worker: Worker, other: Worker) -> None:
    await worker.put(*(message(f"m{n}") for n in range(6)))
    held = await other.claim(3)
    assert ids(await worker.claim()) == ["m3", "m4", "m5"]
    assert await worker.claim() == []
    await other.settle(held, Released(), failed(NOW), failed(NOW + 50))
    assert ids(await worker.claim()) == ["m0", "m1"]
    assert await worker.claim() == []
    await other.write(ends.replay(["m2"], NOW))
    assert ids(await worker.claim()) == ["m2"]


async def test_the_next_of_a_key_is_seen(worker: Worker, other: Worker) -> None:
    await worker.put(message("a1", key="a"))
    held = await other.claim()
    await worker.put(message("a2", key="a"), message("b"))
    assert ids(await worker.claim()) == ["b"]
    assert await worker.claim() == []
    await other.done(held)
    assert ids(await worker.claim()) == ["a2"]


async def test_what_another_promotes_and_has_no_room_for_is_seen(worker: Worker, other: Worker) -> None:
    await worker.put(*(message(f"late {n}", due=NOW + 5) for n in range(3)), message("a"))
    assert ids(await worker.claim()) == ["a"]
    assert await worker.claim() == []
    assert len(await other.claim(1, now=NOW + 5)) == 1
    assert len(await worker.claim()) == 2


async def test_a_queue_that_is_asked_only_now_and_then_misses_nothing(worker: Worker, other: Worker) -> None:
    await other.client.execute("begin")
    await other.put(message("late"), message("due", due=NOW))
    await worker.put(message("a"))
    assert ids(await worker.claim()) == ["a"]
    assert await worker.claim() == []
    await other.client.execute("commit")
    assert await starts(worker, "elsewhere") == [{}]
    assert ids(await worker.claim()) == ["late", "due"]


async def test_two_claims_of_one_process_at_once_miss_nothing(worker: Worker, other: Worker, connect: Connect) -> None:
    """They share the bounds, while others put in transactions that stay open for a while."""
    other.bounds = worker.bounds
    chance = Random(1)
    producers = [Worker(await connect()) for _ in range(3)]
    opened: set[Worker] = set()
    taken: list[str] = []
    for n in range(90):
        producer = chance.choice(producers)
        if producer in opened and chance.random() < 0.5:
            await producer.client.execute("commit")
            opened.remove(producer)
        if producer not in opened:
            await producer.client.execute("begin")
            opened.add(producer)
        await producer.put(message(f"m{n:02}", priority=n % 10))
        for claimed in await asyncio.gather(worker.claim(3), other.claim(3)):
            taken += ids(claimed)
    for producer in opened:
        await producer.client.execute("commit")
    assert len(taken) > 45
    taken += ids(await worker.claim())
    assert sorted(taken) == [f"m{n:02}" for n in range(90)]


async def test_a_lock_that_is_held_is_no_bound(worker: Worker, other: Worker) -> None:
    """Who has locked a row may let it go again, and nobody says so."""
    await worker.put(message("a"), message("b"))
    async with other.client.transaction():
        await other.client.connection.fetch("select from penstock.ready where seq = 1 for update")
        assert ids(await worker.claim()) == ["b"]
        assert await starts(worker) == [{5: 1}]
    assert ids(await worker.claim()) == ["a"]


# -- what is gone is not walked over


class Measured:
    """A connection that counts the pages each statement touches. It runs each twice, and undoes the first."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.pages: list[int] = []
        self.get_server_pid, self.transaction = connection.get_server_pid, connection.transaction
        self.fetchval, self.execute = connection.fetchval, connection.execute

    async def fetch(self, sql: str, *params: Any) -> Rows:
        undone = self._connection.transaction()
        await undone.start()
        plan = json.loads(await self._connection.fetchval(f"explain (analyze, buffers, format json) {sql}", *params))[0]["Plan"]
        await undone.rollback()
        self.pages.append(sum(plan[f"Shared {how} Blocks"] for how in ("Hit", "Read")))
        return await self._connection.fetch(sql, *params)  # type: ignore[no-any-return]


async def measured(worker: Worker, room: int = 10) -> list[int]:
    """The pages that the statements of a claim touch."""
    plain = worker.client
    watched = Measured(plain.connection)
    worker.client = Client(watched)
    try:
        assert len(await worker.claim(room)) == room
    finally:
        worker.client = plain
    return watched.pages


async def crowd(worker: Worker, count: int, first: int = 1) -> None:
    """Straight into the tables."""
    last = await worker.client.fetchval(
        "with m as (insert into penstock.message (id, queue, task, rank, enqueued, body) "
        f"select 'c' || n, '{QUEUE}', 'task', 5, 1, '' from generate_series({first}, {first + count - 1}) n returning queue, rank, seq), "
        "r as (insert into penstock.ready (queue, rank, seq) select queue, rank, seq from m) select max(seq) from m"
    )
    assert last >= count


async def test_a_claim_behind_many_that_wait_touches_few_pages(worker: Worker) -> None:
    await crowd(worker, 100_000)
    await worker.client.execute("vacuum analyze penstock.ready, penstock.message")
    assert max(await measured(worker)) < 200
    assert max(await measured(worker)) < 200


async def test_a_claim_behind_many_that_are_gone_touches_few_pages(worker: Worker, other: Worker, connect: Connect) -> None:
    """They stay in the index, because somebody reads an old snapshot."""
    reader = await connect()
    await reader.execute("begin isolation level repeatable read")
    await reader.fetchval("select count(*) from penstock.ready")
    await crowd(worker, 100_000)
    await worker.put(message("low", priority=1))
    while len(await worker.claim(5_000)) == 5_000:
        pass
    assert await worker.claim() == []
    for n in range(3):
        await worker.put(*(message(f"m{n}:{m}", priority=m % 2 * 9) for m in range(10)), message(f"l{n}", due=NOW + 1))
        await other.put(*(message(f"o{n}:{m}") for m in range(10)))
        assert max(await measured(worker, 20)) < 200
    await worker.put(*(message(f"last {m}") for m in range(10)))
    assert max(await measured(other)) > 800  # it begins anew, and so can this test see
    await reader.execute("commit")


async def test_delays_that_are_over_are_not_walked_over_either(worker: Worker, connect: Connect) -> None:
    reader = await connect()
    await reader.execute("begin isolation level repeatable read")
    await reader.fetchval("select count(*) from penstock.later")
    await worker.put(*(message(f"m{n}", due=NOW + 1) for n in range(20_000)))
    for _ in range(3):
        await sight(worker, now=NOW + 1)
    await worker.client.execute("delete from penstock.later where seq > 10")
    assert len(await worker.claim(10, now=NOW + 1)) == 10
    assert await worker.claim(now=NOW + 1) == []
    await worker.put(*(message(f"n{n}") for n in range(10)))
    assert max(await measured(worker)) < 200
    await reader.execute("commit")


async def test_who_was_away_for_long_begins_anew(worker: Worker, other: Worker) -> None:
    await worker.put(message("a"))
    assert await starts(worker) == [{5: 1}]
    ask = Claim(worker.owner, [(QUEUE, 1)], worker.tasks)
    assert since(worker, ask, NOW + 4_999_999) is not None
    assert since(worker, ask, NOW + 5_000_000) is None
    worker.bounds.reset()
    assert since(worker, ask, NOW) is None


def since(worker: Worker, ask: Claim, now: int) -> object:
    """The snapshot that a look goes by."""
    statement: Statement = next(look.look(ask, worker.bounds, now))
    assert statement.params is not None
    return statement.params["snapshot"]


async def test_a_store_that_connects_anew_begins_anew(worker: Worker, postgres_url: str) -> None:
    """Else it would go by numbers of transactions from before a crash."""
    store = PostgresStore(parse(postgres_url, "a server"), signals=Signals())
    await store.open()
    assert store._parts is not None
    pool = store._parts.pools[1]
    ask = Claim(worker.owner, [(QUEUE, 1)], worker.tasks)
    try:
        bounds = store.queue._bounds
        await store.queue.claim(ask)
        async with pool.lend() as connection:
            pid = connection.get_server_pid()
            assert bounds.known(store.clock.now()).snapshot is not None
        await worker.client.fetchval("select pg_terminate_backend($1, 10000)", pid)
        await until(connection.is_closed, "the connection breaks")
        async with pool.lend() as connection:
            assert connection.get_server_pid() != pid
            assert bounds.known(store.clock.now()).snapshot is None
    finally:
        await store.close()


async def test_bounds_that_last_for_a_time_begin_anew_however_often_one_looks(worker: Worker) -> None:
    worker.bounds = Bounds(1_000)
    ask = Claim(worker.owner, [(QUEUE, 1)], worker.tasks)
    for now, known in ((NOW, True), (NOW + 999, True), (NOW + 1_000, False), (NOW + 1_500, True), (NOW + 2_000, False)):
        assert (since(worker, ask, now) is not None) == (known and now > NOW)
        await sight(worker, now=now)


async def test_a_look_that_was_on_its_way_when_the_bounds_were_reset_sets_none(worker: Worker) -> None:
    """It may have asked a server that is not there any more."""
    ask = Claim(worker.owner, [(QUEUE, 1)], worker.tasks)

    async def reset() -> None:
        worker.bounds.reset()

    await worker.client.run(look.look(ask, worker.bounds, NOW), {worker.client.trips: reset})
    assert since(worker, ask, NOW) is None


async def test_rows_of_a_dump_are_not_new_for_ever(worker: Worker) -> None:
    """They came by transactions of another server, which are still to be here: each look would read them all."""
    await crowd(worker, 20_001)
    await worker.client.connection.execute("update penstock.ready set came = '99999999999'")
    assert await starts(worker) == [{5: 1}]
    before = worker.client.trips
    assert await starts(worker) == [{5: 1}]
    assert worker.client.trips - before == 1


async def test_a_flood_of_news_is_not_read(worker: Worker) -> None:
    """Behind so much the bounds are forgotten: the look is made twice."""
    await sight(worker)
    await crowd(worker, 20_001)
    before = worker.client.trips
    assert await starts(worker) == [{5: 1}]
    assert worker.client.trips - before == 2
    assert await starts(worker) == [{5: 1}]
    assert worker.client.trips - before == 3
