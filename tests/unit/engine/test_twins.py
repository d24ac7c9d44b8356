"""A message that is claimed while this worker still has it: a crash of the store has undone the first claim, which nobody was told.

Claims are not flushed. So the first run has no lease any more, and the second one has.
"""

import asyncio

from msgspec.structs import replace

from penstock.model.outcome import Committed, Done, Outcome, Released, Snoozed
from penstock.ports.handler import Batch
from tests.unit.engine.scripted import Bench, Task


class Script:
    """Its first run goes on until it is stopped. Keeps what ran to its end."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended: list[object] = []

    async def __call__(self, scope: object = None, injected: object = None) -> None:
        first = not self.begun.is_set()
        self.begun.set()
        if first:
            await asyncio.Event().wait()
        self.ended.append(scope)


def ends(bench: Bench, seq: int) -> list[type[Outcome]]:
    return [type(each.outcome) for each in bench.queue.settled if each.delivery.seq == seq]


async def test_the_first_one_is_stopped_and_the_other_waits_for_that() -> None:
    script = Script()
    async with Bench(Task(script)) as bench:
        first = bench.store.put()
        await script.begun.wait()
        bench.store.put_run(replace(first))
        await bench.watch.until(lambda: len(ends(bench, first.seq)) == 2)
        assert ends(bench, first.seq) == [Snoozed, Released]
        bench.store.put_run(replace(first))  # a second later
        await bench.watch.until(lambda: Done in ends(bench, first.seq))
        await bench.worker.idle()
    assert len(script.ended) == 1


async def test_the_rest_of_its_run_is_given_back() -> None:
    script = Script()
    async with Bench(Task(script)) as bench:
        first = bench.store.put(key="k")
        await script.begun.wait()
        (_, behind) = bench.store.put_run(replace(first), bench.store.delivery(key="k"))
        assert await bench.outcome(behind) == Released()
        await bench.worker.idle()
    assert script.ended == []


async def test_a_commit_under_way_is_waited_for() -> None:
    script = Script()
    script.begun.set()
    async with Bench(Task(script, transactional=True)) as bench:
        bench.store.commit_gate = asyncio.Event()
        first = bench.store.put()
        await bench.watch.until(lambda: bench.store.committing)
        bench.store.put_run(replace(first))
        assert isinstance(await bench.outcome(first), Snoozed)
        bench.store.commit_gate.set()
        await bench.worker.idle()
        (transaction,) = bench.store.transactions
        assert transaction.committed and isinstance(transaction.committed[1][0].outcome, Done | Committed)
    assert ends(bench, first.seq) == [Snoozed]


async def test_of_a_batch_the_others_run() -> None:
    script = Script()
    async with Bench(Task(script, batch=Batch(2, 60.0), bare=False)) as bench:
        one, two = bench.store.put(), bench.store.put()
        await script.begun.wait()
        bench.store.put_run(replace(two))
        three = bench.store.put()
        assert await bench.outcome(three) == Done()
        await bench.watch.until(lambda: len(ends(bench, two.seq)) == 2)
        assert ends(bench, two.seq) == [Snoozed, Released]
        assert ends(bench, one.seq) == [Released]


async def test_none_is_in_a_batch_twice() -> None:
    script = Script()
    script.begun.set()
    async with Bench(Task(script, batch=Batch(2, 60.0))) as bench:
        first = bench.store.put()
        await bench.watch.until(lambda: not bench.queue.ready)
        bench.store.put_run(replace(first))
        await bench.watch.until(lambda: not bench.queue.ready)
        assert not bench.queue.settled
        second = bench.store.put()
        await bench.outcome(second)
        assert (ends(bench, first.seq), ends(bench, second.seq)) == ([Done], [Done])
