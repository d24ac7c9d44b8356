"""A handler inside a transaction of the store: its writes, its acknowledgement and its messages commit together.

Only `Done` commits. Any other outcome rolls back first, and is settled afterwards like any delivery's. While the handler runs,
`ambient` names the store and the transaction; so everything that it enqueues joins, also from functions and tasks it starts.
"""

from __future__ import annotations

from penstock.engine.stages.commit import COMMITTED, Committing
from penstock.engine.stages.kit import Kit
from penstock.model.delivery import Delivery
from penstock.model.outcome import Done, Outcome
from penstock.ports.handler import Handler
from penstock.ports.transaction import OpenTransaction, ambient


class Transacting:
    """The stage. One per worker."""

    def __init__(self, kit: Kit) -> None:
        self._store = kit.store
        self._committing = Committing(kit)
        self._ties = kit.ties

    def around(self, handler: Handler) -> Handler:
        async def transact(delivery: Delivery) -> Outcome:
            await self._committing.prepare(delivery)
            tx = self._store.transaction()
            committed = False
            try:
                outcome = await self._inside(tx, handler, delivery)
                committed = outcome is COMMITTED
                return outcome
            finally:
                if not committed:
                    await self._roll_back(tx)

        return transact

    async def _inside(self, tx: OpenTransaction, handler: Handler, delivery: Delivery) -> Outcome:
        token = ambient.set((self._store, tx))
        try:
            outcome = await handler(delivery)
        finally:
            ambient.reset(token)
        return await self._committing.commit(tx, delivery, outcome) if isinstance(outcome, Done) else outcome

    async def _roll_back(self, tx: OpenTransaction) -> None:
        """Also after a commit that failed: it is rolled back by then, and a second time does no harm."""
        try:
            await tx.rollback()
        except Exception as error:
            self._ties.trouble("tx.rollback", error)
