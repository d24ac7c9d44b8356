"""Taking before looking: one round trip for what was just put, and nothing that a look would not have given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from penstock.errors import LeaseLost
from penstock.model.limit import Limit
from penstock.model.log import Event, SubscriptionSpec
from penstock.model.message import DEFAULT_PRIORITY, Message, Options
from penstock.model.unique import Hold
from penstock.observe.signals import Signals
from penstock.ports.queue import Claim, Claimed
from penstock.stores.postgres.address import parse
from penstock.stores.postgres.claim import course
from penstock.stores.postgres.haste import sign
from penstock.stores.postgres.store import PostgresStore
from penstock.testing.conformance.ground import until
from penstock.testing.conformance.options import with_options
from tests.integration.postgres.client import FACTS, NOW, Connect
from tests.integration.postgres.play import QUEUE, TASK, Worker, failed, message

SECOND = 1_000_000
RANK = 9 - DEFAULT_PRIORITY
HOLD = Hold("task/name", "start")


@pytest.fixture
async def worker(connect: Connect) -> Worker:
    """Has looked, and found nothing."""
    worker = await Worker(await connect(), 1).enrol()
    assert await worker.claim() == []
    return worker


@pytest.fixture
async def other(connect: Connect) -> Worker:
    return await Worker(await connect(), 2).enrol()


async def rung(worker: Worker, *ranks: int, room: int = 100, now: int = NOW, **more: Any) -> Claimed:
    worker.bounds.haste.hear([sign(QUEUE, rank) for rank in ranks or (RANK,)])
    return await worker.ask(room, now=now, **more)


def taken(claimed: Claimed) -> list[str]:
    return [delivery.job_id for run in claimed.runs for delivery in run]


def hurried(worker: Worker, claimed: Claimed, now: int = NOW) -> bool:
    """It took one statement, and asks to be asked again at once."""
    return len(worker.steps) == 1 and claimed.next_due == now


async def test_what_a_ring_names_is_taken_in_one_statement(worker: Worker, other: Worker) -> None:
    await other.put(message("a"), message("b"))
    claimed = await rung(worker)
    assert (taken(claimed), hurried(worker, claimed), claimed.more) == (["a", "b"], True, False)
    assert await worker.where() == {"leased": ["a", "b"]}
    assert await worker.counts() == {"running": 2}
    assert (await worker.ask()).next_due is None


async def test_a_ring_counts_once(worker: Worker, other: Worker) -> None:
    await other.put(message("a"))
    await rung(worker)
    await other.put(message("b"))
    claimed = await worker.ask()
    assert (taken(claimed), claimed.next_due) == (["b"], None)


async def test_the_best_rank_first(worker: Worker, other: Worker) -> None:
    await other.put(message("low", priority=0), message("high", priority=9))
    claimed = await rung(worker, 9, 0)
    assert (taken(claimed), hurried(worker, claimed)) == (["high"], True)
    assert taken(await worker.ask()) == ["low"]


async def test_a_ring_that_was_wrong_is_looked_into(worker: Worker, other: Worker) -> None:
    await other.put(message("a", priority=9))
    claimed = await rung(worker)
    assert (taken(claimed), claimed.next_due) == (["a"], None)


async def test_who_comes_too_late_writes_nothing(worker: Worker, other: Worker) -> None:
    """Every ring reaches all workers: a transaction each would be many."""
    await other.put(message("a"))
    assert len(await other.claim()) == 1
    before = await worker.client.fetchval("select pg_snapshot_xmax(pg_current_snapshot())::text")
    assert taken(await rung(worker)) == []
    assert await worker.client.fetchval("select pg_snapshot_xmax(pg_current_snapshot())::text") == before


async def test_a_second_ring_does_not_put_the_look_off(worker: Worker, other: Worker) -> None:
    """Else what a look alone can see would wait for as long as it rings; and here the second ring's message is a worse one."""
    await other.put(*(message(f"high{n}", priority=9) for n in range(3)))
    claimed = await rung(worker, 0, room=2)
    assert (taken(claimed), claimed.more) == (["high0", "high1"], True)
    await other.put(message("low", priority=0))
    assert taken(await rung(worker, 9, room=1)) == ["high2"]


async def test_a_look_that_began_before_does_not_make_calm_again(worker: Worker, other: Worker) -> None:
    """Two workers of one process share the marks."""
    other.bounds = worker.bounds
    slow = course(Claim(other.owner, [(QUEUE, 1)], other.tasks), worker.bounds)
    look = next(slow)
    seen = await other.client.run(look.make(NOW))
    await worker.put(message("a"))
    assert taken(await rung(worker)) == ["a"]
    with pytest.raises(StopIteration):
        slow.send(seen)
    await worker.put(message("b"))
    claimed = await rung(worker)
    assert (taken(claimed), claimed.next_due) == (["b"], None)


