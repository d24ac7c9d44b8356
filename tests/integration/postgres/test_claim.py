"""What a claim takes, what it leaves, and what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from penstock.errors import LeaseLost, StoreUnavailable
from penstock.model.delivery import Delivery
from penstock.model.limit import Limit
from penstock.model.message import Options, Placed
from penstock.model.outcome import Done, Outcome, Released
from penstock.model.statement import Statement
from penstock.model.unique import Hold
from penstock.ports.queue import Claim
from penstock.stores.postgres.claim import claim, course
from penstock.stores.postgres.course import at_once
from penstock.stores.postgres.look import Bounds
from penstock.stores.sql import ends, keys
from penstock.testing.conformance.options import with_options
from tests.integration.postgres.client import NOW, Connect
from tests.integration.postgres.play import QUEUE, TASK, Worker, failed, ids, message

Enrol: TypeAlias = Callable[..., Awaitable[Worker]]


@pytest.fixture
def enrol(connect: Connect) -> Enrol:
    """Workers, each on a connection of its own."""
    count = 0

    async def another(*tasks: str, limits: list[Limit] | None = None) -> Worker:
        nonlocal count
        count += 1
        return await Worker(await connect(), count, tasks or (TASK,)).enrol(limits)

    return another


@pytest.fixture
async def worker(enrol: Enrol) -> Worker:
    return await enrol()


@pytest.fixture
async def other(enrol: Enrol) -> Worker:
    return await enrol()


async def kill(worker: Worker, by: Worker, now: int = NOW) -> None:
    assert await by.rescue(worker, now) is not None


async def poison(worker: Worker, enrol: Enrol, *names: str, key: str | None = None) -> None:
    """Two workers died under it: it is a suspect."""
    await worker.put(*(message(name, key=key) for name in names))
    for _ in range(2):
        dying = await enrol()
        assert ids(await dying.claim()) == [*names]
        await kill(dying, by=worker)


# -- what it costs: whoever makes it dearer will see it here


async def trips(worker: Worker, *queues: str, room: int = 100, **more: Any) -> tuple[int, int]:
    """Round trips of a claim, and transactions around them: each of these costs two more."""
    before = worker.client.trips
    await worker.ask(room, *queues, **more)
    return worker.client.trips - before, sum(not step.single for step in worker.steps)


async def test_an_idle_claim_is_one_round_trip_for_any_number_of_queues(worker: Worker) -> None:
    assert await trips(worker) == (1, 0)
    assert await trips(worker, *"abcdef", suspects=tuple("abcdefgh")) == (1, 0)


async def test_a_claim_of_plain_messages_is_two_round_trips(worker: Worker) -> None:
    await worker.put(*(message(f"m{n}") for n in range(300)), message("b", queue="b"))
    assert await trips(worker, room=256) == (2, 0)
    assert await trips(worker, QUEUE, "a", "b") == (3, 0)
    assert await trips(worker) == (1, 0)


async def test_a_claim_of_keys_is_the_same_however_many_there_are(worker: Worker) -> None:
    await worker.put(*(message(f"m{n}", key=f"k{n}") for n in range(100)))
    assert await trips(worker, room=1) == (2 + 7, 1)  # one that finds out; owner, meet, occupy, runs, lease, is there more, counts
    assert await trips(worker, room=90) == (1 + 7, 1)
    await worker.put(*(message(f"n{n}", key=f"k{n}") for n in range(90)))
    assert await trips(worker, room=100) == (1 + 7, 1)  # set aside instead


async def test_a_claim_of_a_limited_queue(enrol: Enrol) -> None:
    worker = await enrol(limits=[Limit(QUEUE, concurrency=50)])
    await worker.put(*(message(f"m{n}") for n in range(30)))
    assert await trips(worker, room=20) == (1 + 7, 1)  # owner, lock, state, meet, lease, counts, is there more
    assert await trips(worker, room=20) == (1 + 6, 1)
    assert await trips(worker, room=20) == (1, 0)


async def test_what_is_due_costs_a_transaction(worker: Worker) -> None:
    await worker.put(*(message(f"m{n}", due=NOW + 5) for n in range(50)))
    assert await trips(worker, now=NOW + 4) == (1, 0)
    assert await trips(worker, now=NOW + 5) == (1 + 5, 1)  # owner, promote, meet, lease, counts
    assert await worker.counts() == {"running": 50}


async def test_a_queue_that_was_mixed_is_taken_plainly_again(worker: Worker) -> None:
    await worker.put(message("a"), message("k", key="k"))
    assert await trips(worker) == (1 + 1 + 6, 1)
    await worker.put(message("b"))
    assert await trips(worker) == (1 + 4, 1)
    await worker.put(message("c"))
    assert await trips(worker) == (2, 0)


async def test_what_is_plain_stays_plain_beside_tasks_that_take_batches(enrol: Enrol) -> None:
    worker = await enrol(TASK, "other")
    await worker.put(*(message(f"m{n}") for n in range(30)))
    assert await trips(worker, room=20, batches={"other": 10}) == (2, 0)


async def test_batches_are_met_row_by_row_after_the_first_time(worker: Worker) -> None:
    batches = {TASK: 10}
    await worker.put(*(message(f"m{n}") for n in range(60)))
    first, second, third = [await trips(worker, room=2, batches=batches) for _ in range(3)]
    assert first == (second[0] + 1, second[1])
    assert third == second


# -- order, room


async def test_priorities_come_first_and_then_places(worker: Worker) -> None:
    for priority in (4, 0, 9, 5):
        await worker.put(message(f"1 of {priority}", priority=priority), message(f"2 of {priority}", priority=priority))
    assert ids(await worker.claim(3)) == ["1 of 9", "2 of 9", "1 of 5"]
    assert ids(await worker.claim()) == ["2 of 5", "1 of 4", "2 of 4", "1 of 0", "2 of 0"]


async def test_keys_stand_among_the_others_by_their_priority(worker: Worker) -> None:
    """Also in the claim that finds out that there are some, and when there is little room."""
    await worker.put(message("4", priority=4), message("9", priority=9), *(message(f"a{p}", key=f"{p}", priority=p) for p in (6, 2)))
    assert ids(await worker.claim(3)) == ["9", "a6", "4"]
    assert ids(await worker.claim()) == ["a2"]


@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize("priority", [4, 3])
async def test_it_says_whether_there_is_more(worker: Worker, key: str | None, priority: int) -> None:
    await worker.put(message("a", key=key), message("b", priority=priority, key=key and f"{key}2"))
    first = await worker.ask(1)
    assert (ids(first.runs[0]), first.more) == (["a"], True)
    second = await worker.ask(1)
    assert (ids(second.runs[0]), second.more) == (["b"], False)
    assert not (await worker.ask(1)).more


async def test_two_claims_at_once_share_what_is_there(worker: Worker, other: Worker) -> None:
    await worker.put(*(message(f"m{n:03}") for n in range(400)))
    taken = [await asyncio.gather(worker.claim(20), other.claim(20)) for _ in range(10)]
    names = [name for pair in taken for each in pair for name in ids(each)]
    assert sorted(names) == [f"m{n:03}" for n in range(400)]
    assert await worker.counts() == {"running": 400}


async def test_a_claim_in_one_transaction_takes_the_same(worker: Worker) -> None:
    """As in a test's own transaction, where it remembers nothing."""
    await worker.put(message("a"), message("k", key="k"), message("b", queue="b"))
    ask = Claim(worker.owner, [(QUEUE, 5), ("b", 5)], worker.tasks)
    for _ in range(2):
        await worker.client.execute("begin")
        claimed = await worker.client.run(claim(ask, NOW))
        assert [ids(run) for run in claimed.runs] == [["a"], ["k"], ["b"]]
        await worker.client.execute("rollback")
    assert await worker.where() == {"ready": ["a", "k", "b"]}


