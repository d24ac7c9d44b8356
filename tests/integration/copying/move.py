"""A move from one store to another, and all that is in one."""

from __future__ import annotations

from penstock import connect
from penstock.stores.sql.copying import Copied, Told, copy
from penstock.stores.sql.tables import TABLES


def quiet(label: str, rows: int, all: int) -> None: ...


async def move(old: str, new: str, told: Told = quiet, *, forced: bool = False) -> Copied:
    return await copy(connect.copy_source(old), connect.copy_target(new), told, forced=forced)


async def contents(url: str) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables."""
    source = connect.copy_source(url)
    try:
        await source.open()
        await source.look()
        return {table.name: [row async for row in source.rows(table, None)] for table in TABLES}
    finally:
        await source.close()


async def identity(url: str) -> str:
    source = connect.copy_source(url)
    try:
        return await source.open()
    finally:
        await source.close()
