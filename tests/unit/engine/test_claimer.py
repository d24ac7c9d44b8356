"""What is asked for, and when. Suspects."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from penstock.engine import claimer, runner
from penstock.engine.rotation import Rotation
from penstock.engine.runner import MOST_AHEAD
from penstock.errors import StoreUnavailable
from penstock.model.delivery import Delivery
from penstock.model.events import Claimed as ClaimedEvent
from penstock.model.events import Trouble
from penstock.model.outcome import Done
from penstock.ports.queue import Claim, Claimed
from tests.unit.engine.scripted import Bench, ScriptedStore, Task, soon


async def nothing() -> None:
    pass


async def test_it_asks_for_what_can_start_soon() -> None:
    for concurrency, most in [(1, 2), (10, 20), (100, 200), (1000, 1256)]:
        async with Bench(Task(nothing), concurrency=concurrency) as bench:
            await bench.watch.until(lambda bench=bench: bench.queue.claims)  # type: ignore[misc]
            assert bench.queue.claims[0].queues == [("q", most)]
            assert bench.queue.claims[0].owner == bench.worker.incarnation


async def test_it_does_not_hold_more_than_that() -> None:
    go = asyncio.Event()
    async with Bench(Task(go.wait), concurrency=10) as bench:
        for _ in range(100):
            bench.store.put()
        await bench.watch.until(lambda: len(bench.queue.ready) == 80)
        claims = len(bench.queue.claims)
        for _ in range(50):
            bench.store.ring()
            await asyncio.sleep(0)
        assert len(bench.queue.claims) == claims
        go.set()
        await soon(bench.worker.idle())
        assert len(bench.queue.settled) == 100


async def test_claims_are_batched() -> None:
    async with Bench(Task(nothing), concurrency=100) as bench:
        bench.queue.ready.extend([bench.store.delivery()] for _ in range(10_000))
        await soon(bench.worker.idle())
        assert len(bench.queue.settled) == 10_000
        counts = [event.count for event in bench.signals.of(ClaimedEvent)]
        assert sum(counts) == 10_000 and len(counts) <= 200
        assert bench.signals.points.count("claimed") == len(counts)


async def test_of_short_jobs_more_is_claimed_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "OFTEN", 3_600.0)
    async with Bench(Task(nothing), concurrency=10) as bench:
        bench.queue.ready.extend([bench.store.delivery()] for _ in range(20_000))
        await soon(bench.worker.idle())
        asked = [claim.queues[0][1] for claim in bench.queue.claims]
        assert asked[0] == 20
        assert 10 + MOST_AHEAD // 2 <= max(asked) <= 10 + MOST_AHEAD


async def test_of_jobs_that_take_their_time_no_more_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "OFTEN", -1.0)
    async with Bench(Task(nothing), concurrency=10) as bench:
        bench.queue.ready.extend([bench.store.delivery()] for _ in range(1_000))
        await soon(bench.worker.idle())
        assert len(bench.queue.claims) > 10
        assert max(claim.queues[0][1] for claim in bench.queue.claims) == 20


async def test_after_a_rest_little_is_claimed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "OFTEN", 3_600.0)
    async with Bench(Task(nothing), concurrency=10) as bench:
        bench.queue.ready.extend([bench.store.delivery()] for _ in range(20_000))
        await soon(bench.worker.idle())
        monkeypatch.setattr(runner, "SELDOM", -1.0)
        bench.store.put()
        await soon(bench.worker.idle())
        bench.store.put()
        await soon(bench.worker.idle())
        assert bench.queue.claims[-1].queues[0][1] <= 20


async def test_while_a_crowd_cannot_run_it_asks_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing came of a claim, and there is more: that is no reason to rest. Nobody rings."""
    monkeypatch.setattr(claimer, "POLL", 3_600)
    bench = Bench(Task(nothing))
    bench.queue.crowds = 10
    behind = bench.store.put()
    async with bench:
        assert await bench.outcome(behind) == Done()


