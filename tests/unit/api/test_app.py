"""The whole way, on a SQLite file: enqueued here, run by a worker here."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from penstock import App, Context, Dead, DeadLetter, Delivery, Done, Outcome, Reject, Retry, Router, Transaction, inject
from penstock.errors import (
    ConfigurationError,
    JobCancelled,
    JobFailed,
    NotFound,
    PayloadError,
    ResultUnavailable,
    TransactionClosed,
)

Next: TypeAlias = Callable[[Delivery], Awaitable[Outcome]]
ONCE = Retry(attempts=1)


@dataclass
class Resources:
    client: str


def with_resources(path: Path, yielded: object) -> App:
    @asynccontextmanager
    async def resources() -> AsyncGenerator[object, None]:
        yield yielded

    return App(f"sqlite:///{path}/shop.db", name="shop", lifespan=resources)


async def rows(app: App, sql: str) -> list[dict[str, Any]]:
    async with app.transaction() as tx:
        return [dict(row) for row in await tx.fetch(sql)]


async def make_table(app: App) -> None:
    async with app.transaction() as tx:
        await tx.execute("create table shipped (id text)")


# -- jobs


async def test_a_job_runs_and_its_result_comes_back_typed(app: App) -> None:
    @app.task()
    async def total(prices: list[Decimal], *, at: datetime) -> tuple[Decimal, datetime]:
        return sum(prices, Decimal(0)), at

    job = await total.enqueue([Decimal("0.10"), Decimal("0.20")], at=datetime(2024, 1, 1, tzinfo=UTC))
    assert job.created
    assert await job.status() == "unroutable"  # no worker that knows it lives yet
    async with app.worker():
        assert await job.result(timeout=10) == (Decimal("0.30"), datetime(2024, 1, 1, tzinfo=UTC))
    assert await job.status() == "done"
    assert await job.cancel() == "ended"
    assert await app.job(job.id).result() == ["0.30", "2024-01-01T00:00:00Z"]


async def test_handlers_on_the_loop_and_on_threads(app: App) -> None:
    @app.task()
    async def on_loop() -> str:
        return threading.current_thread().name

    @app.task()
    def on_thread(ctx: Context) -> tuple[str, str, int]:
        return threading.current_thread().name, ctx.job_id, ctx.attempt

    async with app.worker():
        assert await (await on_loop.enqueue()).result(timeout=10) == threading.current_thread().name
        job = await on_thread.enqueue()
        name, job_id, attempt = await job.result(timeout=10)
    assert name != threading.current_thread().name
    assert (job_id, attempt) == (job.id, 1)


async def test_a_given_id_is_enqueued_once(app: App) -> None:
    @app.task()
    async def send(a: int) -> int:
        return a

    first = await send.using(id="w-1").enqueue(1)
    second = await send.using(id="w-1").enqueue(2)
    assert (first.id, first.created, second.id, second.created) == ("w-1", True, "w-1", False)
    async with app.worker():
        assert await second.result(timeout=10) == 1


async def test_what_a_result_can_be_instead(app: App) -> None:
    @app.task(retry=ONCE)
    async def fail() -> None:
        raise KeyError("no such order")

    @app.task()
    async def unkept() -> object:
        return object()

    @app.task()
    async def untrue() -> int:
        return "a"  # type: ignore[return-value]

    cancelled, expired = await fail.enqueue(), await fail.using(expires=1e-6).enqueue()
    assert await cancelled.cancel() == "cancelled"
    async with app.worker():
        with pytest.raises(JobCancelled, match="was cancelled"):
            await cancelled.result(timeout=10)
        with pytest.raises(JobCancelled, match="was not started in time"):
            await expired.result(timeout=10)
        with pytest.raises(JobFailed, match=r"\(shop\.fail\) is a dead letter: KeyError: 'no such order'"):
            await (await fail.enqueue()).result(timeout=10)
        with pytest.raises(ResultUnavailable, match=r"its result was not kept: .*cannot travel as JSON"):
            await (await unkept.enqueue()).result(timeout=10)
        with pytest.raises(ResultUnavailable, match="not what its annotation says"):
            await (await untrue.enqueue()).result(timeout=10)
        with pytest.raises(TimeoutError):
            await (await fail.using(delay=60).enqueue()).result(timeout=0.01)
        with pytest.raises(NotFound, match="no job nope"):
            await app.job("nope").result(timeout=10)
        with pytest.raises(NotFound):
            await app.job("nope").status()


async def test_nothing_is_stored_of_what_is_refused(app: App) -> None:
    @app.task()
    async def send(user_id: int) -> None: ...

    for wrong in (TypeError, PayloadError):
        with pytest.raises(wrong):
            await (send.enqueue() if wrong is TypeError else send.enqueue("7"))  # type: ignore[call-arg, arg-type]
    store = await app._link.opened()
    assert [queue.waiting for queue in await store.inspect.queues()] in ([], [0])


# -- transactions


async def test_a_transaction_commits_rows_and_jobs_or_neither(app: App) -> None:
    @app.task()
    async def ship(order: str) -> str:
        return order

    await make_table(app)
    lost: list[Transaction] = []
    with pytest.raises(KeyError) as rolled_back:
        async with app.transaction() as tx:
            lost.append(tx)
            await tx.execute("insert into shipped values (:id)", id="a")
            job = await ship.using(tx=tx).enqueue("a")
            raise KeyError(job.id)
    with pytest.raises(TransactionClosed):
        await lost[0].execute("select 1")
    with pytest.raises(NotFound):
        await app.job(rolled_back.value.args[0]).result()
    async with app.transaction() as tx:
        await tx.execute("insert into shipped values (:id)", id="b")
        assert await tx.fetch_one("select id from shipped") == {"id": "b"}
        assert await tx.fetch_one("select id from shipped where id = 'a'") is None
        kept = await ship.using(tx=tx).enqueue("b")
    async with app.worker():
        assert await kept.result(timeout=10) == "b"


async def test_a_handlers_tx_takes_everything_with_it(app: App) -> None:
    told: list[str] = []

    @app.task()
    async def tell(order: str) -> None:
        told.append(order)

    @app.task(retry=ONCE)
    async def ship(ctx: Context, tx: Transaction, order: str) -> None:
        await tx.execute("insert into shipped values (:id)", id=order)
        await tell.enqueue(order)
        async with app.transaction() as inner:
            await inner.execute("insert into shipped values (:id)", id=order + "!")
        if order == "bad":
            raise KeyError(order)

    @app.task(retry=ONCE)
    def ship_on_a_thread(tx: Transaction, order: str) -> None:
        tx.sync.execute("insert into shipped values (:id)", id=order)
        tell.sync.enqueue(order)
        with app.sync.transaction() as inner:
            inner.execute("insert into shipped values (:id)", id=order + "!")

    await make_table(app)
    async with app.worker() as worker:
        jobs = await app.enqueue_many([ship.bind("good"), ship.bind("bad"), ship_on_a_thread.bind("thread")])
        await asyncio.gather(*(job.result(timeout=10) for job in jobs), return_exceptions=True)
        await worker.idle()
    assert sorted(told) == ["good", "thread"]
    assert {row["id"] for row in await rows(app, "select id from shipped")} == {"good", "good!", "thread", "thread!"}


async def test_a_sqlite3_connection_is_joined(app: App, tmp_path: Path) -> None:
    @app.task()
    async def ship(order: str) -> str:
        return order

    await make_table(app)
    connection = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    connection.execute("pragma wal_autocheckpoint = 0")
    connection.execute("begin immediate")
    connection.execute("insert into shipped values ('a')")
    job = await ship.using(tx=connection).enqueue("a")
    with pytest.raises(NotFound):
        await job.status()
    connection.execute("commit")
    connection.close()
    assert await job.status() == "unroutable"


def test_everything_without_a_loop(tmp_path: Path) -> None:
    app = App(f"sqlite:///{tmp_path}/shop.db", name="shop")

    @app.task()
    async def ship(order: str) -> str:
        return order

    with app.sync.transaction() as tx:
        tx.execute("create table shipped (id text)")
        tx.execute("insert into shipped values (:id)", id="a")
        assert tx.fetch("select id from shipped") == [{"id": "a"}]
        assert tx.fetch_one("select id from shipped") == {"id": "a"}
        joined = ship.using(tx=tx).sync.enqueue("a")
    with pytest.raises(KeyError), app.sync.transaction() as tx:
        tx.execute("delete from shipped")
        raise KeyError
    with app.sync.transaction() as tx:
        assert len(tx.fetch("select id from shipped")) == 1
    jobs = [joined, ship.sync.enqueue("b"), *app.sync.enqueue_many([ship.bind("c")])]

    async def work() -> None:
        async with app.worker():
            assert [await job.result(timeout=10) for job in jobs] == ["a", "b", "c"]
        await app.close()

    asyncio.run(work())
    assert jobs[0].sync.result(timeout=10) == "a"
    assert (jobs[0].sync.status(), jobs[0].sync.cancel()) == ("done", "ended")
    with pytest.raises(TimeoutError):
        ship.using(delay=60).sync.enqueue("d").sync.result(timeout=0.01)
    app.sync.close()


# -- hooks, middleware, injection, state


async def test_a_dead_letter_is_told_and_can_be_replayed(app: App) -> None:
    letters: list[DeadLetter] = []
    told = asyncio.Event()
    mended = False
    mail = Router()

    @mail.task(queue="mail", retry=ONCE)
    async def send(address: str, copies: int = 1) -> str:
        if not mended:
            raise Reject("no such mailbox")
        return address

    @send.on_dead
    async def tell_support(letter: DeadLetter) -> None:
        letters.append(letter)
        told.set()

    app.include(mail, prefix="mail")
    async with app.worker():
        job = await send.using(headers={"tenant": "a"}, key="k").enqueue("sam")
        async with asyncio.timeout(10):
            await told.wait()
        (letter,) = letters
        assert (letter.job_id, letter.task, letter.queue, letter.key) == (job.id, "shop.mail.send", "mail", "k")
        assert (letter.reason, letter.error, letter.attempts) == ("no such mailbox", "Reject: no such mailbox", 1)
        assert "raise Reject" in letter.traceback
        assert letter.arguments == {"address": "sam"}
        assert (letter.headers, letter.body) == ({"tenant": "a"}, b'{"address":"sam"}')
        assert letter.died_at.tzinfo is UTC
        mended = True
        assert await letter.replay()
        assert not await letter.replay()
        assert await job.result(timeout=10) == "sam"


async def test_a_def_hook_runs_on_a_thread(app: App) -> None:
    told: list[str] = []
    done = threading.Event()

    @app.task(retry=ONCE)
    async def fail() -> None:
        raise KeyError

    @fail.on_dead
    def tell(letter: DeadLetter) -> None:
        told.append(threading.current_thread().name)
        done.set()

    async with app.worker():
        await fail.enqueue()
        assert await asyncio.to_thread(done.wait, 10)
    assert told != [threading.current_thread().name]


async def test_stages_and_error_hooks(app: App) -> None:
    seen: list[str] = []

    async def outer(delivery: Delivery, next: Next) -> Outcome:
        outcome = await next(delivery)
        seen.append(f"outer {type(outcome).__name__} {delivery.task}")
        return outcome

    async def inner(delivery: Delivery, next: Next) -> Outcome:
        seen.append(f"inner {delivery.attempt} {dict(delivery.headers)}")
        return await next(delivery) if "stop" not in delivery.headers else Dead("stopped")

    app.use(outer)
    app.use(inner)

    @app.on_error
    def report(delivery: Delivery, error: Exception) -> None:
        seen.append(f"error {error!r}")

    @app.on_error
    async def report_async(delivery: Delivery, error: Exception) -> None:
        seen.append("async")

    @app.task(retry=ONCE)
    async def fail() -> None:
        raise KeyError("x")

    @app.task()
    async def work() -> None: ...

    async with app.worker() as worker:
        await (await work.using(headers={"a": "b"}).enqueue()).result(timeout=10)
        for headers in ({}, {"stop": "1"}):
            with pytest.raises(JobFailed):
                await (await fail.using(headers=headers).enqueue()).result(timeout=10)
        await worker.idle()
    assert seen[:2] == ["inner 1 {'a': 'b'}", f"outer {Done.__name__} shop.work"]
    assert [one for one in seen if one.startswith("error")] == ["error KeyError('x')"]
    assert seen.count("outer Dead shop.fail") == 2


async def test_what_is_injected_is_made_for_each_run(app: App) -> None:
    made: list[int] = []

    async def get_client() -> str:
        made.append(1)
        return f"client {len(made)}"

    @app.task()
    async def sync_prices(ctx: Context, shop: str, client: str = inject(get_client), limit: int = inject(lambda: 7)) -> str:
        return f"{shop} {client} {limit} {ctx.attempt}"

    async with app.worker():
        assert await (await sync_prices.enqueue("a")).result(timeout=10) == "a client 1 7 1"
        assert await (await sync_prices.enqueue("b")).result(timeout=10) == "b client 2 7 1"


async def test_state_is_what_the_lifespan_yields(tmp_path: Path) -> None:
    app = with_resources(tmp_path, Resources("smtp"))

    @app.task()
    async def client(ctx: Context[Resources]) -> str:
        return ctx.state.client

    async with app.worker():
        assert await (await client.enqueue()).result(timeout=10) == "smtp"
    await app.close()


@pytest.mark.parametrize(("yielded", "described"), [(5, "a int"), (None, "nothing")])
async def test_a_state_of_another_type_stops_the_worker(tmp_path: Path, yielded: object, described: str) -> None:
    app = with_resources(tmp_path, yielded)

    @app.task()
    async def client(ctx: Context[Resources], a: int) -> None: ...

    with pytest.raises(
        ConfigurationError, match=rf"'shop\.client' asks for Context\[Resources\], but the app's lifespan yields {described}"
    ):
        async with app.worker():
            raise AssertionError
    await app.close()


async def test_a_context_of_anything_takes_every_state(tmp_path: Path) -> None:
    app = with_resources(tmp_path, 5)

    @app.task()
    async def state(ctx: Context[Any]) -> int:
        return ctx.state + 1

    async with app.worker():
        assert await (await state.enqueue()).result(timeout=10) == 6
    await app.close()


async def test_a_lifespan_that_is_none_says_so(tmp_path: Path) -> None:
    async def resources() -> AsyncGenerator[None, None]:
        yield

    app = App(f"sqlite:///{tmp_path}/shop.db", lifespan=resources)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="decorate it with @asynccontextmanager"):
        async with app.worker():
            raise AssertionError
    await app.close()


async def test_the_web_apps_lifespan_opens_and_works(app: App) -> None:
    @app.task()
    async def double(a: int) -> int:
        return 2 * a

    @asynccontextmanager
    async def mine(web: str) -> AsyncGenerator[dict[str, str], None]:
        yield {"web": web}

    async with app.lifespan(mine, work=True)("site") as state:
        assert state == {"web": "site"}
        assert await (await double.enqueue(2)).result(timeout=10) == 4
    async with app.lifespan()("site"):
        assert app._link.store_here() is not None
    assert app._link.store_here() is None


# -- old and new releases side by side


async def test_a_release_that_does_not_know_an_argument_leaves_it_to_one_that_does(tmp_path: Path) -> None:
    old, new = (App(f"sqlite:///{tmp_path}/shop.db", name="shop") for _ in range(2))
    met = asyncio.Event()

    @old.on_error
    def report(delivery: Delivery, error: Exception) -> None:
        met.set()

    @old.task(name="send", retry=Retry(first=0.1, factor=1.0, attempts=1000))
    async def send_old(address: str) -> str:
        return f"old {address}"

    @new.task(name="send", retry=Retry(first=0.1, factor=1.0, attempts=1000))
    async def send_new(address: str, template: str = "plain") -> str:
        return f"new {address} {template}"

    async with old.worker():
        assert await (await send_new.enqueue("a")).result(timeout=10) == "old a"
        job = await send_new.enqueue("a", template="fancy")
        async with asyncio.timeout(10):
            await met.wait()
    async with new.worker():
        assert await job.result(timeout=10) == "new a fancy"
    await old.close()
    await new.close()


async def test_an_alias_runs_what_was_enqueued_under_the_old_name(tmp_path: Path) -> None:
    before, after = (App(f"sqlite:///{tmp_path}/shop.db", name="shop") for _ in range(2))

    @before.task()
    async def send() -> str: ...  # type: ignore[empty-body]

    @after.task(aliases=["send"])
    async def send_mail() -> str:
        return "sent"

    job = await send.enqueue()
    async with after.worker():
        assert await job.result(timeout=10) == "sent"
    await before.close()
    await after.close()


async def test_two_apps_on_one_store_do_not_meet(tmp_path: Path) -> None:
    shop, bank = (App(f"sqlite:///{tmp_path}/both.db", name=name) for name in ("shop", "bank"))
    ran: list[str] = []

    @shop.task(name="work")
    async def work_of_the_shop() -> None:
        ran.append("shop")

    @bank.task(name="work")
    async def work_of_the_bank() -> None:
        ran.append("bank")

    job = await work_of_the_bank.enqueue()
    await work_of_the_shop.enqueue()
    async with shop.worker() as worker:
        await worker.idle()
    assert (ran, await job.status()) == (["shop"], "unroutable")
    async with bank.worker():
        await job.result(timeout=10)
    assert ran == ["shop", "bank"]
    await shop.close()
    await bank.close()