async def test_a_paused_queue_gives_nothing(worker: Worker) -> None:
    await worker.put(message("a"), message("b", queue="b"))
    await worker.client.execute("insert into penstock.setting values ('queue:q', 'paused', 'true', 'x', 1)")
    assert ids(await worker.claim(5, QUEUE, "b")) == ["b"]


async def test_what_points_at_an_event_has_its_body(worker: Worker) -> None:
    await worker.client.publish("fact")
    await worker.put(message("plain"), message("keyed", key="k"))
    await worker.client.execute(
        "update penstock.message set body = '', ref_topic = e.topic, ref = e.pos, type = e.type from penstock.event e"
    )
    assert [(each.body, each.type) for each in await worker.claim()] == [(b"fact", "e")] * 2


# -- keys


async def test_the_messages_of_a_key_are_one_run(worker: Worker, other: Worker) -> None:
    await worker.put(*(message(f"{key}{n}", key=key, priority=n) for key in "ab" for n in range(3)), message("c"))
    runs = [ids(run) for run in (await worker.ask()).runs]
    assert sorted(runs) == [["a0", "a1", "a2"], ["b0", "b1", "b2"], ["c"]]
    await worker.put(message("a3", key="a"))
    assert await other.claim() == []
    assert (await worker.where())["aside"] == ["a3"]