async def test_after_an_error_of_the_store_it_goes_on() -> None:
    bench = Bench(Task(nothing))
    bench.queue.claim_errors.append(StoreUnavailable("locked"))
    async with bench:
        assert await bench.run() == Done()
        assert isinstance(bench.signals.of(Trouble)[0].error, StoreUnavailable)


async def test_it_stops_while_too_many_ends_wait() -> None:
    async with Bench(Task(nothing), concurrency=5_000) as bench:
        bench.queue.gate = asyncio.Event()
        bench.queue.ready.extend([bench.store.delivery()] for _ in range(30_000))
        bench.store.ring()
        await bench.watch.until(lambda: len(bench.queue.ready) <= 20_000)
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(bench.queue.ready) >= 30_000 - 10_000 - 5_256
        bench.queue.gate.set()
        await soon(bench.worker.idle())
        assert len(bench.queue.settled) == 30_000


class Solitude:
    """Notes what ran together with a suspect."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.together: set[str] = set()
        self.broken = False

    async def ordinary(self) -> None:
        await self._run("ordinary")

    async def suspicious(self) -> None:
        await self._run("suspect")

    async def _run(self, name: str) -> None:
        self.order.append(name)
        self.together.add(name)
        self.broken |= name == "suspect" and len(self.together) > 1
        for _ in range(3):
            await asyncio.sleep(0)
        self.broken |= name == "suspect" and len(self.together) > 1
        self.together.discard(name)


def suspect(store: ScriptedStore, queue: str = "q") -> Delivery:
    delivery = store.delivery("bad", queue=queue, deaths=2)
    store.queue.suspects.append(delivery)
    store.ring()
    return delivery


async def test_it_is_idle_only_when_every_queue_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a claim has room for some of them only, and the store takes its time."""
    tasks = [Task(nothing, name=f"t{name}", queue=name) for name in ("a", "b", "c", "d")]
    async with Bench(*tasks, concurrency=1) as bench:
        await soon(bench.worker.idle())
        claim, go = bench.queue.claim, asyncio.Semaphore(0)

        async def slow(ask: Claim) -> Claimed:
            await go.acquire()
            return await claim(ask)

        monkeypatch.setattr(bench.queue, "claim", slow)
        idle = asyncio.ensure_future(bench.worker.idle())
        go.release()
        claims = len(bench.queue.claims)
        await bench.watch.until(lambda: len(bench.queue.claims) > claims)
        for _ in range(20):
            await asyncio.sleep(0)
        asked = {queue for queue, _ in bench.queue.claims[-1].queues}
        assert len(asked) == 2 and not idle.done()
        (other, *_) = sorted({"a", "b", "c", "d"} - asked)
        bench.queue.ready.append([bench.store.delivery(f"t{other}", queue=other)])
        for _ in range(20):
            go.release()
        await soon(idle)
        assert len(bench.queue.settled) == 1


async def test_an_idle_worker_takes_a_suspect_alone() -> None:
    notes = Solitude()
    async with Bench(Task(notes.ordinary), Task(notes.suspicious, name="bad")) as bench:
        first, second = suspect(bench.store), suspect(bench.store)
        await soon(bench.outcome(first))
        claims = [claim for claim in bench.queue.claims if claim.suspects]
        assert claims
        ordinary = bench.store.put()
        await soon(bench.outcome(second), bench.outcome(ordinary))
        assert not notes.broken


async def test_while_a_suspect_runs_nothing_is_claimed() -> None:
    go = asyncio.Event()
    async with Bench(Task(nothing), Task(go.wait, name="bad")) as bench:
        bad = suspect(bench.store)
        await bench.watch.until(lambda: not bench.queue.suspects)
        await asyncio.sleep(0)
        claims = len(bench.queue.claims)
        ordinary = bench.store.put()
        for _ in range(50):
            bench.store.ring()
            await asyncio.sleep(0)
        assert len(bench.queue.claims) == claims
        go.set()
        await soon(bench.outcome(bad), bench.outcome(ordinary))


