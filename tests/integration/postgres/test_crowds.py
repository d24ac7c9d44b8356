"""Many workers and producers at once: what holds for each message and key, whatever the others do."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from random import Random

import pytest

from penstock.errors import LeaseLost
from penstock.model.delivery import Delivery
from penstock.model.limit import Limit
from penstock.model.outcome import Done, Outcome, Released
from tests.integration.postgres.client import NOW, Client, Connect
from tests.integration.postgres.play import QUEUE, Worker, failed, ids, message

KEYS, EACH = 12, 60


class Crowd:
    """Who runs what, and what has ended in which order."""

    def __init__(self, wanted: int) -> None:
        self.running: set[str] = set()
        self.ended: defaultdict[str | None, list[str]] = defaultdict(list)
        self._failed: set[str] = set()
        self._left = wanted

    @property
    def over(self) -> bool:
        return not self._left

    def begin(self, runs: Sequence[Sequence[Delivery]]) -> None:
        names = [run[0].key or run[0].job_id for run in runs]
        assert len(set(names)) == len(names) and not self.running.intersection(names), "it runs twice at once"
        self.running.update(names)

    def end(self, runs: Sequence[Sequence[Delivery]]) -> tuple[list[Delivery], list[Outcome]]:
        """Every seventh message fails at first; the rest of its run goes back."""
        deliveries: list[Delivery] = []
        outcomes: list[Outcome] = []
        for run in runs:
            self.running.discard(run[0].key or run[0].job_id)
            bad = next((n for n, each in enumerate(run) if each.seq % 7 == 0 and each.job_id not in self._failed), len(run))
            self._failed.update(ids(run[bad : bad + 1]))
            self.ended[run[0].key] += ids(run[:bad])
            self._left -= bad
            deliveries += run
            outcomes += [*[Done()] * bad, *[failed(NOW)] * (bad < len(run)), *[Released()] * (len(run) - bad - 1)]
        return deliveries, outcomes


async def test_a_key_never_runs_twice_at_once_and_keeps_its_order(connect: Connect) -> None:
    workers = [await Worker(await connect(), n + 1).enrol() for n in range(4)]
    producers = [Worker(await connect()) for _ in range(2)]
    crowd = Crowd((KEYS + 2) * EACH)

    async def produce(producer: Worker, mine: range) -> None:
        for n in range(EACH):
            keyed = [message(f"{key}:{n}", key=f"{key}", priority=n * key % 10) for key in mine]
            await producer.put(*keyed, message(f"{mine}:{n}"))

    async def consume(worker: Worker) -> None:
        while not crowd.over:
            runs = (await worker.ask(16)).runs
            crowd.begin(runs)
            await asyncio.sleep(0)
            deliveries, outcomes = crowd.end(runs)
            assert await worker.settle(deliveries, *outcomes) == []

    async with asyncio.timeout(60):
        await asyncio.gather(
            produce(producers[0], range(6)), produce(producers[1], range(6, KEYS)), *(consume(worker) for worker in workers)
        )
    assert len(set(crowd.ended.pop(None))) == 2 * EACH
    assert crowd.ended == {f"{key}": [f"{key}:{n}" for n in range(EACH)] for key in range(KEYS)}
    assert await workers[0].counts() == {"done": (KEYS + 2) * EACH, "failed": len(crowd._failed), "kept": (KEYS + 2) * EACH}
    assert await workers[0].client.fetchval("select count(*) from penstock.busy") == 0


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_lost_or_done_twice_while_workers_die(connect: Connect, seed: int) -> None:
    """A worker that is declared dead while it claims or settles is told so, and what it had is another's, in its order."""
    chance = Random(seed)
    clients = [await connect() for _ in range(3)]
    rescuer = Worker(await connect())
    keys = "abcdef"
    names = [f"{key}{n}" for n in range(12) for key in keys] + [f"m{n}" for n in range(60)]
    await rescuer.put(*(message(name, key=name[0] if name[0] in keys else None) for name in names))
    done: list[str] = []
    dead = 0
    living: dict[int, Worker] = {}
    born = 0

    async def live(worker: Worker) -> None:
        while len(done) + dead < len(names):
            held = [delivery for run in (await worker.ask(8, suspects=(QUEUE,))).runs for delivery in run]
            lost = set(await worker.settle(held, *[Done()] * len(held)))
            done.extend(each.job_id for each in held if each.seq not in lost)

    async def serve(client: Client) -> None:
        nonlocal born
        while len(done) + dead < len(names):
            born += 1
            worker = living[born] = await Worker(client, born).enrol()
            with suppress(LeaseLost):
                await live(worker)

    async def kill() -> None:
        nonlocal dead
        while len(done) + dead < len(names):
            await asyncio.sleep(0)
            if living and chance.random() < 0.3:
                rescued = await rescuer.rescue(living.pop(chance.choice(sorted(living))))
                dead += 0 if rescued is None else rescued.dead

    async with asyncio.timeout(60):
        await asyncio.gather(*(serve(client) for client in clients), kill())
    where = await rescuer.where()
    assert sorted(done) == sorted(where.pop("finished"))
    assert sorted([*done, *where.pop("dead", ())]) == sorted(names)
    assert where == {}
    for key in keys:
        assert [name for name in done if name[0] == key] == [name for name in names if name[0] == key and name in set(done)]