async def test_a_run_has_no_more_than_there_is_room_for(worker: Worker, other: Worker) -> None:
    await worker.put(*(message(f"{key}{n}", key=key) for key in "ab" for n in range(40)))
    first = await worker.ask(3)
    assert ([ids(run) for run in first.runs], first.more) == ([["a0", "a1", "a2"]], True)
    assert [(run[0].job_id, len(run)) for run in (await other.ask(50)).runs] == [("b0", keys.RUN)]


async def test_a_retry_holds_its_key_in_its_place(worker: Worker) -> None:
    await worker.put(*(message(f"a{n}", key="a") for n in range(3)))
    await worker.settle(await worker.claim(), failed(NOW + 5), Released(), Released())
    await worker.put(message("a3", key="a"))
    assert await worker.claim(now=NOW + 4) == []
    assert ids(await worker.claim(now=NOW + 5)) == ["a0", "a1", "a2", "a3"]


async def test_keys_that_found_no_room_stay_as_they_were(worker: Worker, other: Worker) -> None:
    """Among them one that waits for a retry."""
    await worker.put(message("r", key="r"))
    await worker.settle(await worker.claim(), failed(NOW + 5))
    await worker.put(*(message(f"a{n}", key="a", priority=9) for n in range(5)), message("b", key="b"))
    first = await worker.ask(4, now=NOW + 5)
    assert ([ids(run) for run in first.runs], first.more) == ([["a0", "a1", "a2", "a3"]], True)
    assert sorted(ids(await other.claim(now=NOW + 5))) == ["b", "r"]


async def test_a_claim_goes_through_a_crowd_of_a_busy_key(worker: Worker, other: Worker) -> None:
    await worker.put(message("head", key="k"))
    await worker.claim()
    await worker.put(*(message(f"m{n}", key="k") for n in range(5_000)))
    await worker.put(message("behind"))
    asks = [await other.ask(10) for _ in range(3)]
    assert [(len(each.runs), each.more) for each in asks] == [(0, True), (0, True), (1, False)]


@pytest.mark.parametrize("outcome", [Done(), Released()])
async def test_what_is_met_while_its_key_is_freed_is_not_stranded(worker: Worker, other: Worker, enrol: Enrol, outcome: Outcome) -> None:
    """The claim has met it and goes for the key; the settle waits until it is set aside, and wakes it."""
    await worker.put(message("a1", key="a"))
    held = await worker.claim()
    await worker.put(message("a2", key="a"))
    other.bounds.mixed.add(QUEUE)
    looks = await enrol()
    settling: list[asyncio.Task[list[int]]] = []

    async def settle() -> None:
        settling.append(asyncio.create_task(worker.settle(held, outcome)))
        await looks.client.until_waits(worker.client)

    before = other.client.trips
    asked = other.ask_meanwhile({before + 4: settle})  # after look, owner, meet, occupy
    assert (await asked).runs == []
    assert await settling[0] == []
    assert ids(await other.claim()) == (["a1", "a2"] if isinstance(outcome, Released) else ["a2"])


async def test_a_run_ends_before_what_another_claim_has_met(worker: Worker, other: Worker) -> None:
    """That claim waits for the key, and gets what the first one left."""
    await worker.put(*(message(f"a{n}", key="a") for n in range(3)))
    async with worker.client.transaction():
        await worker.client.connection.fetch("select from penstock.ready where seq = 2 for update")
        assert ids(await other.claim()) == ["a0"]
    assert await worker.where() == {"leased": ["a0"], "ready": ["a1"], "aside": ["a2"]}
    await other.done(await held_by(other))
    assert ids(await worker.claim()) == ["a1", "a2"]


async def test_a_key_whose_first_message_another_claim_has_met_is_let_go(worker: Worker, other: Worker) -> None:
    await worker.put(*(message(f"a{n}", key="a") for n in range(3)))
    async with worker.client.transaction():
        await worker.client.connection.fetch("select from penstock.ready where seq = 1 for update")
        claimed = await other.ask()
        assert (claimed.runs, claimed.more) == ([], True)
    assert await worker.client.fetchval("select count(*) from penstock.busy") == 0
    assert ids(await other.claim()) == ["a0", "a1", "a2"]


async def held_by(worker: Worker) -> list[Delivery]:
    rows = await worker.client.connection.fetch(
        "select m.seq, m.id, m.queue, m.task, m.key from penstock.leased l join penstock.message m on m.seq = l.seq where l.owner = $1",
        worker.owner,
    )
    return [Delivery(row[0], row[1], row[2], row[3], 1, b"", row[4]) for row in rows]


