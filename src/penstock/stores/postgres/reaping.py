"""Taking back what dead workers held, from a process that is no worker: a parent that has just reaped one."""

from __future__ import annotations

import asyncio

from penstock.ports.signals import Signals
from penstock.stores.postgres.address import Address
from penstock.stores.postgres.store import PostgresStore


def reap(address: Address, signals: Signals) -> int:
    """Rescue the messages of all workers of this machine that are dead for certain. Returns how many that were. Raises StoreError."""
    return asyncio.run(_reap(PostgresStore(address, signals=signals)))


async def _reap(store: PostgresStore) -> int:
    try:
        await store.open(migrate=False)
        gone = [seen for seen in await store.leases.others(0) if seen.gone]
        return len([seen for seen in gone if await store.leases.rescue(seen.incarnation, seen.beat)])
    finally:
        await store.close()
