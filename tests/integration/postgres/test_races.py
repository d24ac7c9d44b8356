"""Two or three transactions at the same messages: who waits, who passes over, and what is left."""

from __future__ import annotations

import asyncio

import pytest

from penstock.model.delivery import Settlement
from penstock.model.outcome import Done, Failed, Failure, Outcome, Released
from penstock.ports.leases import Rescued
from penstock.stores.postgres import settling
from penstock.stores.sql import ends, keys, leases, watching
from penstock.stores.sql.settle import settle
from penstock.stores.sqlite.put import put
from tests.integration.postgres.client import Client, Connect
from tests.integration.postgres.stage import QUEUE, bury, counts, enrol, in_one, lease, messages, one, settled, stand, where

LOCKED = "select from penstock.{} where {} for update"
FAILED = Failed(9, Failure("ValueError", "no"))


@pytest.fixture
async def client(connect: Connect) -> Client:
    return await connect()


@pytest.fixture
async def other(connect: Connect) -> Client:
    return await connect()


async def test_settles_lock_keys_in_one_order(client: Client, other: Client, connect: Connect) -> None:
    """Both want the first key first, whatever the order of their messages: who has not got it holds none that others need."""
    watcher = await connect()
    rising, falling = await lease(client, 1, a1="a", b1="b"), await lease(client, 2, b2="b", a2="a")
    async with watcher.transaction():
        await watcher.execute(LOCKED.format("busy", "key = 'a'"))
        first = asyncio.create_task(client.run(settle(1, settled(rising, Released()), 1, put)))
        await watcher.until_waits(client)
        second = asyncio.create_task(other.run(settle(2, settled(falling, Released()), 1, put)))
        await watcher.until_waits(other)
        await watcher.execute(LOCKED.format("busy", "key = 'b'") + " nowait")
    assert await asyncio.gather(first, second) == [[], []]
    assert await where(client, "leased") == []


async def test_a_settle_behind_a_rescue_is_stale(client: Client, other: Client) -> None:
    await enrol(client, 1)
    held = await lease(client, 1, a="k", b=None)
    async with client.transaction():
        assert await client.run(leases.rescue(1, 0, 1, put)) == Rescued(1, 2, 0)
        late = asyncio.create_task(other.run(settle(1, settled(held, Done(b"late")), 1, put)))
        await client.until_waits(other)
    assert await late == [each.seq for each in held]
    assert await where(client, "ready") == [each.seq for each in held]
    assert (await where(client, "finished"), await where(client, "aside"), await where(client, "leased")) == ([], [], [])
    assert await counts(client) == {"running": -2, "waiting": 2}


async def test_a_settle_waits_for_a_rescue_before_it_takes_anything(client: Client, other: Client) -> None:
    """Else each could hold leases that the other wants."""
    await enrol(client, 1)
    held = await lease(client, 1, a=None, b="k")
    async with client.transaction():
        await client.run(one("declare_dead", incarnation=1, beat=0))
        late = asyncio.create_task(other.run(settle(1, settled(held, Done()), 1, put)))
        await client.until_waits(other)
        assert len(await client.run(one("release_all", owner=1))) == 2
    assert await late == [each.seq for each in held]


async def test_a_rescue_behind_a_settle_takes_back_what_is_left(client: Client, other: Client) -> None:
    await enrol(client, 1)
    held = await lease(client, 1, a="k", b=None, c="l", d=None)
    async with client.transaction():
        assert await client.run(settle(1, settled(held[:2], Done()), 1, put)) == []
        rescue = asyncio.create_task(other.run(leases.rescue(1, 0, 1, put)))
        await client.until_waits(other)
    assert await rescue == Rescued(1, 2, 0)
    assert await where(client, "finished") == [each.seq for each in held[:2]]
    assert await where(client, "ready") == [each.seq for each in held[2:]]


@pytest.mark.parametrize("ends", ["commit", "rollback"])
async def test_one_of_two_declares_a_worker_dead(client: Client, other: Client, ends: str) -> None:
    await enrol(client, 1)
    await client.execute("begin")
    assert len(await client.run(one("declare_dead", incarnation=1, beat=0)))
    second = asyncio.create_task(other.run(one("declare_dead", incarnation=1, beat=0)))
    await client.until_waits(other)
    await client.execute(ends)
    assert len(await second) == (ends == "rollback")


async def test_a_beat_beside_a_rescue_is_told(client: Client, other: Client) -> None:
    await enrol(client, 1)
    async with client.transaction():
        await client.run(one("declare_dead", incarnation=1, beat=0))
        beat = asyncio.create_task(other.run(leases.beat(1)))
        await client.until_waits(other)
    assert await beat is False