async def test_limits_are_exact_whoever_claims(connect: Connect) -> None:
    most = 5
    workers = [await Worker(await connect(), n + 1).enrol([Limit(QUEUE, concurrency=most)]) for n in range(4)]
    await workers[0].put(*(message(f"m{n}", key=f"k{n % 7}" if n % 2 else None) for n in range(120)))
    held: Counter[int] = Counter()
    seen: list[int] = []
    done: list[str] = []

    async def consume(worker: Worker) -> None:
        """Holds what it has while it asks for more."""
        deliveries: list[Delivery] = []
        while len(done) < 120:
            more = await worker.claim(4)
            held[worker.owner] += len(more)
            seen.append(held.total())
            held[worker.owner] -= len(deliveries)
            await worker.done(deliveries)
            done.extend(ids(deliveries))
            deliveries = more

    async with asyncio.timeout(60):
        await asyncio.gather(*(consume(worker) for worker in workers))
    assert max(seen) == most
    assert (len(set(done)), await workers[0].counts()) == (120, {"done": 120, "kept": 120})


async def test_a_rate_is_exact_whoever_claims(connect: Connect) -> None:
    workers = [await Worker(await connect(), n + 1).enrol([Limit(QUEUE, rate="1000/s")]) for n in range(4)]
    await workers[0].put(*(message(f"m{n}") for n in range(300)))
    burst = await asyncio.gather(*(worker.claim(200) for worker in workers))
    assert sum(map(len, burst)) == 100
    later = await asyncio.gather(*(worker.claim(200, now=NOW + 10_000) for worker in workers))
    assert sum(map(len, later)) == 10


async def test_claims_of_limited_queues_in_any_order_do_not_wait_in_a_circle(connect: Connect) -> None:
    queues = [f"q{n}" for n in range(4)]
    limits = [Limit(queue, concurrency=50) for queue in queues]
    workers = [await Worker(await connect(), n + 1).enrol(limits) for n in range(4)]
    await workers[0].put(*(message(f"m{n}", queue=f"q{n % 4}", key=f"k{n % 6}") for n in range(160)))
    done: list[str] = []

    async def consume(worker: Worker) -> None:
        order = queues[worker.owner - 1 :] + queues[: worker.owner - 1]
        while len(done) < 160:
            deliveries = await worker.claim(3, *(order if worker.owner % 2 else order[::-1]))
            await worker.done(deliveries)
            done.extend(ids(deliveries))

    async with asyncio.timeout(60):
        await asyncio.gather(*(consume(worker) for worker in workers))
    assert len(set(done)) == 160