@pytest.mark.parametrize("limited", [(), ("q",), ("other",), ("q", "other")])
async def test_a_busy_worker_takes_turns(limited: Sequence[str]) -> None:
    """Also where a slot is saved for queues with limits."""
    notes = Solitude()
    ordinary = Task(notes.ordinary), Task(notes.ordinary, name="other", queue="other")
    async with Bench(*ordinary, Task(notes.suspicious, name="bad"), concurrency=4) as bench:
        bench.queue.limited = frozenset(limited)

        def feed() -> None:
            if feeding and len(bench.queue.ready) < 8:
                for _ in range(8):
                    bench.store.put()
                    bench.store.put("other", queue="other")

        feeding = True
        undo = bench.signals.listen(lambda event: feed())
        feed()
        await bench.watch.until(lambda: len(bench.queue.settled) > 20)
        suspects = [suspect(bench.store), suspect(bench.store)]
        for one in suspects:
            await soon(bench.outcome(one))
        feeding = False
        undo()
        await soon(bench.worker.idle())
        between = notes.order[notes.order.index("suspect") + 1 :]
        assert "ordinary" in between[: between.index("suspect")] and not notes.broken


@pytest.mark.parametrize("queues", [3, 12])
async def test_a_suspect_gets_its_turn_though_no_claim_has_room_for_all_queues(monkeypatch: pytest.MonkeyPatch, queues: int) -> None:
    monkeypatch.setattr(claimer, "TURN", 0.1)
    notes = Solitude()
    names = [f"q{n}" for n in range(queues)]
    tasks = [Task(notes.ordinary, name=name, queue=name) for name in names]
    async with Bench(*tasks, Task(notes.suspicious, name="bad", queue=names[0]), concurrency=1) as bench:

        def feed() -> None:
            if len(bench.queue.ready) < queues:
                for name in names:
                    bench.store.put(name, queue=name)

        bench.signals.listen(lambda event: feed())
        feed()
        await bench.watch.until(lambda: len(bench.queue.settled) > 20)
        await soon(*[bench.outcome(suspect(bench.store, queue=names[0])) for _ in range(2)])
        between = notes.order[notes.order.index("suspect") + 1 :]
        assert "ordinary" in between[: between.index("suspect")] and not notes.broken


async def test_with_nothing_else_to_do_suspects_come_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """When every queue was asked, however few at once. Nobody waits for a turn to end."""
    monkeypatch.setattr(claimer, "TURN", 3_600)
    tasks = [Task(nothing, name=name, queue=name) for name in ("a", "b", "c", "d", "e")]
    async with Bench(*tasks, Task(nothing, name="bad", queue="c"), concurrency=1) as bench:
        await soon(*[bench.outcome(suspect(bench.store, queue="c")) for _ in range(5)])