async def test_what_a_rescue_puts_aside_is_not_passed_by(client: Client, other: Client) -> None:
    """Another worker runs a retry of the key, and frees it while the rescue brings the rest of the old run back."""
    await enrol(client, 1, 2)
    (rest,) = await lease(client, 1, rest="k")
    await client.execute("delete from penstock.busy")
    (retry,) = await lease(client, 2, retry="k")
    async with client.transaction():
        await client.run(leases.rescue(1, 0, 1, put))
        end = asyncio.create_task(other.run(settle(2, settled([retry], Done()), 1, put)))
        await client.until_waits(other)
    assert await end == []
    assert (await where(client, "ready"), await where(client, "aside")) == ([rest.seq], [])


async def test_the_first_of_a_freed_key_moves_once(client: Client) -> None:
    """Not by the deletes of what the program found: by the statement itself."""
    first, second = await messages(client, a="k", b="k")
    await stand(client, "aside", first, second)
    await client.run(keys.wake([(QUEUE, "k"), (QUEUE, "none")]))
    assert (await where(client, "ready"), await where(client, "aside")) == ([first], [second])


async def test_what_somebody_takes_out_of_aside_is_not_woken(client: Client, other: Client) -> None:
    """Nor is what stands behind it: that would pass it."""
    first, second = await messages(client, a="k", b="k")
    await stand(client, "aside", first, second)
    async with other.transaction():
        await other.execute(f"delete from penstock.aside where seq = {first}")
        assert await client.run(one("wake_heads", QUEUE, "k", width=2)) == []
    assert (await where(client, "ready"), await where(client, "aside")) == ([], [second])


async def test_a_key_that_is_busy_is_not_woken(client: Client) -> None:
    await stand(client, "aside", *(await messages(client, a="k")))
    await client.execute(f"insert into penstock.busy values ('{QUEUE}', 'k', 0, 1)")
    assert await client.run(one("wake_heads", QUEUE, "k", width=2)) == []


async def test_a_stray_at_the_head_keeps_its_key_aside(client: Client) -> None:
    first, second = await messages(client, a="k", b="k")
    await stand(client, "aside", first, second)
    await client.connection.execute("update penstock.aside set stray = 'send' where seq = $1", first)
    assert await client.run(one("wake_heads", QUEUE, "k", width=2)) == []
    assert await where(client, "aside") == [first, second]


@pytest.mark.parametrize("place", ["ready", "later", "aside", "suspect"])
async def test_a_cancel_passes_over_what_a_claim_has_locked(client: Client, other: Client, place: str) -> None:
    """The claim may be waiting for the key which the cancel has seized."""
    (seq,) = await messages(client, a="k")
    await stand(client, place, seq)
    params = {"ready": {"queue": QUEUE, "rank": 5}, "later": {"queue": QUEUE, "due": 1}}.get(place, {})
    async with other.transaction():
        await other.execute(LOCKED.format(place, f"seq = {seq}"))
        assert await client.run(one(f"take_from_{place}", seq=seq, **params)) == []
    assert await client.run(one(f"take_from_{place}", seq=seq, **params)) == [(seq,)]
    assert await where(client, place) == []


async def test_what_a_claim_promotes_is_not_brought_early(client: Client, other: Client) -> None:
    first, second = await messages(client, a=None, b=None)
    await stand(client, "later", first, second)
    async with other.transaction():
        await other.execute(LOCKED.format("later", f"seq = {first}"))
        assert await client.run(one("leave_later", seqs=f"[{first}, {second}]")) == [(second,)]


@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize(("outcome", "then"), [(Done(), "ended"), (FAILED, "cancelled"), (Released(), "cancelled")])
async def test_a_cancel_behind_a_settle_looks_again(client: Client, other: Client, key: str | None, outcome: Outcome, then: str) -> None:
    await enrol(client, 1)
    held = await lease(client, 1, a=key)
    async with client.transaction():
        await client.run(settle(1, settled(held, outcome), 1, put))
        cancel = asyncio.create_task(in_one(other, ends.cancel("a", 1)))
        await client.until_waits(other)
    assert await cancel is None
    assert await client.fetchval("select count(*) from penstock.cancel") == 0
    assert await in_one(other, ends.cancel("a", 1)) == then


async def test_a_cancel_asks_twice(client: Client) -> None:
    await enrol(client, 1)
    await lease(client, 1, a=None)
    assert [await client.run(ends.cancel("a", 1)) for _ in range(2)] == ["requested"] * 2
    assert await client.fetchval("select count(*) from penstock.cancel") == 1


async def test_a_settle_behind_a_cancel_meets_the_request(client: Client, other: Client) -> None:
    await enrol(client, 1)
    held = await lease(client, 1, a=None)
    async with client.transaction():
        assert await client.run(ends.cancel("a", 1)) == "requested"
        settling = asyncio.create_task(other.run(settle(1, settled(held, FAILED), 1, put)))
        await client.until_waits(other)
    assert await settling == []
    assert await client.fetchval("select outcome from penstock.finished") == "cancelled"
    assert await client.fetchval("select count(*) from penstock.cancel") == 0


