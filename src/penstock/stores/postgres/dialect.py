"""PostgreSQL's own programs."""

from __future__ import annotations

from collections.abc import Callable

from penstock.stores.postgres.address import Address
from penstock.stores.sql.dialect import Dialect


def make_dialect(address: Address) -> tuple[Dialect, Callable[[], None]]:
    """And what is to be called when work may have come."""
    raise NotImplementedError
