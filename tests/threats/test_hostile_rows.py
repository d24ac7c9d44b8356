"""S2, S3, S14: what stands beside a body: names, options, headers, results and errors. All of it is data, and none of it stops a worker."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import pytest

from penstock import App, Context, DeadLetter
from penstock.errors import JobFailed, ResultUnavailable
from penstock.model.job import JobFilter
from tests.integration.cli.console import PATIENCE
from tests.integration.play import until
from tests.threats.site import ONCE, Site, as_json, letter_of, nested, view_of

STRAYS = [
    "os.system",
    "builtins.eval",
    "builtins.exec",
    "__import__",
    "antigravity",
    "antigravity.fly",
    "shop.antigravity",
    "shop:app",
    "shop.__init__",
    "shop.__class__",
    "shop.read.__call__",
    "shop.read.on_dead",
    "read",
    "SHOP.READ",
    "shop.read ",
    "shop.*",
    "shop.read,shop.secret",
    "tests.threats.site.letter_of",
    "../../shop.read",
    "file:///etc/passwd",
    "{0.__class__}",
    "%s%n",
    "x" * 10_000,
    "",
]
SUCCESSORS: dict[str, Any] = {
    "no object": 1,
    "nothing": {},
    "nested": ...,
    "no name": {"id": "next\0", "queue": "mail", "task": "shop.read", "body": {}},
    "no queue": {"id": "next-1", "queue": "a\0b", "task": "shop.read", "body": {}},
    "no key": {"id": "next-2", "queue": "mail", "task": "shop.read", "body": {}, "key": "a\0b"},
    "priority": {"id": "next-3", "queue": "mail", "task": "shop.read", "body": {}, "priority": 10**9},
    "delay": {"id": "next-4", "queue": "mail", "task": "shop.read", "body": {}, "delay": -1},
    "far away": {"id": "next-5", "queue": "mail", "task": "shop.read", "body": {}, "at": 2**70},
    "for ever": {"id": "next-6", "queue": "mail", "task": "shop.read", "body": {}, "lifetime": 2**63 - 1},
}
OPTIONS = {
    "empty": b"",
    "no json": b"\xff\x80\x04",
    "list": nested(10_000),
    "deep": b'{"then":' + nested(10_000) + b"}",
    "deep and unknown": b'{"x":' + nested(10_000) + b"}",
    "no attempts": b'{"attempts":0}',
    "many attempts": b'{"attempts":-9999999999999999999999}',
    "factor": b'{"factor":0}',
    "wait": b'{"first":-1}',
    "limit": b'{"limit":-1e300}',
    "timeout": b'{"timeout":-1}',
    "no time": b'{"timeout":0}',
    "unique": as_json({"unique": {"name": "a\0b"}}),
    "window": as_json({"unique": {"name": "shop.fail/a", "window": -(2**70)}}),
    "until": as_json({"unique": {"name": "shop.fail/a", "until": "never"}}),
    "after": as_json({"after": "a\0b"}),
} | {name: b'{"then":' + (nested(10_000) if value is ... else as_json(value)) + b"}" for name, value in SUCCESSORS.items()}


@dataclass
class Order:
    id: str


def shop_of(site: Site) -> tuple[App, list[str]]:
    """An app, and what ran."""
    app, ran = site.app(), list[str]()

    @app.task(queue="mail", retry=ONCE)
    async def read(name: str = "") -> str:
        ran.append(f"read {name}")
        return name

    @app.task(queue="mail", retry=ONCE)
    async def fail() -> None:
        ran.append("fail")
        raise ValueError("as it should")

    return app, ran


# -- names


async def test_only_registered_tasks_run(site: Site) -> None:
    """What nobody knows stays where it is, uncounted, under its own name."""
    app, ran = shop_of(site)
    strays = {site.put(name, b"{}"): name for name in STRAYS}
    good = [await app.find("read").enqueue(str(number)) for number in range(10)]
    async with app.worker():
        assert [await job.result(timeout=PATIENCE) for job in good] == [str(number) for number in range(10)]
        views = [await view_of(app, stray) for stray in strays]
    assert {view.id: view.task for view in views} == strays
    assert {(view.status, view.attempt) for view in views} == {("unroutable", 0)}
    assert sorted(ran) == sorted(f"read {number}" for number in range(10))
    assert "antigravity" not in sys.modules


async def test_a_forged_call_of_a_hook_is_no_dead_letter(site: Site) -> None:
    """Its name is known to the worker: the body says which letter, and there is none."""
    app, ran = shop_of(site)

    @app.find("read").on_dead
    async def tell(letter: DeadLetter) -> None:
        ran.append(f"told of {letter.job_id}")

    forged = [site.put("shop.read.on_dead", body) for body in (b"os.system", b'"os.system"', b"{}", b"\xff", nested(10_000))]
    async with app.worker():
        for job in forged:
            with pytest.raises(JobFailed):
                await app.job(job).result(timeout=PATIENCE)
    assert ran == []


def test_an_app_has_no_tasks_of_its_own() -> None:
    """None that runs a command, fetches an address, or is an example."""
    assert dict(App("sqlite:///never.db", name="shop").routes()) == {}


# -- events


EVENTS = {
    "os.system": b'{"id": "1"}',
    "builtins.eval": b'"__import__"',
    "Order ": b'{"id": "1"}',
    "": b'{"id": "1"}',
    "Order": nested(10_000),
    "Older": b"\x80\x04N.",
}


async def test_a_forged_event_is_a_dead_letter(site: Site) -> None:
    """Of a type that nobody declared, which another release may know, or in a body that is none of a type's."""
    app, ran = site.app(), list[str]()
    orders = app.topic("orders", Order, aliases={"Older": Order})

    @app.subscribe(orders, start="beginning", retry=ONCE)
    async def ship(order: Order) -> None:
        ran.append(order.id)

    for number, (kind, body) in enumerate(EVENTS.items()):
        await orders.using(id=f"forged-{number}").publish(Order("forged"))
        where = f"where id = {site.mark}"
        site.write(f"update {site.table('event')} set type = {site.mark}, body = {site.mark} {where}", (kind, body, f"forged-{number}"))
    await orders.publish(Order("good"))
    store = await app._link.opened()

    async def all_dead() -> bool:
        return await store.inspect.count_letters(JobFilter()) == len(EVENTS) and ran == ["good"]

    async with app.worker():
        await until(app, all_dead)
    letters = await store.inspect.letters(JobFilter(), limit=100)
    assert {(letter.type, letter.body) for letter in letters} == set(EVENTS.items())
    assert {letter.reason for letter in letters if letter.type in ("Order", "Older")} == {"undecodable"}
    assert {letter.reason for letter in letters if letter.type not in ("Order", "Older")} == {"failed 1 times"}


