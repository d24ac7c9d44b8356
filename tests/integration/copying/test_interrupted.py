"""A copy that ends in the middle, wherever that is; a source that does not stand still; and what is refused."""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import msgspec
import pytest

from penstock import App, connect
from penstock.errors import ConfigurationError, NotFound, StoreUnavailable
from penstock.ports.copying import Done, Origin, Sums
from penstock.ports.leases import Enrolment
from penstock.stores.postgres.migrate import NEEDED, missing
from penstock.stores.sql import copying
from penstock.stores.sql.tables import TABLES
from tests.integration.cli.console import Console
from tests.integration.copying.house import DEAD, Placed, Shop, live
from tests.integration.copying.move import contents, move
from tests.integration.copying.rows import write

MANY = 12_000


class Cut:
    """Cancels the copy that tells it of something, once."""

    def __init__(self) -> None:
        self.task = asyncio.current_task()

    def tell(self, label: str, rows: int, all: int) -> None:
        assert self.task is not None
        self.task.cancel()


async def cut(old: str, new: str) -> bool:
    """A copy that is cancelled once it has written one batch. Whether it came to its end before."""
    task = asyncio.create_task(_cut(old, new))
    await asyncio.wait((task,))
    return not task.cancelled() and task.result()


async def _cut(old: str, new: str) -> bool:
    return (await move(old, new, Cut().tell)).open


