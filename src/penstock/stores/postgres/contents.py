"""The tables of a schema as a copy counts and reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.ports.copying import Census, Table
from penstock.stores.postgres.library import in_schema
from penstock.stores.sql.tables import TABLES, census, sums

SEQUENCES: Mapping[str, str] = {
    "message": "penstock.message_seq_seq",
    "attempt": "penstock.attempt_n_seq",
    "missed": "penstock.missed_n_seq",
    "topic": "penstock.topic_number_seq",
    "event": "penstock.event_pos",
}
"""What numbers the rows of a table."""


async def count(connection: Any, schema: str) -> Census:
    """In a transaction: at one moment if it is one of repeatable reads."""
    return census([(table, await connection.fetch(in_schema(_count(table), schema))) for table in TABLES])


def read(table: Table, after: Sequence[int | str] | None) -> str:
    columns, key = ", ".join(column.name for column in table.columns), ", ".join(table.key)
    marks = ", ".join(f"${n}" for n in range(1, len(table.key) + 1))
    behind = "" if after is None else f" where ({key}) > ({marks})"
    return f"select {columns} from {_from(table)}{behind} order by {key}"


def _count(table: Table) -> str:
    numbers = [f"({text})::bigint" for text in sums([(column.name, column.kind) for column in table.columns])]
    if table.by is None:
        return f"select {', '.join((repr(''), 'count(*)', *numbers))} from {_from(table)}"
    return f"select {', '.join((table.by, 'count(*)', *numbers))} from {_from(table)} group by {table.by}"


def _from(table: Table) -> str:
    """Counters as they are, with what is not folded yet."""
    return "penstock.count" if table.name == "counter" else f"penstock.{table.name}"