async def test_of_several_queues_one_goes_before_the_look(worker: Worker, other: Worker) -> None:
    queues = ("elsewhere", QUEUE)
    await worker.ask(100, *queues)
    await other.put(message("a"), message("b", queue="elsewhere"))
    worker.bounds.haste.hear([sign("elsewhere", RANK), sign(QUEUE, RANK)])
    assert taken(await worker.ask(100, *queues)) == ["b"]
    worker.bounds.haste.hear([sign("elsewhere", RANK)])
    assert taken(await worker.ask(100, *queues)) == ["a"]


async def test_a_suspect_of_any_queue_goes_before_it(worker: Worker, other: Worker) -> None:
    await other.put(message("s", queue="elsewhere"))
    await worker.client.execute("update penstock.message set deaths = 2")
    assert (await worker.ask(1, QUEUE, "elsewhere")).suspects
    await other.put(message("a"))
    claimed = await rung(worker, suspects=(QUEUE, "elsewhere"))
    assert taken(claimed) == ["s"]
    assert claimed.suspects


async def test_what_committed_late_with_a_low_place_comes_with_the_look(worker: Worker, other: Worker) -> None:
    await other.client.execute("begin")
    await other.put(message("late"))
    await worker.put(message("early"))
    await worker.ask()
    await other.client.execute("commit")
    await worker.put(message("new"))
    assert taken(await rung(worker)) == ["new"]
    assert taken(await worker.ask()) == ["late"]


@pytest.mark.parametrize(
    "other_kind",
    [
        lambda: message("x", key="k"),
        lambda: message("x", expires=NOW),
        lambda: message("x", task="unknown"),
        lambda: with_options(message("x", unique=HOLD), Options(unique=HOLD)),
    ],
)
async def test_what_is_not_plain_is_left_to_the_look(worker: Worker, other_kind: Callable[[], Message]) -> None:
    await worker.put(message("a"), other_kind(), message("b"))
    assert taken(await rung(worker)) == ["a", "b"]
    assert (await worker.where())["ready"] == ["x"]
    assert taken(await worker.ask()) == (["x"] if other_kind().task == TASK and other_kind().expires is None else [])
    assert "ready" not in await worker.where()


async def test_a_batch_is_left_to_the_look(worker: Worker) -> None:
    await worker.put(message("a"), message("b"))
    claimed = await rung(worker, batches={TASK: 10})
    assert (taken(claimed), claimed.next_due) == (["a", "b"], None)


async def test_a_suspect_is_left_to_the_look(worker: Worker) -> None:
    await worker.put(message("a"))
    await worker.client.execute("update penstock.message set deaths = 2")
    claimed = await rung(worker)
    assert (taken(claimed), claimed.suspects) == ([], True)


@pytest.mark.parametrize("rule", ["paused", "concurrency"])
async def test_a_rule_that_was_set_after_the_look_holds(worker: Worker, rule: str) -> None:
    value = "true" if rule == "paused" else "1"
    await worker.client.execute(f"insert into penstock.setting values ('queue:q', '{rule}', '{value}', 'x', 1)")
    await worker.put(message("a"), message("b"))
    assert taken(await rung(worker)) == ([] if rule == "paused" else ["a"])


async def test_a_limit_that_another_declared_after_the_look_holds(worker: Worker, connect: Connect) -> None:
    await Worker(await connect(), 3).enrol([Limit(QUEUE, concurrency=1)])
    await worker.put(message("a"), message("b"))
    assert taken(await rung(worker)) == ["a"]


async def test_what_was_left_for_want_of_room_comes_first(worker: Worker) -> None:
    await worker.put(message("a"), message("b"))
    first = await worker.ask(1)
    assert (taken(first), first.more) == (["a"], True)
    await worker.put(message("c"))
    assert taken(await rung(worker, room=1)) == ["b"]


async def test_there_may_be_more_where_the_room_was_filled(worker: Worker) -> None:
    await worker.put(message("a"), message("b"))
    claimed = await rung(worker, room=1)
    assert (taken(claimed), hurried(worker, claimed), claimed.more) == (["a"], True, True)


