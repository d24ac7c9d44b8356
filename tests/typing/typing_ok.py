"""Every form of the public API, as a user writes it: both checkers must accept all of it and infer these types."""
# pyright: strict

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, assert_type

from penstock import (
    App,
    BoundCall,
    Committed,
    Context,
    Dead,
    DeadLetter,
    Delivery,
    Done,
    Failed,
    Job,
    Outcome,
    PartialFailure,
    Progress,
    Reject,
    Released,
    Retry,
    RetryAfter,
    Router,
    Snooze,
    Snoozed,
    Task,
    Transaction,
    Unique,
    inject,
    testing,
)
from penstock.testing import Enqueued, Kit, Ran, Report


@dataclass
class Row:
    sku: str


class Session:
    """Stands for SQLAlchemy's."""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None: ...
    def add(self, row: object) -> None: ...


class Client: ...


@dataclass
class Resources:
    client: Client


class WebApp: ...


async def get_client() -> Client:
    return Client()


def get_limit() -> int:
    return 10


@asynccontextmanager
async def resources() -> AsyncGenerator[Resources, None]:
    yield Resources(Client())


@asynccontextmanager
async def mine(web: WebApp) -> AsyncGenerator[None, None]:
    yield


app = App()
app = App("sqlite:////var/lib/shop.db", name="shop", lifespan=resources, durability="process", payload_limit=65536, migrate=False)
mail = Router()
app.include(mail, prefix="mail")
web_lifespan = app.lifespan(mine)
bare_lifespan = app.lifespan()
working_lifespan = app.lifespan(mine, work=True)


# -- tasks: async and sync, on a router, every order of injected parameters ------------------------------


@mail.task(queue="mail", retry=Retry(attempts=8, first=1.0, factor=2.0, limit=3600, give_up=(ValueError,)), timeout=30)
async def send_welcome_email(user_id: int, address: str) -> None: ...


@app.task(queue="reports", isolation="thread", name="report", aliases=["old_report"])
def build_report(ctx: Context, month: str) -> str:
    ctx.progress(0.4, "rendering")
    assert_type(ctx.previous, Any)
    return f"{month}-{ctx.attempt}-{ctx.job_id}-{ctx.cancelled}-{ctx.headers.get('x')}"


@app.task(isolation="process", memory="512MB", timeout=timedelta(minutes=5))
async def render_report(ctx: Context[Resources], month: str) -> int:
    assert_type(ctx.state.client, Client)
    return len(month)


@app.task()
async def charge(ctx: Context[Resources], tx: Transaction, order_id: str, *, cents: int = 0) -> int:
    assert_type(ctx.state.client, Client)
    assert_type(await tx.fetch("select * from orders"), list[Mapping[str, Any]])
    assert_type(await tx.fetch_one("select * from orders where id = :id", id=order_id), Mapping[str, Any] | None)
    return await tx.execute("update account set left = left - :cents", cents=cents)


@app.task()
def ship(tx: Transaction, order_id: str) -> list[str]:
    tx.sync.execute("insert into shipment values (:id)", id=order_id)
    return [order_id]


@app.task()
async def sync_prices(shop: str, client: Client = inject(get_client), limit: int = inject(get_limit)) -> float | None:
    match shop:
        case "busy":
            raise RetryAfter(30)
        case "early":
            raise Snooze(timedelta(minutes=5))
        case "unknown":
            raise Reject("no such shop")
        case _:
            return None


@app.task()
async def cleanup() -> None: ...


@app.task()
def resize(path: str, width: int = 100) -> bytes:
    return path.encode()[:width]


@app.task()
def refund(ctx: Context, tx: Transaction, order_id: str) -> int:
    return tx.sync.execute("update orders set paid = 0 where id = :id", id=order_id)


@app.task()
async def restock_item(tx: Transaction, sku: str) -> int:
    return await tx.execute("update stock set left = left + 1 where sku = :sku", sku=sku)


@app.task()
async def notify(ctx: Context, user_id: int) -> str:
    return str(user_id)