async def test_a_turn_goes_on_while_suspects_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other claim is told that none could run."""
    monkeypatch.setattr(claimer, "TURN", 0.02)
    async with Bench(Task(nothing), Task(nothing, name="bad"), concurrency=1) as bench:
        claim = bench.queue.claim

        async def now_and_then(ask: Claim) -> Claimed:
            claimed = await claim(ask)
            seen = claimed.suspects and (bool(ask.suspects) or len(bench.queue.claims) % 2 == 0)
            return msgspec.structs.replace(claimed, suspects=seen)

        def feed() -> None:
            if len(bench.queue.ready) < 4:
                bench.store.put()

        monkeypatch.setattr(bench.queue, "claim", now_and_then)
        bench.signals.listen(lambda event: feed())
        feed()
        await bench.watch.until(lambda: len(bench.queue.settled) > 20)
        await soon(bench.outcome(suspect(bench.store)))


def runs(*queues: str) -> list[Sequence[Delivery]]:
    store = ScriptedStore()
    return [[store.delivery(queue=queue)] for queue in queues]


def claimed(*queues: str, more: bool = False) -> Claimed:
    return Claimed(runs(*queues), more, None, False)


def test_one_queue_gets_all_the_room() -> None:
    assert Rotation([("a", 1)]).divide(7) == [("a", 7)]


def test_room_is_shared_by_weight() -> None:
    rotation = Rotation([("mail", 5), ("reports", 1)])
    assert dict(rotation.divide(60)) == {"mail": 50, "reports": 10}


def test_queues_that_had_nothing_are_only_looked_into() -> None:
    rotation = Rotation([("a", 1), ("b", 1), ("c", 1)])
    rotation.divide(90)
    rotation.learn(claimed("b", more=True))
    assert dict(rotation.divide(90)) == {"a": 1, "b": 88, "c": 1}
    rotation.learn(claimed())
    assert dict(rotation.divide(90)) == {"a": 30, "b": 30, "c": 30}


def test_never_more_than_there_is_room_for() -> None:
    rotation = Rotation([(f"q{n}", n + 1) for n in range(12)])
    for room in (*range(1, 40), 200):
        shares = rotation.divide(room)
        assert sum(share for _, share in shares) <= room and all(share > 0 for _, share in shares)
        rotation.learn(claimed("q3", more=True))


def test_with_little_room_every_queue_has_its_turn() -> None:
    rotation = Rotation([(name, 1) for name in "abcde"])
    rotation.restart()
    asked: list[str] = []
    while rotation.unfinished:
        asked += [queue for queue, _ in rotation.divide(2)]
        rotation.learn(claimed())
    assert asked[:5] == list("abcde")
    rotation.restart()
    assert rotation.unfinished


def test_a_queue_is_not_emptied_by_a_claim_that_met_only_what_cannot_run() -> None:
    rotation = Rotation([("a", 1)])
    rotation.divide(10)
    rotation.learn(claimed(more=True))
    assert rotation.unfinished
    rotation.learn(claimed())
    assert not rotation.unfinished


def test_a_queue_of_another_release_joins_for_as_long_as_it_is_found() -> None:
    rotation = Rotation([("a", 3)])
    rotation.divide(8)
    rotation.learn(claimed())
    assert rotation.adopt(["old"]) and rotation.unfinished
    assert dict(rotation.divide(8)) == {"a": 6, "old": 2}
    assert not rotation.adopt(["old"])
    assert not rotation.adopt([])
    rotation.learn(claimed("old", more=False))
    assert not rotation.unfinished
    assert rotation.divide(8) == [("a", 8)]


def test_a_queue_of_its_own_keeps_its_weight() -> None:
    rotation = Rotation([("a", 3), ("b", 1)])
    assert not rotation.adopt(["a"])
    assert dict(rotation.divide(8)) == {"a": 6, "b": 2}


async def test_what_another_release_left_in_its_queue_runs() -> None:
    bench = Bench(Task(nothing))
    bench.store.leases.astray = ["old"]
    async with bench:
        assert await bench.run(queue="old") == Done()


async def test_with_queues_named_nothing_else_is_looked_for() -> None:
    bench = Bench(Task(nothing), queues=(("q", 1),))
    bench.store.leases.astray = ["old"]
    async with bench:
        assert await bench.run() == Done()
        await soon(bench.worker.idle())
    assert bench.store.leases.searched == 0
    assert {queue for claim in bench.queue.claims for queue, _ in claim.queues} == {"q"}


async def test_all_queues_are_served_with_one_slot() -> None:
    tasks = [Task(nothing, name=name, queue=name) for name in ("a", "b", "c", "d", "e")]
    async with Bench(*tasks, concurrency=1) as bench:
        deliveries = [bench.store.put(name, queue=name) for name in ("e", "d", "a") for _ in range(5)]
        await soon(bench.worker.idle())
        assert len(bench.queue.settled) == len(deliveries)


async def test_only_the_queues_asked_for() -> None:
    tasks = [Task(nothing, name=name, queue=name) for name in ("a", "b")]
    async with Bench(*tasks, queues=(("b", 3),)) as bench:
        await bench.watch.until(lambda: bench.queue.claims)
        assert [queue for queue, _ in bench.queue.claims[0].queues] == ["b"]
        assert bench.store.leases.enrolled[0].queues == ("b",)
