"""What is made of a URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from penstock.ports.signals import Signals
from penstock.ports.store import Durability
from penstock.ports.transaction import Carrier
from penstock.stores.postgres.address import Address
from penstock.stores.postgres.admin import PostgresAdministration
from penstock.stores.postgres.reaping import reap
from penstock.stores.postgres.store import PostgresStore, Transactions

Ways: TypeAlias = tuple[Any, Callable[[], Carrier] | None]


def make_store(at: Address, *, durability: Durability, signals: Signals, limits: Mapping[str, int], ways: Ways) -> PostgresStore:
    """Not opened. `ways`: the module psycopg, or None; what makes transactions on a user's engine, or None."""
    psycopg, carriers = ways
    return PostgresStore(
        at, durability=durability, signals=signals, limits=limits, transactions=Transactions(psycopg=psycopg, carriers=carriers)
    )


def administration(at: Address) -> PostgresAdministration:
    return PostgresAdministration(at)


def rescue(at: Address, signals: Signals) -> int:
    return reap(at, signals)