@app.task()
async def audit(payload: object, note: str = "") -> bool:
    return True


@app.task()
async def audit_attempt(ctx: Context, payload: object) -> bool:
    return True


@app.task()
async def receive_webhook(ctx: Context, payload: dict[str, Any]) -> bool:
    return True


@app.batch_task(size=100, wait=0.05)
async def index(rows: list[Row]) -> None:
    raise PartialFailure({0: ValueError()})


@app.batch_task(size=100, queue="index", timeout=timedelta(seconds=30), retry=Retry(attempts=3))
def index_rows(ctx: Context, tx: Transaction, rows: list[Row]) -> None: ...


@mail.batch_task(size=10, name="shop_index", aliases=["old_index"])
async def index_in_tx(tx: Transaction, rows: list[Row]) -> None: ...


@app.batch_task(size=10)
async def index_with_client(ctx: Context[Resources], rows: list[int], client: Client = inject(get_client)) -> None:
    assert_type(ctx.job_ids, tuple[str, ...])


async def jobs(user_ids: list[int]) -> None:
    job = await send_welcome_email.enqueue(7, address="sam@example.com")
    assert_type(job, Job[None])
    assert_type(job.created, bool)
    await job.result(timeout=10)
    status: str = await job.status()
    assert_type(await job.cancel(), Literal["cancelled", "requested", "ended"])
    print(status)

    assert_type(await build_report.enqueue("2024-01"), Job[str])
    assert_type(await build_report.enqueue(month="2024-01"), Job[str])
    assert_type(await render_report.enqueue("2024-01"), Job[int])
    assert_type(await (await build_report.enqueue("2024-01")).result(timeout=timedelta(seconds=10)), str)
    assert_type(await charge.enqueue("o-1", cents=5), Job[int])
    assert_type(await ship.enqueue("o-1"), Job[list[str]])
    assert_type(await sync_prices.enqueue("shop"), Job[float | None])
    assert_type(await cleanup.enqueue(), Job[None])
    assert_type(await index.enqueue(Row("mug")), Job[None])
    assert_type(await index_rows.enqueue(Row("mug")), Job[None])
    assert_type(await index_in_tx.using(key="mug").enqueue(Row("mug")), Job[None])
    assert_type(await index_with_client.enqueue(7), Job[None])
    assert_type(await resize.enqueue("a.png", width=50), Job[bytes])
    assert_type(await refund.enqueue("o-1"), Job[int])
    assert_type(await restock_item.enqueue("a"), Job[int])
    assert_type(await notify.enqueue(user_id=7), Job[str])
    await audit.enqueue({"any": "thing"}, note="unchecked")
    await audit_attempt.enqueue({"any": "thing"})
    await receive_webhook.enqueue({"any": "thing"})

    later = build_report.using(
        delay=timedelta(hours=1), at=datetime.now(UTC), priority=9, key="user:7", id="r-1", tx=None, expires=3600,
        headers={"tenant": "a"}, retry=Retry(attempts=3), timeout=30,
    )  # fmt: skip
    assert_type(await later.enqueue("2024-01"), Job[str])
    assert_type(later.bind("2024-01"), BoundCall[str])

    assert_type(await app.enqueue_many(send_welcome_email.bind(i, address="a") for i in user_ids), list[Job[None]])
    await app.enqueue_many([build_report.bind("2024-01"), charge.bind("o-1", cents=1)])
    app.queue("mail", max_waiting=1_000_000)
    app.queue("mail", concurrency=50, rate="100/s", max_waiting=1_000_000)
    app.schedule(later.bind("2024-01"), name="monthly", cron="0 3 1 * *", tz="Europe/Berlin", missed="once")
    mail.schedule(build_report.bind("2024-01"), name="often", every=timedelta(minutes=5), missed="skip")
    assert_type(await app.job("r-1").result(), Any)
    unique = Unique("report:2024-01", until="start", window=timedelta(hours=1))
    chained = build_report.using(unique=unique, then=audit_attempt.using(then=cleanup.bind()).bind({"any": "thing"}))
    assert_type(await chained.enqueue("2024-01"), Job[str])
    assert_type(await app.gather([await build_report.enqueue("2024-01")], timeout=10), list[str])
    assert_type(await app.gather(await app.enqueue_many([charge.bind("o-1", cents=1)])), list[int])
    assert_type(await (await build_report.enqueue("2024-01")).progress(), Progress | None)
    async with app.transaction() as tx:
        await build_report.using(tx=tx).enqueue("2024-01")
        with sqlite3.connect("shop.db") as connection:
            await build_report.using(tx=connection).enqueue("2024-01")


