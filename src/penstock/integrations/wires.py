"""Drivers' connections, below SQLAlchemy: what they know of their transaction without asking the server."""

from __future__ import annotations

from typing import Any

_IDLE = 0
"""psycopg's `TransactionStatus.IDLE`."""


def in_transaction(wire: Any) -> bool:
    """Of asyncpg or psycopg. One that has failed is one, too."""
    if hasattr(wire, "is_in_transaction"):
        return bool(wire.is_in_transaction())
    return bool(wire.info.transaction_status != _IDLE)


def commits_each_statement(fairy: Any) -> bool:
    """Of a connection of SQLAlchemy's pool, on asyncpg or psycopg: no transaction is open, and the next statement begins none."""
    return bool(fairy.dbapi_connection.autocommit) and not in_transaction(fairy.driver_connection)