async def test_it_goes_on_after_each_batch(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With batches of two rows."""
    monkeypatch.setattr(copying, "_ROWS", 2)
    await live(old)
    rows = await contents(old)
    runs = 1
    while not await cut(old, new):
        with pytest.raises(StoreUnavailable, match="half copy"):
            await contents(new)
        runs += 1
    assert runs > sum((len(each) + 1) // 2 for each in rows.values())
    assert await contents(new) == rows


def test_sigkill_again_and_again(old: str, new: str, fast: Path) -> None:
    """The real command; it is killed where it says that it has copied something, while the next thing is under way."""
    console = Console(fast)
    asyncio.run(fill(old))
    for label in ("topics", "events", "jobs", "waiting"):
        with console.started("store", "copy", old, new) as running:
            running.until(rf"^{label} ")
            running.send(signal.SIGKILL)
            assert running.code() == -signal.SIGKILL
        worker = console.run("worker", "shop:app", "--store", new)
        assert (worker.code, "half copy" in worker.err) == (69, True), worker
        assert "half copy" in console.run("enqueue", "shop:app", "send", "n=1", "--store", new).err
    answer = console.ok("store", "copy", old, new)
    assert "going on where the last copy was" in answer.err and "which may be used now" in answer.out
    assert asyncio.run(contents(new)) == asyncio.run(contents(old))
    again = console.ok("store", "copy", old, new, "--json")  # killed just before it could say so
    assert (again.data["begun"], again.data["ok"], again.data["problems"]) == ("finished", True, [])


async def fill(old: str) -> None:
    shop = Shop(old)
    (Path(old.removeprefix("sqlite:///")).parent / "shop.py").write_text(
        'from penstock import App\n\napp = App(name="shop")\n\n\n@app.task()\nasync def send(n: int) -> None: ...\n'
    )
    await shop.app.enqueue_many([shop.send.bind(n) for n in range(MANY)])
    for part in range(10):
        await shop.orders.publish_many([Placed(f"o-{part}", n) for n in range(MANY // 20)])
    await shop.app.close()


async def test_of_two_at_once_the_second_ends(old: str, new: str) -> None:
    """It stands where the first stood before its last batch."""
    shop = Shop(old)
    await shop.send.enqueue(1)
    assert not await cut(old, new)
    source, target = connect.copy_source(old), connect.copy_target(new)
    try:
        origin = Origin(await source.open(), source.url, "")
        await target.open()
        begun, done = await target.begin(origin, {})
        rows = [("a", "b", "c", "d", 1)]
        await target.keep(TABLES[0], rows, done["setting"], Done(["a", "b"], 1))
        with pytest.raises(StoreUnavailable, match="another copy"):
            await target.keep(TABLES[0], rows, done["setting"], Done(["a", "b"], 1))
        assert (begun, TABLES[0].name, await target.census()) == ("anew", "setting", {("setting", ""): Sums(1, [1])})
    finally:
        await source.close()
        await target.close()
    await shop.app.close()


async def test_who_comes_to_its_end_late_opens_nothing(old: str, new: str) -> None:
    """It has looked at the source once more; then somebody writes there, and a second copy begins anew."""
    connect.administration(old).migrate()
    first, second = connect.copy_target(new), connect.copy_target(new)
    before, after = Origin("a" * 32, old, "before"), Origin("a" * 32, old, "after")
    try:
        await first.open()
        done = dict((await first.begin(before, {}))[1])
        for table in TABLES:
            was, done[table.name] = done[table.name], Done(over=True)
            await first.keep(table, (), was, done[table.name])
        await second.open()
        assert (await second.begin(after, {}))[0] == "anew"
        with pytest.raises(StoreUnavailable, match="another copy"):
            await first.finish(before, done)
        with pytest.raises(StoreUnavailable, match="another copy"):
            await second.finish(after, done)
        assert connect.administration(new).schema().half
        assert (await second.begin(after, {}))[1]["setting"] == Done()
    finally:
        await first.close()
        await second.close()


async def test_a_source_that_has_changed_is_copied_anew(old: str, new: str) -> None:
    shop = Shop(old)
    await shop.send.enqueue(1)
    assert not await cut(old, new)
    await shop.send.enqueue(2)
    copied = await move(old, new)
    assert (copied.begun, copied.open) == ("anew", True)
    assert await contents(new) == await contents(old)
    await shop.app.close()


async def test_a_source_that_changes_meanwhile_is_not_opened(old: str, new: str, fast: Path) -> None:
    shop = Shop(old)
    await shop.send.enqueue(1)

    def meddle(label: str, rows: int, all: int) -> None:
        if label == "jobs":
            write(fast / "shop.db", "update penstock_counter set failed = failed + 1")

    copied = await move(old, new, meddle)
    assert (copied.open, copied.changed, all(count.same for count in copied.counts)) == (False, True, True)
    with pytest.raises(StoreUnavailable, match="half copy"):
        await App(new).job("x").status()
    assert (await move(old, new)).begun == "anew"
    await shop.app.close()


async def test_a_target_that_was_written_to_is_not_opened(old: str, new: str) -> None:
    """By who had it open before; on a thread, so that it has written before the copy goes on."""
    shop, early = Shop(old), Shop(new)
    await shop.send.enqueue(1)
    connect.administration(new).migrate()
    begun: list[str] = []
    with ThreadPoolExecutor(1) as thread:
        with pytest.raises(NotFound):
            thread.submit(lambda: early.app.job("x").sync.status()).result()

        def meddle(label: str, rows: int, all: int) -> None:
            if not begun:
                begun.append(thread.submit(lambda: early.send.sync.enqueue(7)).result().id)

        copied = await move(old, new, meddle)
        assert not copied.open
        assert [(count.of, count.source, count.target) for count in copied.counts if count.kind == "jobs"] == [("mail", 1, 2)]
        await shop.app.close()
        thread.submit(early.app.sync.close).result()


async def test_who_had_a_half_copy_open_before_cannot_work_there(old: str, new: str) -> None:
    shop, early = Shop(old), Shop(new)
    await shop.send.enqueue(1)
    connect.administration(new).migrate()
    leases = (await early.app._link.opened()).leases
    assert not await cut(old, new)
    with pytest.raises(StoreUnavailable, match="half copy"):
        await leases.enrol(Enrolment(7, "shop", "early", 1, "here", ("mail",), ()))
    assert (await move(old, new)).open
    assert (await contents(new))["worker"] == []
    await leases.enrol(Enrolment(7, "shop", "early", 1, "here", ("mail",), ()))
    assert [row[0] for row in (await contents(new))["worker"]] == [7]
    await shop.app.close()
    await early.app.close()


async def test_live_workers_are_named_and_refused(old: str, new: str) -> None:
    shop = Shop(old)
    async with shop.app.worker():
        with pytest.raises(ConfigurationError, match=r"live workers: .*pid \d+"):
            await move(old, new)
        assert connect.administration(new).schema().found == 0
        forced = await move(old, new, forced=True)
    assert forced.open and not forced.changed
    await shop.app.close()


async def test_a_dead_worker_is_no_live_one(old: str, new: str) -> None:
    await live(old)
    copied = await move(old, new)
    assert copied.open
    assert [row[0] for row in (await contents(new))["worker"]] == [DEAD]


async def test_a_target_that_holds_something_else_is_refused(old: str, new: str, fast: Path) -> None:
    shop, other = Shop(old), Shop(new)
    await shop.send.enqueue(1)
    connect.administration(new).migrate()
    await other.send.enqueue(1)
    with pytest.raises(ConfigurationError, match=r"neither empty nor a half copy of .*shop.db: there are 1 rows in message"):
        await move(old, new)
    await other.app.close()
    await shop.app.close()


async def test_what_is_refused_is_not_migrated(old: str, new: str) -> None:
    """Made by an older release, and in use."""
    server, _, schema = new.partition("?schema=")
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(missing(0, schema, 2))
        await connection.execute(f"insert into {schema}.hook (task) values ('shop.send')")
        connect.administration(old).migrate()
        with pytest.raises(ConfigurationError, match="there are 1 rows in hook"):
            await move(old, new)
        assert connect.administration(new).schema().found == 2
        await connection.execute(f"delete from {schema}.hook")
        copied = await move(old, new)
        assert copied.open and connect.administration(new).schema().found == NEEDED
    finally:
        await connection.close()


async def test_a_half_copy_made_by_an_older_release_stays_as_it_is(old: str, new: str) -> None:
    second = f"{new}_b"
    connect.administration(old).migrate()
    server, _, schema = second.partition("?schema=")
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(missing(0, schema, 2))
        origin = msgspec.json.encode(Origin("b" * 32, "sqlite:///other.db", "")).decode()
        await connection.execute(f"insert into {schema}.meta (name, value) values ('copy', $1)", origin)
        with pytest.raises(ConfigurationError, match=r"is a copy of sqlite:///other.db"):
            await move(old, second)
        assert connect.administration(second).schema().found == 2
    finally:
        await connection.close()


async def test_a_copy_of_another_store_is_refused(old: str, new: str, fast: Path) -> None:
    second = f"sqlite:///{fast / 'second.db'}"
    for url in (old, second):
        connect.administration(url).migrate()
    await move(old, new)
    with pytest.raises(ConfigurationError, match=r"is a copy of .*shop.db, not of .*second.db"):
        await move(second, new)


async def test_a_finished_copy_that_is_in_use_is_refused(old: str, new: str) -> None:
    shop = Shop(old)
    await shop.send.enqueue(1)
    await move(old, new)
    moved = Shop(new)
    await moved.send.enqueue(2)
    with pytest.raises(ConfigurationError, match="finished copy"):
        await move(old, new)
    await moved.app.close()
    await shop.app.close()


def test_a_rehearsal_is_called_one(old: str, new: str, fast: Path) -> None:
    console = Console(fast)
    connect.administration(old).migrate()
    answer = console.ok("store", "copy", "--force", old, new)
    assert "for a rehearsal; drop it before the move" in answer.out and "may be used now" not in answer.out
    assert console.ok("store", "copy", "--force", "--json", old, new).data["forced"] is True
    assert console.ok("store", "copy", "--json", old, new).data["forced"] is False


async def test_migrating_a_half_copy_says_what_it_is(old: str, new: str, fast: Path) -> None:
    shop = Shop(old)
    await shop.send.enqueue(1)
    assert not await cut(old, new)
    answer = Console(fast).run("store", "migrate", "--store", new)
    assert (answer.code, answer.out, "half copy of another store" in answer.err) == (69, "", True), answer
    await shop.app.close()


def test_what_cannot_be_is_said(old: str, new: str, fast: Path) -> None:
    console = Console(fast)
    missing = console.run("store", "copy", old, new)
    assert (missing.code, "there is no such store" in missing.err) == (69, True), missing
    connect.administration(old).migrate()
    file = console.run("store", "copy", old, "sqlite:///other.db")
    assert (file.code, "to PostgreSQL only" in file.err, (fast / "other.db").exists()) == (78, True, False), file
    reverse = console.run("store", "copy", new, "sqlite:///other.db")
    assert (reverse.code, "to PostgreSQL only" in reverse.err) == (78, True), reverse
