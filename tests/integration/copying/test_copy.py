"""Moving house: everything is there afterwards, and work goes on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from penstock import Unique, connect
from penstock.errors import ConfigurationError, VersionConflict
from penstock.stores.postgres.contents import SEQUENCES
from penstock.stores.postgres.library import in_schema
from penstock.stores.sql.tables import TABLES
from tests.integration.copying.house import Deposited, Placed, Shop, eventually, live
from tests.integration.copying.move import contents, identity, move
from tests.integration.copying.rows import ROWS, fill


async def ask(url: str, sql: str) -> Sequence[Any]:
    """By a connection of one's own."""
    server, _, schema = url.partition("?schema=")
    connection = await asyncpg.connect(server)
    try:
        return await connection.fetch(in_schema(sql, schema))  # type: ignore[no-any-return]
    finally:
        await connection.close()


async def letters(url: str) -> list[str]:
    return [row[0] for row in await ask(url, "select m.id from penstock.dead d join penstock.message m on m.seq = d.seq order by m.seq")]


async def test_work_goes_on_in_the_new_house(old: str, new: str) -> None:
    before, facts = await live(old)
    copied = await move(old, new)
    assert (copied.begun, copied.open, copied.changed) == ("new", True, False)
    shop = Shop(new, mended=True)
    store = await shop.app._link.opened()
    dead = await letters(new)
    assert facts.dead in dead and len(dead) == 2
    assert set(await store.queue.replay([*dead, facts.retried])) == {*dead, facts.retried}
    await store.settings.write("queue:mail", "paused", None, "test")
    twice = {facts.dead, facts.retried}
    expected = {*facts.waiting, *facts.keyed, facts.chained, "after:1", facts.stray, facts.leased, facts.behind, *twice}
    expected |= {f"{name} good {n}" for name in ("ship", "bill") for n in (4, 5)} | {f"bill bad {n}" for n in range(3)}
    async with shop.app.worker():
        await shop.until(lambda: expected <= set(shop.ran) and bool(ticks(shop)))
        assert await shop.app.job(facts.done).result() == 42
        await worked_off(shop)
    await shop.app.close()
    mourned = f"mourned {facts.dead}"
    assert set(shop.ran) - ticks(shop) - {mourned} == expected
    assert {what: count for what, count in (before.ran + shop.ran).items() if count != 1} == dict.fromkeys(twice, 2)
    assert (before.ran + shop.ran)[mourned] == 1
    assert min(ticks(shop)) > max(ticks(before))  # their names end with their slots
    for some in ([facts.retried, facts.behind], facts.keyed, [f"bill bad {n}" for n in range(3)]):
        assert [what for what in shop.order if what in some] == some


def ticks(shop: Shop) -> set[str]:
    return {what for what in shop.ran if what.startswith("tick@")}


async def worked_off(shop: Shop) -> None:
    """What is left is due in days."""
    store = await shop.app._link.opened()

    async def over() -> bool:
        queues = {queue.name: queue for queue in await store.inspect.queues() if queue.name != "ticks"}
        return not sum(queue.waiting + queue.running + queue.dead for queue in queues.values()) and queues["mail"].delayed == 2

    await eventually(over)


async def test_ids_names_versions_and_settings_are_those_of_the_old_house(old: str, new: str) -> None:
    _, facts = await live(old)
    await move(old, new)
    shop = Shop(new)
    store = await shop.app._link.opened()
    assert (await shop.send.using(id="welcome:7").enqueue(21)).created is False
    assert (await shop.send.using(unique=Unique("welcome:9")).enqueue(9)).id == facts.unique
    await shop.orders.using(id="order:7").publish(Placed("good", 3))
    assert [topic.events for topic in await store.inspect.topics() if topic.name == "orders"] == [9]
    with pytest.raises(VersionConflict):
        await shop.accounts.append("sam", [Deposited(4)], expected=2)
    assert await shop.accounts.append("sam", [Deposited(4)], expected=3) == 4
    assert [event.cents for event in await shop.accounts.read("sam")] == [1, 2, 3, 4]
    assert await shop.app.job(facts.cancelled).status() == "cancelled"
    assert "mail" in (await store.settings.rules()).paused
    await shop.app.close()


async def test_every_table_arrives_as_it_was(old: str, new: str, fast: Path) -> None:
    connect.administration(old).migrate()
    fill(fast / "shop.db")
    assert {table for table, _ in ROWS} == {table.name for table in TABLES} - {"stream"} | {"watch"}
    copied = await move(old, new)
    here, there = await contents(old), await contents(new)
    assert copied.open
    assert there.pop("stream") == here.pop("stream") == [(3, "k", 9)]
    assert [row[1] for row in there["message"]] == ["m-1", "m-2\\x00"]
    assert there == {table: [tuple(map(spelled_out, row)) for row in rows] for table, rows in here.items()}
    assert all(here.values())
    marks = {name: (await ask(new, f"select pg_sequence_last_value('{it}')"))[0][0] for name, it in SEQUENCES.items()}
    assert marks == {"message": 5000, "attempt": 99, "missed": 4, "topic": 3, "event": (1 << 40) - 1}


def spelled_out(value: object) -> object:
    """PostgreSQL keeps no NUL in a text."""
    return value.replace("\0", "\\x00") if isinstance(value, str) else value


async def test_a_copy_knows_every_column_that_there_is(new: str) -> None:
    """Whoever adds one meets this."""
    connect.administration(new).migrate()
    schema = new.partition("?schema=")[2]
    sql = "select table_name, column_name from information_schema.columns where table_schema = '{}' and table_name in ({})"
    tables = await ask(new, f"select tablename from pg_tables where schemaname = '{schema}'")
    names = {row[0] for row in tables} - {"meta", "delta", "watch"}
    assert names == {table.name for table in TABLES}
    found = {tuple(row) for row in await ask(new, sql.format(schema, ", ".join(f"'{name}'" for name in names)))}
    assert found - {("ready", "came"), ("later", "came")} == {(table.name, column.name) for table in TABLES for column in table.columns}


async def test_from_one_server_to_another(old: str, new: str) -> None:
    """Of a worker on another machine nobody there knows whether it is dead."""
    await live(old)
    await move(old, new)
    third = f"{new}_b"
    with pytest.raises(ConfigurationError, match=r"live workers: dead \(pid 1 on nowhere\)"):
        await move(new, third)
    copied = await move(new, third, forced=True)
    assert (copied.begun, copied.open) == ("new", True)
    assert await contents(third) == await contents(new)


async def test_it_is_a_store_of_its_own(old: str, new: str) -> None:
    connect.administration(old).migrate()
    await move(old, new)
    mine = await identity(new)
    assert mine != await identity(old)
    third = f"{new}_b"
    await move(new, third)
    await ask(third, f"update penstock.meta set value = '{mine}' where name = 'store_id'")
    with pytest.raises(ConfigurationError, match="are one store"):
        await move(new, third)