# -- what cannot run


@pytest.mark.parametrize("key", [None, "k"])
async def test_what_is_too_late_is_ended(worker: Worker, key: str | None) -> None:
    late = [message(f"late {n}", expires=NOW + 10, key=key) for n in range(40)]
    hold = Hold("task/n")
    await worker.put(with_options(message("named", unique=hold, expires=NOW + 10, key=key), Options(unique=hold)))
    await worker.put(*late, message("in time", expires=NOW + 11, key=key))
    found: list[Delivery] = []
    while not found:
        claimed = await worker.ask(50, now=NOW + 10)
        found = [delivery for run in claimed.runs for delivery in run]
        assert found or claimed.more
    assert ids(found) == ["in time"]
    assert await worker.counts() == {"running": 1, "expired": 41, "kept": 41}
    assert await worker.put(with_options(message("b", unique=hold), Options(unique=hold))) == [Placed("b")]


async def test_what_is_too_late_in_the_middle_of_a_run(worker: Worker) -> None:
    await worker.put(message("a1", key="a"), message("a2", key="a", expires=NOW + 1), message("a3", key="a"))
    held = await worker.claim(now=NOW + 1)
    assert ids(held) == ["a1"]
    await worker.done(held)
    assert ids(await worker.claim(now=NOW + 1)) == ["a3"]
    assert (await worker.counts())["expired"] == 1


@pytest.mark.parametrize("key", [None, "k"])
async def test_what_nobody_knows_goes_aside_and_is_called_back(worker: Worker, enrol: Enrol, key: str | None) -> None:
    await worker.put(*(message(f"m{n}", task="other", key=key) for n in range(3)), message("mine", key=key, priority=1))
    assert ids(await worker.claim()) == ([] if key else ["mine"])
    assert await worker.client.fetchval("select count(*) from penstock.aside where stray = 'other'") == (1 if key else 3)
    assert (await worker.counts())["waiting"] == (4 if key else 3)
    knows = await enrol("other", TASK)
    assert ids(await knows.claim()) == ["m0", "m1", "m2"] + ["mine"] * bool(key)
    assert await worker.where() == {"leased": ["m0", "m1", "m2", "mine"]}


async def test_a_stray_that_is_just_being_called_back_is_not_overtaken(worker: Worker, enrol: Enrol) -> None:
    knows, too = await enrol("other", TASK), await enrol("other", TASK)
    await worker.put(message("a1", task="other", key="a"))
    assert await worker.claim() == []
    await worker.put(message("a2", key="a"))
    async with knows.client.transaction():
        await knows.client.run(_called_back())
        assert (await too.ask()).runs == []
    assert ids(await too.claim()) == ["a1", "a2"]


def _called_back() -> Any:
    yield Statement("call_strays_back", {"queue": QUEUE, "task": "other", "limit": 5})


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_suspect_comes_alone_to_who_holds_nothing(worker: Worker, enrol: Enrol, key: str | None) -> None:
    await poison(worker, enrol, "poison", key=key)
    await worker.put(message("behind", key=key), message("free"))
    claimed = await worker.ask()
    assert ([ids(run) for run in claimed.runs], claimed.suspects) == ([["free"]] if key else [["behind"], ["free"]], True)
    assert (await worker.where())["suspect"] == ["poison"]
    lone = await enrol()
    claimed = await lone.ask(suspects=[QUEUE])
    assert ([ids(run) for run in claimed.runs], claimed.more, claimed.suspects) == ([["poison"]], True, True)
    assert (claimed.runs[0][0].deaths, claimed.runs[0][0].attempt) == (2, 1)
    await lone.done(claimed.runs[0])
    assert ids(await lone.claim()) == (["behind"] if key else [])


async def test_a_suspect_that_is_met_may_be_asked_for_at_once(worker: Worker, enrol: Enrol) -> None:
    await poison(worker, enrol, "poison")
    claimed = await worker.ask(suspects=[QUEUE])
    assert (claimed.runs, claimed.more, claimed.suspects) == ([], True, True)
    assert ids((await worker.ask(suspects=[QUEUE])).runs[0]) == ["poison"]
    assert not (await worker.ask()).suspects


async def test_a_suspect_of_an_unknown_task_is_nothing_to_wait_for(worker: Worker, enrol: Enrol) -> None:
    await poison(worker, enrol, "poison")
    await worker.ask()
    stranger = await enrol("other")
    claimed = await stranger.ask(suspects=[QUEUE])
    assert (claimed.runs, claimed.suspects, claimed.more) == ([], False, False)