# -- options and headers


@pytest.mark.parametrize("task", ["read", "fail"])
async def test_options_that_nobody_wrote_stop_nobody(site: Site, task: str) -> None:
    """Each job ends as if it had none; and so do those beside it."""
    app, ran = shop_of(site)
    foreign = {name: site.put(f"shop.{task}", b"{}", options=raw) for name, raw in OPTIONS.items()}
    good = [await app.find("read").enqueue(str(number)) for number in range(10)]
    async with app.worker():
        assert [await job.result(timeout=PATIENCE) for job in good] == [str(number) for number in range(10)]
        for name, job in foreign.items():
            ended = app.job(job).result(timeout=PATIENCE)
            if task == "read":
                assert (name, await ended) == (name, "")
            else:
                with pytest.raises(JobFailed, match="ValueError: as it should"):
                    await ended
                assert (name, (await letter_of(app, job)).attempts) == (name, 1)
    assert len(ran) == 10 + len(OPTIONS)


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[]", b'{"a": 1}', b'{"a": {"__class__": "os.system"}}', nested(10_000)])
async def test_headers_that_nobody_wrote_fail_who_reads_them(site: Site, raw: bytes) -> None:
    app, _ = shop_of(site)

    @app.task(queue="mail", retry=ONCE)
    async def look(ctx: Context) -> dict[str, str]:
        return dict(ctx.headers)

    unread, read = site.put("shop.read", b"{}", headers=raw), site.put("shop.look", b"{}", headers=raw)
    async with app.worker():
        assert await app.job(unread).result(timeout=PATIENCE) == ""
        if raw:
            with pytest.raises(JobFailed, match=r"ValidationError|DecodeError"):
                await app.job(read).result(timeout=PATIENCE)
        else:
            assert await app.job(read).result(timeout=PATIENCE) == {}


# -- results and errors


@pytest.mark.parametrize("result", [b"\x80\x04N.", b"", b"\xff", nested(10_000), as_json({"py/object": "os.system"}), b"NaN"])
async def test_a_poisoned_result_is_no_result(site: Site, result: bytes) -> None:
    """Not what the task's annotation says."""
    app, _ = shop_of(site)
    async with app.worker():
        job = await app.find("read").enqueue("one")
        assert await job.result(timeout=PATIENCE) == "one"
    site.write(f"update {site.table('finished')} set result = {site.mark}", (result,))
    with pytest.raises(ResultUnavailable, match="what it returned is not what its annotation says"):
        await job.result(timeout=PATIENCE)


@pytest.mark.parametrize("kind", ["os.system", "builtins.SystemExit", "SystemExit", "subprocess.Popen", "{0.__class__}", "%s%n"])
async def test_a_poisoned_error_is_text(site: Site, kind: str) -> None:
    """Its type is a word: nothing is looked up, built or raised by it, and nothing is filled in."""
    app, _ = shop_of(site)
    job = await app.find("fail").enqueue()
    async with app.worker():
        with pytest.raises(JobFailed, match="as it should"):
            await job.result(timeout=PATIENCE)
    for table in ("dead", "attempt"):
        site.write(f"update {site.table(table)} set error = {site.mark}, message = {site.mark}", (kind, "touch canary {0} %s"))
    with pytest.raises(JobFailed) as caught:
        await job.result(timeout=PATIENCE)
    assert str(caught.value).endswith(f": {kind}: touch canary {{0}} %s")
    assert type(caught.value) is JobFailed and caught.value.__cause__ is None
    error = (await letter_of(app, job.id)).error
    assert error is not None and (error.type, error.message) == (kind, "touch canary {0} %s")
