"""A message that is claimed while this worker still has it: a crash of the store has undone the first claim, which nobody was told.

Claims are not flushed. So the first run has no lease any more, and the second one has.
"""

import asyncio
import threading
from collections.abc import Sequence

from msgspec.structs import replace

from penstock.model.delivery import Delivery
from penstock.model.outcome import Done, Outcome, Released
from penstock.ports.handler import Batch
from tests.unit.engine.scripted import Bench, Task


class Script:
    """Its first run goes on until it is stopped, or allowed. Keeps what runs to its end."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.stopped = asyncio.Event()
        self.running = self.most = self.ended = 0
        self._stubborn = stubborn

    async def __call__(self) -> None:
        first = not self.begun.is_set()
        self.begun.set()
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            while first and not self.may_end.is_set():
                await self._wait()
            self.ended += 1
        finally:
            self.running -= 1

    async def _wait(self) -> None:
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.stopped.set()
            if not self._stubborn:
                raise


def ends(bench: Bench, seq: int) -> list[tuple[int, type[Outcome]]]:
    return [(each.delivery.claimed, type(each.outcome)) for each in bench.queue.settled if each.delivery.seq == seq]


def again(bench: Bench, *deliveries: Delivery) -> Sequence[Delivery]:
    """As a later claim has them."""
    return bench.store.put_run(*(replace(each, claimed=each.claimed + 1) for each in deliveries))


async def test_the_first_one_is_stopped_and_says_nothing() -> None:
    script = Script()
    async with Bench(Task(script)) as bench:
        first = bench.store.put(claimed=1)
        await script.begun.wait()
        again(bench, first)
        assert await bench.outcome(first) == Done()
        await bench.worker.idle()
        assert ends(bench, first.seq) == [(2, Done)]
    assert (script.ended, script.most) == (1, 1)


async def test_who_does_not_stop_is_waited_for_and_goes_no_further() -> None:
    """It runs through the rest of its run, which the second claim has, too."""
    script = Script(stubborn=True)
    async with Bench(Task(script)) as bench:
        run = bench.store.put_run(*(bench.store.delivery(key="k", claimed=1) for _ in range(3)))
        await script.begun.wait()
        again(bench, *run)
        await script.stopped.wait()
        script.may_end.set()
        await bench.outcome(run[2])
        await bench.worker.idle()
        assert [ends(bench, each.seq) for each in run] == [[(2, Done)]] * 3
    assert (script.ended, script.most) == (4, 1)


async def test_the_same_on_a_thread() -> None:
    may_end, begun = threading.Event(), threading.Event()
    runs: list[bool] = []

    def handler() -> None:
        runs.append(begun.is_set())
        begun.set()
        assert may_end.wait(10)

    async with Bench(Task(handler, asynchronous=False, isolation="thread")) as bench:
        first = bench.store.put(claimed=1)
        await asyncio.to_thread(begun.wait, 10)
        again(bench, first)
        await bench.watch.until(lambda: len(bench.queue.claims) > 2)
        may_end.set()
        assert await bench.outcome(first) == Done()
        await bench.worker.idle()
        assert ends(bench, first.seq) == [(2, Done)]
    assert runs == [False, True]


async def test_what_waits_behind_it_stays_where_the_later_claim_has_it() -> None:
    """The first run comes to a message that has begun by the later claim."""
    script = Script(stubborn=True)
    async with Bench(Task(script)) as bench:
        one, two = bench.store.put_run(*(bench.store.delivery(key="k", claimed=1) for _ in range(2)))
        await script.begun.wait()
        again(bench, two)
        await bench.outcome(two)
        script.may_end.set()
        await bench.worker.idle()
        assert (ends(bench, one.seq), ends(bench, two.seq)[0]) == ([(1, Done)], (2, Done))


async def test_a_commit_under_way_is_waited_for() -> None:
    script = Script()
    script.begun.set()
    async with Bench(Task(script, transactional=True)) as bench:
        bench.store.commit_gate = asyncio.Event()
        first = bench.store.put(claimed=1)
        await bench.watch.until(lambda: bench.store.committing)
        again(bench, first)
        await bench.watch.until(lambda: not bench.queue.ready)
        assert len(bench.store.transactions) == 1
        bench.store.commit_gate.set()
        await bench.worker.idle()
        committed = [each.committed[1][0] for each in bench.store.transactions if each.committed]
        assert [(each.delivery.claimed, type(each.outcome)) for each in committed] == [
            (1, Done),
            (2, Done),
        ]  # the store's fence refuses one
    assert ends(bench, first.seq) == []


async def test_of_a_batch_all_that_was_told_runs_again() -> None:
    script = Script()
    async with Bench(Task(script, batch=Batch(2, 60.0))) as bench:
        one, two = bench.store.put(claimed=1), bench.store.put(claimed=1)
        await script.begun.wait()
        again(bench, two)
        three = bench.store.put(claimed=2)
        assert await bench.outcome(three) == Done()
        await bench.worker.idle()
        assert (ends(bench, one.seq), ends(bench, two.seq)) == ([(1, Released)], [(1, Released), (2, Done)])
    assert (script.ended, script.most) == (1, 1)


async def test_none_is_in_a_batch_twice() -> None:
    script = Script()
    script.begun.set()
    async with Bench(Task(script, batch=Batch(2, 60.0))) as bench:
        first = bench.store.put(claimed=1)
        await bench.watch.until(lambda: not bench.queue.ready)
        again(bench, first)
        await bench.watch.until(lambda: not bench.queue.ready)
        assert not bench.queue.settled
        second = bench.store.put(claimed=2)
        await bench.outcome(second)
        assert (ends(bench, first.seq), ends(bench, second.seq)) == ([(2, Done)], [(2, Done)])


async def test_a_batch_that_was_told_does_not_go_on_with_its_rows() -> None:
    """It failed, so its rows run one by one; then a later claim has them all."""
    script = Script(stubborn=True)
    failed = False

    async def handler() -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise OSError
        await script()

    async with Bench(Task(handler, batch=Batch(3, 60.0))) as bench:
        rows = [bench.store.put(claimed=1) for _ in range(3)]
        await script.begun.wait()
        for row in rows:
            again(bench, row)
        await script.stopped.wait()
        script.may_end.set()
        for row in rows:
            await bench.watch.until(lambda row=row: (2, Done) in ends(bench, row.seq))
        await bench.worker.idle()
    assert (script.ended, script.most) == (2, 1)  # the first row, and then the later batch


async def test_who_waits_for_the_first_one_is_given_back_when_the_worker_stops() -> None:
    script = Script(stubborn=True)
    async with Bench(Task(script), shutdown_timeout=0.1) as bench:
        first = bench.store.put(claimed=1)
        await script.begun.wait()
        again(bench, first)
        await script.stopped.wait()
        await bench.worker.stop()
        assert (2, Released) in ends(bench, first.seq)
        script.may_end.set()
