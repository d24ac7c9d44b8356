"""The life of a batch: one delivery with many rows, each a message with an end of its own. Read `delivery.py` first.

`Gather` makes it of what was claimed, and the runner starts one task for it. No row costs a task.

Who settles?    The settler, row by row, fenced; a batch with `tx` settles all of its rows in its own transaction, or none: if one of
                them is another's by now, everything is rolled back and what is still ours is released.
What if some rows fail?  `PartialFailure` names them: each of these is retried or dies by its own attempts, the others are done. With
                `tx` nothing of that call is kept, so the others run again at once, together, in a transaction without them.
What if the handler raises?  Nobody knows which row it was. Nothing is counted, and the rows run again at once, one by one: who
                fails alone has failed. RetryAfter, Snooze, Reject and a timeout are meant for all rows, and count for each.
What cannot be decoded?  Those rows are dead letters before the call; the others go on without them.
What does a cancellation do?  A row that waits is left out. One of a batch that runs ends with it: done, if the batch is; else
                cancelled. When all its rows are cancelled, the handler is.
What does stopping do?  As for one job: what runs is let end, then cancelled and released, uncounted, each row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from penstock.engine.delivery import RELEASED, unknown
from penstock.engine.gather import together
from penstock.engine.running import Running
from penstock.engine.stages.kit import Kit
from penstock.model.delivery import Delivery
from penstock.model.outcome import Committed, Ending, Split
from penstock.model.retry import PartialFailure
from penstock.ports.handler import Handler


class BatchCourier:
    """Carries batches. `free` is called when one has ended and its slot is free."""

    def __init__(self, chains: Mapping[str, Handler], kit: Kit) -> None:
        self.free: Callable[[], None] = lambda: None
        self._chains = chains
        self._clock = kit.store.clock
        self._table = kit.table
        self._settler = kit.settler
        self._hooks = kit.hooks
        self._ties = kit.ties

    async def carry(self, running: Running) -> None:
        """The whole life of a batch, in a task of its own. `running.run`: what is to be called yet, the batch or parts of it."""
        try:
            while running.run:
                batch = await self._admit(running)
                if batch is None or not self._table.begin(running, batch):
                    break
                run = self._chains.get(batch.task, unknown)
                try:
                    outcome = await run(batch)
                except BaseException:  # the process ends, by KeyboardInterrupt
                    self._table.end(running, batch, RELEASED)
                    raise
                if not self._table.end(running, batch, outcome):  # abandoned: all of it was released when the worker gave it up
                    running.run = ()
                    return
                # A crash up to here: what the handler did outside of its `tx` happened, and happens again with all rows.
                running.run = [*self._settle(batch, outcome), *running.run[1:]]
                if running.reason == "lost":
                    break
                await self._report(batch, outcome, running.take_error())
                if outcome == RELEASED and running.reason != "cancel":  # the worker stops, or lost its lease
                    break
        finally:
            for left in running.run:
                self._settler.add_all(left.rows, RELEASED)
            self.free()

    async def _admit(self, running: Running) -> Delivery | None:
        """The next call, without rows that expired or were cancelled meanwhile (the store ends those when they are released), and
        without those whose claim a crash of the store undid."""
        while running.run:
            batch = running.run[0]
            undone = await self._undone(batch)
            fit = self._table.fit(batch.rows, self._clock.now)
            if undone:
                fit = [row for row in fit if row.seq not in undone]
            if len(fit) == len(batch.rows):
                return batch
            kept = undone.union(row.seq for row in fit)
            self._settler.add_all([row for row in batch.rows if row.seq not in kept], RELEASED)
            running.run = [*([together(fit)] if fit else ()), *running.run[1:]]
        return None

    async def _undone(self, batch: Delivery) -> set[int]:
        """Rows that run here by a later claim; nothing of the others runs here when this returns."""
        undone: set[int] = set()
        while twins := [row for row in batch.rows if row.seq not in undone and self._table.get(row.seq) is not None]:
            for row in twins:
                if not await self._table.outlive(row):
                    undone.add(row.seq)
        return undone

    def _settle(self, batch: Delivery, outcome: Ending) -> Sequence[Delivery]:
        """Hand over what has ended; returns what is to be called again."""
        match outcome:
            case Committed():
                return ()
            case Split():
                return self._divide(batch, outcome)
            case _:
                self._settler.add_all(batch.rows, outcome)
                return ()

    def _divide(self, batch: Delivery, split: Split) -> Sequence[Delivery]:
        left: list[Delivery] = []
        for row, end in zip(batch.rows, split.ends, strict=True):
            if end is None:
                left.append(row)
            else:
                self._settler.add(row, end)
        if split.alone:
            return [together([row]) for row in left]
        return [together(left)] if left else ()

    async def _report(self, batch: Delivery, outcome: Ending, error: BaseException | None) -> None:
        if error is not None and isinstance(outcome, Split) and outcome.alone:
            self._ties.trouble(f"{batch.task}: a batch of {len(batch.rows)} failed, its rows run one by one", error)
        elif isinstance(error, PartialFailure):
            for index, each in error.errors.items():
                await self._hooks.report(batch.rows[index], each)
