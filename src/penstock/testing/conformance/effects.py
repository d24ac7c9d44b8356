"""A table of the user's beside the queue, that transactions write to."""

from __future__ import annotations

from penstock.testing.conformance.ground import Ground
from penstock.testing.conformance.worker import Worker


async def table(store: Ground) -> Worker:
    """Makes it; a worker."""
    tx = store.store.transaction()
    await tx.execute("create table effects (what text)", {})
    await tx.commit()
    return await store.worker()


async def effects(store: Ground) -> list[str]:
    tx = store.store.transaction()
    rows = await tx.fetch("select what from effects order by what", {})
    await tx.rollback()
    return [str(row["what"]) for row in rows]
