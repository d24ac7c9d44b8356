"""The end of a transaction: what was done and its acknowledgement, or nothing of it.

- From the commit's begin the handler can no longer be stopped: cancellation, deadline and shutdown wait for it.
- The fenced settle is the last statement. `LeaseLost`: the message is another's now, and nothing was kept.
- The commit fails for the store's reasons: no fault of the handler; again soon, uncounted. If it had happened all the same
  (its reply was lost), the settle of that outcome finds nothing to settle.
- The commit fails for the data's reasons (a deferred constraint): the handler's failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

from penstock.engine.stages.kit import Kit
from penstock.engine.stages.verdict import RELEASED
from penstock.errors import LeaseLost, PublishUnknown, StoreError
from penstock.model.delivery import Delivery, Settlement
from penstock.model.outcome import Committed, Done, Ending
from penstock.ports.transaction import OpenTransaction

COMMITTED = Committed()
_AGAIN = 1.0


class Committing:
    def __init__(self, kit: Kit, *, alone: bool) -> None:
        self._alone = alone
        self._settler = kit.settler
        self._table = kit.table
        self._judge = kit.judge
        self._ties = kit.ties

    async def commit(self, tx: OpenTransaction, delivery: Delivery, outcome: Done) -> Ending:
        try:
            self._hold(delivery)
            self._ties.signals.reach("tx.before_commit")
            settle = self._settler.owner, [Settlement(each, outcome) for each in delivery.rows or (delivery,)]
            await (tx.commit(settle, alone=True) if self._alone else to_its_end(tx.commit(settle, alone=True)))
            self._ties.signals.reach("tx.after_commit")
        except LeaseLost:
            return RELEASED
        except (StoreError, PublishUnknown) as error:
            self._ties.trouble("tx", error)
            return self._judge.again(_AGAIN)
        except BaseException as error:
            return self._judge(delivery, error)
        return COMMITTED

    async def prepare(self, delivery: Delivery) -> None:
        """What was done before it in its run is written first: no crash may undo that and keep this.

        Before the transaction begins: on SQLite an open one keeps the settler from writing.
        """
        running = self._table.get(delivery.seq)
        if running is not None and running.run[0] is not delivery:
            await self._settler.flush()

    def again(self, delivery: Delivery) -> Ending:
        """The store could not begin the transaction: whatever the handler made of that is not its failure."""
        running = self._table.get(delivery.seq)
        if running is not None:
            if running.reason is not None:
                return RELEASED
            if (error := running.take_error()) is not None:
                self._ties.trouble("tx", error)
        return self._judge.again(_AGAIN)

    def _hold(self, delivery: Delivery) -> None:
        running = self._table.get(delivery.seq)
        if running is not None:
            running.committing = True


async def to_its_end(work: Awaitable[None]) -> None:
    """Also while the task that waits for it is cancelled, by a stage that has no more time: what it comes to counts."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    task.result()
