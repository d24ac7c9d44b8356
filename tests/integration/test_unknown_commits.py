"""A commit of which nobody can tell whether it happened: it is tried again, uncounted, and nothing is done twice."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import App, Context, Retry, Transaction
from penstock.errors import PublishUnknown
from penstock.model.events import Event, Settled, Trouble
from tests.integration.cli.console import PATIENCE
from tests.integration.play import Troubles, rows

ONCE = Retry(attempts=1)


class Disk:
    """Fails from a point on, until it is mended: this process may not write to any file (EFBIG, which SQLite calls an I/O error)."""

    def __init__(self, point: str) -> None:
        self._point = point
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fail(self, point: str) -> None:
        if point == self._point:
            self._point = ""
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._limits[1]))

    def mend(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)

    def mend_after_trouble(self, event: Event) -> None:
        if isinstance(event, Trouble) and event.where == "tx":
            self.mend()


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk("tx.before_commit")
    yield disk
    disk.mend()


class LostReply:
    """The first commit happens, and whoever asked for it is told that nobody knows."""

    def __init__(self) -> None:
        self.lost = False

    def __call__(self, point: str) -> None:
        if point == "tx.after_commit" and not self.lost:
            self.lost = True
            raise PublishUnknown("the reply was lost")


@pytest.fixture
async def ledger(shop: App) -> App:
    async with shop.transaction() as tx:
        await tx.execute("create table ledger (n int, attempt int)")
    return shop


def entries(folder: Path) -> list[tuple[int, int]]:
    return rows(folder / "shop.db", "select n, attempt from ledger order by rowid")


async def test_a_commit_that_the_device_refused_is_unknown(ledger: App, fast: Path, disk: Disk) -> None:
    ledger.signals._faults = disk.fail
    with pytest.raises(PublishUnknown, match="commit a transaction: the device failed meanwhile; look whether it is there"):
        async with ledger.transaction() as tx:
            await tx.execute("insert into ledger values (1, 1)")
    disk.mend()
    assert entries(fast) == []
    async with ledger.transaction() as tx:
        await tx.execute("insert into ledger values (2, 1)")
    assert entries(fast) == [(2, 1)]


async def test_a_handler_whose_commit_is_unknown_runs_again_uncounted(ledger: App, fast: Path, disk: Disk) -> None:
    @ledger.task(retry=ONCE)
    async def write(ctx: Context, tx: Transaction) -> int:
        await tx.execute("insert into ledger values (1, :attempt)", attempt=ctx.attempt)
        return ctx.attempt

    troubles = Troubles(ledger)
    ledger.signals.listen(disk.mend_after_trouble)
    ledger.signals._faults = disk.fail
    job = await write.enqueue()
    async with ledger.worker():
        assert await job.result(timeout=PATIENCE) == 1
    assert [type(error) for where, error in troubles.met if where == "tx"] == [PublishUnknown]
    assert entries(fast) == [(1, 1)]


async def test_what_was_committed_after_all_is_not_done_twice(ledger: App, fast: Path) -> None:
    """Its second settle finds nothing, and what waits behind it in its key goes on."""
    ran: list[int] = []
    settled: list[Settled] = []

    @ledger.task(retry=ONCE)
    async def write(ctx: Context, tx: Transaction, n: int) -> int:
        ran.append(n)
        await tx.execute("insert into ledger values (:n, :attempt)", n=n, attempt=ctx.attempt)
        return n

    def note(event: Event) -> None:
        if isinstance(event, Settled):
            settled.append(event)

    ledger.signals.listen(note)
    ledger.signals._faults = LostReply()
    jobs = await ledger.enqueue_many(write.using(key="k").bind(n) for n in (1, 2))
    async with ledger.worker() as worker:
        assert [await job.result(timeout=PATIENCE) for job in jobs] == [1, 2]
        await worker.idle()
    assert settled[0] == Settled(count=2, lost=1)  # the first one, and the rest of its run
    assert ran == [1, 2]
    assert entries(fast) == [(1, 1), (2, 1)]
    assert rows(fast / "shop.db", "select what from penstock_attempt") == []