async def test_two_who_hold_nothing_get_one_suspect(worker: Worker, enrol: Enrol) -> None:
    await poison(worker, enrol, "poison", key="k")
    await worker.ask()
    lone = [await enrol() for _ in range(4)]
    claims = await asyncio.gather(*(each.ask(suspects=[QUEUE]) for each in lone))
    assert [run[0].job_id for claimed in claims for run in claimed.runs] == ["poison"]


async def test_a_name_that_is_held_until_the_start_goes_with_the_claim(worker: Worker) -> None:
    hold = Hold("task/n", "start")
    named = [with_options(message(id, unique=hold, key=key), Options(unique=hold)) for id, key in (("a", None), ("b", "k"))]
    for each in named:
        assert (await worker.put(each))[0].created
        assert not (await worker.put(with_options(message("no", unique=hold), Options(unique=hold))))[0].created
        assert ids(await worker.claim()) == [each.id]


# -- who claims


async def test_who_was_declared_dead_gets_nothing(worker: Worker, other: Worker) -> None:
    await worker.put(message("a"))
    await kill(worker, by=other)
    with pytest.raises(LeaseLost):
        await worker.claim()
    assert await worker.where() == {"ready": ["a"]}


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_rescue_that_comes_between_look_and_take_is_seen(worker: Worker, other: Worker, key: str | None) -> None:
    await worker.put(message("a", key=key))
    worker.bounds.mixed.update([QUEUE] if key else ())
    asked = worker.ask_meanwhile({worker.client.trips + 1: lambda: kill(worker, by=other)})
    if key:
        with pytest.raises(LeaseLost):
            await asked
    else:
        assert (await asked).runs == []
    assert await worker.where() == {"ready": ["a"]}


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_rescue_waits_for_a_claim_that_has_begun(worker: Worker, other: Worker, key: str | None) -> None:
    await worker.put(message("a", key=key))
    async with worker.client.transaction():
        ask = Claim(worker.owner, [(QUEUE, 5)], worker.tasks)
        claimed = await worker.client.run(at_once(course(ask, Bounds()), NOW))
        assert [ids(run) for run in claimed.runs] == [["a"]]
        rescue = asyncio.create_task(other.rescue(worker))
        await worker.client.until_waits(other.client)
    rescued = await rescue
    assert rescued is not None and rescued.released == 1
    assert ids(await other.claim()) == ["a"]


async def test_a_beat_does_not_wait_for_a_claim(worker: Worker, other: Worker) -> None:
    async with worker.client.transaction():
        await worker.client.run(_lives(worker.owner))
        assert (
            await other.client.fetchval("update penstock.worker set beat = beat + 1 where incarnation = $1 returning beat", worker.owner)
            == 1
        )


def _lives(owner: int) -> Any:
    yield Statement("owner_lives", {"owner": owner})


async def test_what_some_queues_gave_is_kept_when_the_store_fails_at_another(worker: Worker) -> None:
    await worker.put(message("a"), message("b", queue="b"))
    going = course(Claim(worker.owner, [(QUEUE, 5), ("b", 5)], worker.tasks), worker.bounds)
    sight = await worker.client.run(next(going).make(NOW))
    taken = await worker.client.run(going.send(sight).make(NOW))
    going.send(taken)
    with pytest.raises(StopIteration) as stop:
        going.throw(StoreUnavailable("gone"))
    assert ([ids(run) for run in stop.value.value.runs], stop.value.value.more) == ([["a"]], True)
    assert ids(await worker.claim(5, QUEUE, "b")) == ["b"]


async def test_it_fails_when_nothing_was_taken(worker: Worker) -> None:
    await worker.put(message("a"))
    going = course(Claim(worker.owner, [(QUEUE, 5)], worker.tasks), worker.bounds)
    going.send(await worker.client.run(next(going).make(NOW)))
    with pytest.raises(StoreUnavailable):
        going.throw(StoreUnavailable("gone"))


# -- beside ends from outside


@pytest.mark.parametrize("key", [None, "k"])
async def test_what_is_cancelled_beside_a_claim_is_ended_once(worker: Worker, other: Worker, key: str | None) -> None:
    await worker.put(message("a", key=key), message("b", key=key))
    worker.bounds.mixed.add(QUEUE)

    async def cancel() -> None:
        assert await other.write(ends.cancel("a", NOW)) == "cancelled"

    claimed = await worker.ask_meanwhile({worker.client.trips + 2: cancel})  # after look and owner
    await worker.done([delivery for run in claimed.runs for delivery in run])
    await worker.done(await worker.claim())
    assert await worker.counts() == {"cancelled": 1, "done": 1, "kept": 2}