def jobs_from_flask() -> None:
    job = build_report.sync.enqueue("2024-01")
    assert_type(job, Job[str])
    assert_type(job.sync.result(timeout=10), str)
    assert_type(job.sync.progress(), Progress | None)
    assert_type(app.sync.gather([job], timeout=timedelta(minutes=1)), list[str])
    assert_type(job.sync.cancel(), Literal["cancelled", "requested", "ended"])
    assert_type(app.sync.enqueue_many([cleanup.bind()]), list[Job[None]])
    with app.sync.transaction() as tx:
        tx.execute("delete from cart")
        assert_type(tx.fetch_one("select 1"), Mapping[str, Any] | None)
    with Session() as session:
        session.add(object())
        assert_type(build_report.using(tx=session).sync.enqueue("2024-01"), Job[str])


def takes_a_task(task: Task[[str], str]) -> None:
    takes_a_task(build_report)
    takes_a_task(build_report.using(priority=9))


def in_a_test_of_their_own() -> None:
    build_report(Context(None, attempt=2), "2024-01")


# -- hooks -------------------------------------------------------------------------------------------------


@send_welcome_email.on_dead
async def tell_support(letter: DeadLetter) -> None:
    assert_type(letter.error, str | None)
    assert_type(letter.arguments, Mapping[str, Any])
    assert_type(letter.died_at, datetime)
    assert_type(await letter.replay(), bool)


@charge.on_dead
def tell_finance(letter: DeadLetter) -> None: ...


@app.on_error
def report(delivery: Delivery, error: Exception) -> None: ...


@app.on_error
async def report_async(delivery: Delivery, error: Exception) -> None: ...


async def measured(delivery: Delivery, next: Callable[[Delivery], Awaitable[Outcome]]) -> Outcome:
    outcome = await next(delivery)
    match outcome:
        case Done() | Committed() | Released():
            return outcome
        case Failed(at=at) | Snoozed(until=at):
            assert_type(at, datetime)
            return outcome
        case Dead(reason):
            assert_type(reason, str)
            return outcome


app.use(measured)


# -- in tests ------------------------------------------------------------------------------------------------


async def in_a_test(session: object) -> None:
    async with testing.run(app, start=datetime(2024, 1, 1), inline=False, concurrency=1, seed=7) as kit:
        assert_type(kit, Kit)
        assert_type(await kit.drain(), Report)
        assert_type((await kit.drain(tx=session, raise_errors=False)).done, list[str])
        assert_type((await kit.advance(timedelta(days=7), timeout=5)).of(build_report), list[Ran])
        assert_type(await kit.advance("1h"), Report)
        assert_type(await kit.assert_enqueued(build_report, month="2024-01"), Enqueued)
        assert_type(await kit.enqueued(), list[Enqueued])
        assert_type(await kit.refute_enqueued(cleanup), None)
        assert_type(await kit.dead(build_report), list[DeadLetter])
        assert_type(kit.now, datetime)
        kit.crash_at("claimed", times=3)
        kit.skip("1h")


def in_a_sync_test() -> None:
    with testing.run(app, path="test.db") as kit:
        assert_type(kit.sync.drain(tx=object()), Report)
        assert_type(kit.sync.advance(60), Report)
        assert_type(kit.sync.enqueued(build_report), list[Enqueued])
