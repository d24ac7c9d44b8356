"""S15: SQL in every text that a user, a message or an operator can choose: refused as a name, or kept and found again as it is."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

import penstock
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
    "batch task": lambda app, task, text: app.batch_task(size=9, name=text)(many),
    "batch alias": lambda app, task, text: app.batch_task(size=9, name="x", aliases=[text])(many),
    "batch queue": lambda app, task, text: app.batch_task(size=9, queue=text)(many),
    "memory": lambda app, task, text: app.task(isolation="process", memory=text)(other),
    "router's task": lambda app, task, text: Router().task(name=text)(other),
    "router's topic": lambda app, task, text: Router().topic(text, Order),
    "router's prefix": lambda app, task, text: Router().include(Router(), prefix=text),
    "key of an event": lambda app, task, text: app.topic("orders", Order).using(key=text),
    "id of an event": lambda app, task, text: app.topic("orders", Order).using(id=text),
}


GOOD = {"memory": "64 MiB", "rate": "10/s", "until": "start", "cron": "0 3 * * *", "zone": "UTC", "feed": "strict", "durability": "process"}


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


KEPT = "test_texts_are_kept_as_they_are"
FOUND = "test_what_is_not_there_is_not_there, by what the store is asked then"
NO_KEY = "test_no_key_of_a_stream_holds_sql"
URLS = "schema and feed of a URL; the rest goes to the driver"
OWN = "the user's own SQL, by whom it is meant to be run"
INSIDE = "made by a worker, not by users"
SAME = "the same function as App's"
EVERY_TEXT = {
    "App(store)": URLS,
    "App(name)": "app",
    "App.batch_task(name)": "batch task",
    "App.batch_task(aliases)": "batch alias",
    "App.batch_task(queue)": "batch queue",
    "App.find(name)": FOUND,
    "App.include(prefix)": "prefix",
    "App.job(id)": FOUND,
    "App.program(url)": URLS,
    "App.qualified(name)": INSIDE,
    "App.queue(name)": "limits",
    "App.queue(rate)": "rate",
    "App.schedule(name)": "schedule",
    "App.schedule(cron)": "cron",
    "App.schedule(tz)": "zone",
    "App.subscribe(name)": "subscription",
    "App.task(name)": "task",
    "App.task(aliases)": "alias",
    "App.task(queue)": "queue",
    "App.task(memory)": "memory",
    "App.topic(name)": "topic",
    "Context(job_id)": INSIDE,
    "Context(job_ids)": INSIDE,
    "Context(headers)": INSIDE,
    "Context.progress(note)": KEPT,
    "Job(id)": FOUND,
    "Reject(reason)": KEPT,
    "Router.batch_task(name)": SAME,
    "Router.batch_task(aliases)": SAME,
    "Router.batch_task(queue)": SAME,
    "Router.include(prefix)": "router's prefix",
    "Router.qualified(name)": INSIDE,
    "Router.schedule(name)": SAME,
    "Router.schedule(cron)": SAME,
    "Router.schedule(tz)": SAME,
    "Router.subscribe(name)": SAME,
    "Router.task(name)": "router's task",
    "Router.task(aliases)": SAME,
    "Router.task(queue)": SAME,
    "Router.task(memory)": SAME,
    "Router.topic(name)": "router's topic",
    "SyncTopic.append(key)": NO_KEY,
    "SyncTopic.read(key)": NO_KEY,
    "SyncTransaction.execute(sql)": OWN,
    "SyncTransaction.fetch(sql)": OWN,
    "SyncTransaction.fetch_one(sql)": OWN,
    "Task.bind_json(arguments)": "arguments, as those of enqueue: test_texts_are_kept_as_they_are",
    "Task.using(key)": "key",
    "Task.using(id)": "id",
    "Task.using(headers)": KEPT,
    "Topic.append(key)": NO_KEY,
    "Topic.read(key)": NO_KEY,
    "Topic.records(key)": NO_KEY,
    "Topic.using(key)": "key of an event",
    "Topic.using(id)": "id of an event",
    "Topic.using(headers)": KEPT,
    "Transaction.execute(sql)": OWN,
    "Transaction.fetch(sql)": OWN,
    "Transaction.fetch_one(sql)": OWN,
    "Unique(name)": "unique",
}
"""Each text that the public API takes, and what tries it with SQL."""


def test_no_text_of_the_api_is_left_out() -> None:
    assert texts() == EVERY_TEXT.keys()
    for by in set(EVERY_TEXT.values()) - {*NAMED}:
        assert by in (OWN, INSIDE, SAME, URLS) or any(word.rstrip(",") in globals() for word in by.split()), by
    shared = [text.partition(".")[2].partition("(")[0] for text, by in EVERY_TEXT.items() if by == SAME]
    assert [verb for verb in shared if getattr(Router, verb).__qualname__ != getattr(App, verb).__qualname__] == []


def texts() -> set[str]:
    """Parameters of methods and constructors, written in Python, that may be a text, or several. What users have as plain structures
    (outcomes, options of a worker) is made of these, or read by nobody's SQL."""
    classes = {name: each for name in penstock.__all__ if inspect.isclass(each := getattr(penstock, name))}
    found: set[str] = set()
    for name, each in classes.items():
        for verb, function in inspect.getmembers(each, inspect.isfunction):
            if not verb.startswith("_") or verb == "__init__":
                asked = inspect.signature(function).parameters.values()
                own = [one.name for one in asked if "str" in str(one.annotation) and "Callable" not in str(one.annotation)]
                found |= {f"{name}.{verb}({own_name})".replace(".__init__(", "(") for own_name in own}
    return found


@pytest.mark.parametrize("text", NO_NAMES)
async def test_no_key_of_a_stream_holds_sql(site: Site, text: str) -> None:
    """To append to it is refused; there is nothing to be read of it."""
    orders, before = site.app().topic("orders", Order, versioned=True), site.tables()
    await orders.append("fine", [Order("1", "")], expected=0)
    with pytest.raises(ConfigurationError):
        await orders.append(text, [Order("1", "")], expected=0)
    with pytest.raises(ConfigurationError):
        orders.sync.append(text, [Order("1", "")], expected=0)
    assert (await orders.read(text)).version == (await asyncio.to_thread(orders.sync.read, text)).version == 0
    assert list(await orders.records(text)) == []
    assert site.tables() == before


def nothing() -> None: ...


def other() -> None: ...


def many(ids: list[int]) -> None: ...


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