async def test_what_is_due_comes_first(worker: Worker) -> None:
    await worker.put(message("due", due=NOW + 5, priority=9))
    await worker.ask()
    await worker.put(message("a"))
    assert taken(await rung(worker, now=NOW + 4)) == ["a"]
    await worker.put(message("b"))
    assert taken(await rung(worker, now=NOW + 5)) == ["due", "b"]


async def test_who_has_not_looked_for_long_looks(worker: Worker) -> None:
    for wait, found in ((2 * SECOND - 1, True), (4 * SECOND, False)):
        await worker.put(message(f"m{wait}"))
        claimed = await rung(worker, now=NOW + wait)
        assert (len(claimed.runs), hurried(worker, claimed, NOW + wait)) == (1, found)
        await worker.ask(now=NOW + wait)


async def test_who_serves_other_tasks_now_looks(worker: Worker) -> None:
    await worker.put(message("a", task="unknown"))
    await worker.ask()
    worker.tasks = frozenset([TASK, "unknown"])
    await worker.put(message("b"))
    assert taken(await rung(worker)) == ["a", "b"]


async def test_a_retry_comes_with_the_look(worker: Worker) -> None:
    await worker.put(message("a"))
    held = (await rung(worker)).runs[0]
    await worker.ask()
    await worker.settle(held, failed(NOW))
    await worker.put(message("b"))
    assert taken(await rung(worker)) == ["b"]
    assert taken(await worker.ask()) == ["a"]


async def test_who_was_declared_dead_is_told(worker: Worker, other: Worker) -> None:
    await other.rescue(worker)
    await other.put(message("a"))
    with pytest.raises(LeaseLost):
        await rung(worker)


@pytest.mark.parametrize("in_transaction", [False, True])
async def test_another_process_hears_which_queue_rang(worker: Worker, postgres_url: str, in_transaction: bool) -> None:
    """From its own put to the claim of the other, with nothing but the store between them."""
    stores = [PostgresStore(parse(postgres_url, "a server"), signals=Signals()) for _ in range(2)]
    ask = Claim(worker.owner, [(QUEUE, 10)], worker.tasks)
    rings: list[None] = []
    try:
        for store in stores:
            await store.open()
        for _ in range(2):  # after the first one nothing is known: it connected
            assert (await stores[1].queue.claim(ask)).runs == []
        stores[1].listen(lambda: rings.append(None))
        haste = stores[1].queue._bounds.haste
        await until(lambda: bool(rings), "the listener stands")
        await put(stores[0], [message("a"), message("later", delay=SECOND)], in_transaction=in_transaction)
        await until(lambda: sign(QUEUE, RANK) in haste._rung, "the ring names the queue")
        claimed = await stores[1].queue.claim(ask)
        assert taken(claimed) == ["a"]
        assert claimed.next_due is not None
        assert claimed.next_due <= stores[1].clock.now()
    finally:
        for store in stores:
            await store.close()


async def test_an_event_that_is_fed_is_taken_before_the_look(worker: Worker, postgres_url: str) -> None:
    """With what the event holds. Not in the first rounds: whenever the pool makes a connection, nothing is known."""
    store = PostgresStore(parse(postgres_url, "a server"), signals=Signals())
    ask = Claim(worker.owner, [("sub", 10)], frozenset(["sub"]))
    await store.open()
    hurried: list[bool] = []
    try:
        await store.log.declare([SubscriptionSpec("sub", FACTS, "app", None, "beginning")])
        for n in range(6):
            assert (await store.queue.claim(ask)).runs == []
            await store.log.publish(FACTS, [Event(f"e{n}", "Happened", b"body")])
            assert (await store.log.feed("sub", 10)).count == 1
            claimed = await store.queue.claim(ask)
            assert [(delivery.job_id, delivery.body) for run in claimed.runs for delivery in run] == [(f"e{n}@sub", b"body")]
            hurried.append(claimed.next_due is not None)  # as only who was in haste says here
    finally:
        await store.close()
    assert any(hurried)


async def put(store: PostgresStore, messages: Sequence[Message], *, in_transaction: bool) -> None:
    if not in_transaction:
        await store.queue.put(messages)
        return
    transaction = store.transaction()
    nested = await transaction.savepoint()
    await nested.put(messages)
    await nested.commit()
    await transaction.commit()


async def test_a_queue_that_was_looked_at_for_suspects_only_is_not_calm(worker: Worker, other: Worker) -> None:
    """It may have had work, for which there was no room: that comes first."""
    await other.put(message("old"))
    await worker.ask(1, "elsewhere", suspects=("elsewhere", QUEUE))
    await other.put(message("new"))
    assert taken(await rung(worker)) == ["old", "new"]
