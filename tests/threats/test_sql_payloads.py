"""S15: SQL in every text that a user, a message or an operator can choose: refused as a name, or kept and found again as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from penstock import App, Context, Reject, Router, Unique
from penstock.errors import ConfigurationError, JobFailed, NotFound
from penstock.model.job import JobFilter
from penstock.ports.store import Store
from tests.integration.cli.console import PATIENCE
from tests.threats.site import ONCE, Site, as_json, letter_of, view_of

NO_NAMES = [
    "'; drop table penstock_message; --",
    "'); delete from penstock_ready; --",
    '"; drop table penstock_message; --',
    "' or '1'='1",
    "' union select value from penstock_meta --",
    "\\'; drop schema penstock cascade; --",
    "$$; drop schema penstock cascade; $$",
    "';select pg_sleep(30)--",
    "'||(select value from penstock_meta limit 1)||'",
    "x' || pg_sleep(30) || '",
    ":id :now :rows",
    "$1 $2",
    "? ?1 @id",
    "%(id)s %s %% %",
    "{id} {0}",
    "_%_",
    "*/ /* -- ",
    "\u02bc\uff07\u2019 or 1=1",
    "\x1a\r\n\t\x08",
]
PAYLOADS = [*NO_NAMES, "penstock.message", "pg_sleep", "null", "--"]


@dataclass
class Order:
    id: str
    note: str


# -- names


NAMED: dict[str, Callable[[App, Any, str], object]] = {
    "app": lambda app, task, text: App(name=text),
    "queue": lambda app, task, text: app.task(queue=text)(other),
    "task": lambda app, task, text: app.task(name=text)(other),
    "alias": lambda app, task, text: app.task(name="x", aliases=[text])(other),
    "prefix": lambda app, task, text: app.include(Router(), prefix=text),
    "limits": lambda app, task, text: app.queue(text, concurrency=1),
    "rate": lambda app, task, text: app.queue("mail", rate=text),
    "key": lambda app, task, text: task.using(key=text),
    "id": lambda app, task, text: task.using(id=text),
    "unique": lambda app, task, text: Unique(text),
    "until": lambda app, task, text: Unique("a", until=text),  # type: ignore[arg-type]
    "topic": lambda app, task, text: app.topic(text, Order),
    "subscription": lambda app, task, text: app.subscribe(app.topic("orders", Order), name=text)(ship),
    "schedule": lambda app, task, text: app.schedule(task.bind(), name=text, every=timedelta(hours=1)),
    "cron": lambda app, task, text: app.schedule(task.bind(), name="a", cron=text),
    "zone": lambda app, task, text: app.schedule(task.bind(), name="a", cron="0 3 * * *", tz=text),
    "schema": lambda app, task, text: App(f"postgresql://127.0.0.1:1/shop?schema={text}"),
    "feed": lambda app, task, text: App(f"postgresql://127.0.0.1:1/shop?feed={text}"),
    "durability": lambda app, task, text: App(durability=text),  # type: ignore[arg-type]
}


GOOD = {"rate": "10/s", "until": "start", "cron": "0 3 * * *", "zone": "UTC", "feed": "strict", "durability": "process"}


@pytest.mark.parametrize("text", NO_NAMES)
@pytest.mark.parametrize("what", NAMED)
def test_no_name_holds_sql(what: str, text: str) -> None:
    app = App("sqlite:///never.db", name="shop")
    task = app.task()(nothing)
    with pytest.raises(ConfigurationError):
        NAMED[what](app, task, text)


@pytest.mark.parametrize("what", NAMED)
def test_a_good_one_is_taken(what: str) -> None:
    """So it was the text that was refused."""
    app = App("sqlite:///never.db", name="shop")
    NAMED[what](app, app.task()(nothing), GOOD.get(what, "fine"))


def nothing() -> None: ...


def other() -> None: ...


def ship(order: Order) -> None: ...


# -- texts


async def test_texts_are_kept_as_they_are(site: Site) -> None:
    """Arguments, results, headers, errors, reasons and events."""
    app, before = site.app(), site.tables()
    orders = app.topic("orders", Order, versioned=True)

    @app.task(queue="mail")
    async def echo(ctx: Context, text: str) -> dict[str, str]:
        ctx.progress(0.5, text)
        return {**ctx.headers, "text": text}

    @app.task(queue="mail", retry=ONCE)
    async def fail(text: str) -> None:
        raise ValueError(text)

    @app.task(queue="mail")
    async def reject(text: str) -> None:
        raise Reject(text)

    async with app.worker():
        for text in PAYLOADS:
            job = await echo.using(headers={"said": text, text: "a name"}).enqueue(text)
            assert await job.result(timeout=PATIENCE) == {"said": text, text: "a name", "text": text}
            for task in (fail, reject):
                dead = await task.enqueue(text)
                with pytest.raises(JobFailed):
                    await dead.result(timeout=PATIENCE)
                letter = await letter_of(app, dead.id)
                assert text in (letter.error.message if letter.error else "", letter.reason)
        await orders.append("one", [Order(str(n), text) for n, text in enumerate(PAYLOADS)], expected=0)
        assert [order.note for order in await orders.read("one")] == PAYLOADS
    assert site.tables() == before


# -- rows of others, and looking for them


@pytest.mark.parametrize("column", ["id", "queue", "task", "key"])
async def test_rows_with_such_names_are_found_by_them(site: Site, column: str) -> None:
    """And nothing else is: no pattern, no condition, no second statement is in them."""
    app, before = site.app(), site.tables()
    given: dict[str, Any] = {"task": "shop.read"}
    found = {site.put(**{**given, "body": as_json({"text": text}), column: text}): text for text in PAYLOADS}
    store = await app._link.opened()
    for job, text in found.items():
        where = {"queue": JobFilter(queue=text), "task": JobFilter(task=text), "key": JobFilter(key=text), "id": JobFilter(ids=(text,))}
        assert [each.id for each in (await store.inspect.jobs(where[column], limit=100)).jobs] == [job]
        assert (await view_of(app, job)).task == (text if column == "task" else "shop.read")
    assert site.tables() == before


async def test_looking_inside_takes_a_text_as_it_is(site: Site) -> None:
    app = site.app()
    texts = [text for text in PAYLOADS if as_json(text)[1:-1].decode() == text]  # JSON writes the others with escapes
    jobs = {site.put("shop.read", as_json({"text": f"<{text}>"})): text for text in texts}
    store = await app._link.opened()
    for job, text in jobs.items():
        found = (await store.inspect.jobs(JobFilter(contains=f"<{text}>"), limit=100)).jobs
        assert [each.id for each in found] == [job]
    assert len(texts) > 10


@pytest.mark.parametrize("text", PAYLOADS)
async def test_what_is_not_there_is_not_there(site: Site, text: str) -> None:
    """Each verb of the store that takes a name, on a store with one job."""
    app, before = site.app(), site.tables()
    job = site.put("shop.read", b"{}")
    store = await app._link.opened()
    assert await store.inspect.job(text) is None
    assert await store.inspect.letter(text) is None
    for where in (JobFilter(queue=text), JobFilter(task=text), JobFilter(key=text), JobFilter(contains=text), JobFilter(ids=(text,))):
        assert (await store.inspect.jobs(where, limit=10)).jobs == []
        assert list(await store.inspect.letters(where, limit=10)) == []
        assert await store.inspect.count_letters(where) == 0
    assert list(await store.inspect.newest(text, 10)) == []
    assert (await store.queue.replay([text]), await store.queue.discard([text])) == ([], [])
    await refuse(store, text)
    await store.settings.write(f"queue:{text}", "paused", "true", text)
    assert (await store.settings.rules()).paused == {text}
    assert (await view_of(app, job)).status in ("waiting", "unroutable")
    assert site.tables() == before


async def refuse(store: Store, text: str) -> None:
    """Verbs that say that there is no such thing."""
    verbs = [
        store.queue.cancel(text),
        store.inspect.position_at(text, 0),
        store.log.drop(text),
        store.schedules.run_now(text, text, text),
        store.schedules.pause(text, text, text),
        store.schedules.resume(text, text),
    ]
    for verb in verbs:
        with pytest.raises(NotFound):
            await verb
