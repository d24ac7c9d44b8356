"""A handler inside a transaction of the store: its writes, its acknowledgement and its messages commit together.

Only `Done` commits. Any other outcome rolls back first, and is settled afterwards like any delivery's; of a batch that failed in
part, the rows that would be done are run again, because what was written for them is gone. While the handler runs,
`ambient` names the store and the transaction; so everything that it enqueues joins, also from functions and tasks it starts.
"""

from __future__ import annotations

import asyncio

from penstock.engine.stages.commit import COMMITTED, Committing, to_its_end
from penstock.engine.stages.kit import Kit
from penstock.model.delivery import Delivery
from penstock.model.outcome import Done, Ending, Split
from penstock.ports.handler import Handler
from penstock.ports.transaction import OpenTransaction, ambient


class Transacting:
    """The stage. One per worker."""

    def __init__(self, kit: Kit, *, alone: bool) -> None:
        """`alone`: no stage stands around it, which could stop waiting."""
        self._store = kit.store
        self._committing = Committing(kit, alone=alone)
        self._judge = kit.judge
        self._ties = kit.ties

    def around(self, handler: Handler, *, blocking: bool) -> Handler:
        """`blocking`: the handler runs on a thread."""

        async def transact(delivery: Delivery) -> Ending:
            tx: OpenTransaction | None = None
            try:
                await self._committing.prepare(delivery)
                tx = self._store.transaction(shared=True, blocking=blocking)
                outcome = await self._inside(tx, handler, delivery)
            except KeyboardInterrupt:
                if tx is not None:
                    await self._roll_back(tx)
                raise
            except BaseException as error:
                outcome = self._judge(delivery, error)
            if tx is not None and outcome is not COMMITTED:
                await self._roll_back(tx)
                if tx.refused:
                    outcome = self._committing.again(delivery)
            return undone(outcome) if isinstance(outcome, Split) else outcome

        return transact

    async def _inside(self, tx: OpenTransaction, handler: Handler, delivery: Delivery) -> Ending:
        token = ambient.set((self._store, tx))
        try:
            outcome = await handler(delivery)
        finally:
            ambient.reset(token)
        return await self._committing.commit(tx, delivery, outcome) if isinstance(outcome, Done) else outcome

    async def _roll_back(self, tx: OpenTransaction) -> None:
        """Also after a commit that failed: it is rolled back by then, and a second time does no harm.

        To its end, also while cancelled: what the delivery came to is known, and has to reach the settler.
        """
        try:
            await to_its_end(tx.rollback())
        except asyncio.CancelledError:
            pass  # the loop ends, and the rollback with it
        except Exception as error:
            self._ties.trouble("tx.rollback", error)


def undone(split: Split) -> Split:
    """After the rollback."""
    return Split(tuple(None if isinstance(end, Done) else end for end in split.ends), split.alone)
