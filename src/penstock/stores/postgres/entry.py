"""What is made of a URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.ports.signals import Signals
from penstock.ports.store import Durability
from penstock.stores.postgres.address import Address
from penstock.stores.postgres.admin import PostgresAdministration
from penstock.stores.postgres.reaping import reap
from penstock.stores.postgres.store import PostgresStore


def make_store(at: Address, *, durability: Durability, signals: Signals, limits: Mapping[str, int], psycopg: Any) -> PostgresStore:
    """Not opened. `psycopg`: the module, or None."""
    return PostgresStore(at, durability=durability, signals=signals, limits=limits, psycopg=psycopg)


def administration(at: Address) -> PostgresAdministration:
    return PostgresAdministration(at)


def rescue(at: Address, signals: Signals) -> int:
    return reap(at, signals)