async def test_who_begins_to_wait_beside_a_settle_sees_the_end(client: Client, other: Client) -> None:
    await enrol(client, 1)
    held = await lease(client, 1, a=None)
    async with client.transaction():
        assert (await client.run(watching.settle_and_hear(1, settled(held, Done()), 1, put))).heard == ()
        watch = asyncio.create_task(other.run(watching.watch("a", "ear")))
        await client.until_waits(other)
    assert await watch is False


async def test_a_settle_beside_who_begins_to_wait_hears_him(client: Client, other: Client) -> None:
    await enrol(client, 1)
    held = await lease(client, 1, a=None)
    async with client.transaction():
        assert await client.run(watching.watch("a", "ear")) is True
        settling = asyncio.create_task(other.run(watching.settle_and_hear(1, settled(held, Done()), 1, put)))
        await client.until_waits(other)
    assert (await settling).heard == [("a", "ear")]


@pytest.mark.parametrize(("ends", "left"), [("commit", [3]), ("rollback", [2, 3])])
async def test_two_replays_of_a_letter(client: Client, other: Client, ends: str, left: list[int]) -> None:
    assert await bury(client, "a", "b", "c") == [1, 2, 3]
    await client.execute("begin")
    assert sorted(row[0] for row in await client.run(one("unbury", seqs="[2, 1]"))) == [1, 2]
    second = asyncio.create_task(other.run(one("unbury", seqs="[3, 2]")))
    await client.until_waits(other)
    await client.execute(ends)
    assert sorted(row[0] for row in await second) == left


async def test_replays_lock_letters_in_one_order(client: Client, other: Client, connect: Connect) -> None:
    watcher = await connect()
    await bury(client, "a", "b")
    async with watcher.transaction():
        await watcher.execute(LOCKED.format("dead", "seq = 1"))
        both = [asyncio.create_task(each.run(one("unbury", seqs=seqs))) for each, seqs in ((client, "[1, 2]"), (other, "[2, 1]"))]
        await watcher.until_waits(client)
        await watcher.until_waits(other)
        await watcher.execute(LOCKED.format("dead", "seq = 2") + " nowait")
    assert sorted(len(rows) for rows in await asyncio.gather(*both)) == [0, 2]


async def test_a_letter_begins_anew_at_the_end(client: Client) -> None:
    seqs = await bury(client, "a", "b", "c")
    await client.execute("update penstock.message set failures = 3, deaths = 2, due = 1, expires = 1, key = 'k'")
    moved = await client.run(one("renumber", seqs=f"[{seqs[2]}, {seqs[0]}]"))
    assert sorted(tuple(row) for row in moved) == [("a", 4), ("c", 5)]
    row = await client.connection.fetchrow("select key, failures, deaths, due, expires from penstock.message where seq = 4")
    assert tuple(row) == ("k", 0, 0, None, None)


async def test_of_two_pruners_one_counts(client: Client, other: Client) -> None:
    await client.run(settle(1, settled(await lease(client, 1, a=None, b=None), Done()), 1, put))
    async with client.transaction():
        assert await client.run(ends.Pruning().prune(1, 0, 0, 9)) == 1
        assert await other.run(ends.Pruning().prune(9, 0, 0, 9)) == 1
    assert (await counts(client)).get("kept", 0) == 0
    assert (await where(client, "finished"), await where(client, "message")) == ([], [])


async def test_what_expired_is_ended_in_the_order_of_keys(client: Client) -> None:
    seqs = await messages(client, a="z", b="y", c=None, d="x")
    await stand(client, "ready", *seqs)
    await client.connection.execute("update penstock.message set expires = seq")
    found = await client.run(one("expired", now=4, limit=3))
    assert [(row[3], row[0]) for row in found] == [("y", seqs[1]), ("z", seqs[0]), (None, seqs[2])]
    assert await client.run(ends.expire(3, 4)) == 3
    assert (await where(client, "finished"), await where(client, "ready")) == (seqs[:3], seqs[3:])
    assert await client.fetchval("select count(*) from penstock.busy") == 0


@pytest.mark.parametrize("outcomes", [[Done(), Done()], [Done(b"1"), Done(b"2")]])
async def test_whoever_waits_for_one_of_a_batch_hears_of_it(client: Client, outcomes: list[Outcome]) -> None:
    await enrol(client, 1)
    held = await lease(client, 1, a=None, b=None)
    assert await client.run(watching.watch("b", "ear")) is True
    ended = [Settlement(*pair) for pair in zip(held, outcomes, strict=True)]
    assert (await client.run(settling.settle(1, ended, 1))).heard == [("b", "ear")]
