"""Mistakes a user makes: every line marked `type: ignore` must be an error in both checkers, and no other line may be.

Both are asked to report an ignore that hides nothing (mypy --strict does; pyright by the comment below), so the marks prove themselves.
"""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from datetime import timedelta

from typing_ok import (
    Client,
    Row,
    app,
    build_report,
    charge,
    cleanup,
    get_client,
    get_limit,
    mail,
    resources,
    send_welcome_email,
    ship,
    sync_prices,
)

from penstock import App, Context, DeadLetter, Delivery, Job, Retry, Unique, inject, testing


async def wrong_arguments() -> None:
    await send_welcome_email.enqueue(7)  # type: ignore[call-arg]
    await send_welcome_email.enqueue("7", address="a")  # type: ignore[arg-type]
    await send_welcome_email.enqueue(7, address="a", delay=5)  # type: ignore[call-arg]
    await build_report.enqueue(202401)  # type: ignore[arg-type]
    await build_report.enqueue("2024-01", ctx=None)  # type: ignore[call-arg]
    await charge.enqueue("o-1", 5)  # type: ignore[call-arg]
    await ship.enqueue(1)  # type: ignore[arg-type]
    await sync_prices.enqueue()  # type: ignore[call-arg]
    await cleanup.enqueue(1)  # type: ignore[call-arg]
    build_report.bind(202401)  # type: ignore[arg-type]
    build_report.sync.enqueue(202401)  # type: ignore[arg-type]
    build_report.using(tx=None).sync.enqueue(202401)  # type: ignore[arg-type]


async def wrong_options() -> None:
    build_report.using(delay="1h")  # type: ignore[arg-type]
    build_report.using(dealy=1)  # type: ignore[call-arg]
    build_report.using(headers={"tenant": 1})  # type: ignore[dict-item]
    build_report.using(retry=3)  # type: ignore[arg-type]
    app.task(isolation="fiber")  # type: ignore[arg-type]
    app.task(isolation="process", memory=512)  # type: ignore[arg-type]
    app.task(retry=3)  # type: ignore[arg-type]
    app.task(unique=True)  # type: ignore[call-arg]
    app.queue("mail", rate=100)  # type: ignore[arg-type]
    app.queue("mail", concurrency="50")  # type: ignore[arg-type]
    app.schedule(cleanup, name="x", cron="0 3 * * *")  # type: ignore[call-overload]
    app.schedule(cleanup.bind(), cron="0 3 * * *")  # type: ignore[call-overload]
    app.schedule(cleanup.bind(), name="x")  # type: ignore[call-overload]
    app.schedule(cleanup.bind(), name="x", cron="0 3 * * *", every=timedelta(hours=1))  # type: ignore[call-overload]
    app.schedule(cleanup.bind(), name="x", every=3600)  # type: ignore[call-overload]
    mail.schedule(cleanup.bind(), name="x", cron="0 3 * * *", missed="twice")  # type: ignore[call-overload]
    Retry(give_up=ValueError)  # type: ignore[arg-type]
    App(lifespan=get_client)  # type: ignore[arg-type]
    App(lifespan=resources())  # type: ignore[arg-type]
    App(durability="fast")  # type: ignore[arg-type]
    App(broker="kafka://localhost")  # type: ignore[call-arg]
    mail.transaction()  # type: ignore[attr-defined]


async def wrong_results() -> None:
    number: Job[int] = await build_report.enqueue("2024-01")  # type: ignore[assignment]
    count: int = await (await build_report.enqueue("2024-01")).result()  # type: ignore[assignment]
    await build_report.sync.enqueue("2024-01")  # type: ignore[misc]
    print(number, count)


async def wrong_calls() -> None:
    app.sync.enqueue_many([cleanup])  # type: ignore[arg-type]
    await app.gather([cleanup.bind()])  # type: ignore[arg-type]
    build_report.using(unique="report")  # type: ignore[arg-type]
    build_report.using(unique=Unique("report", until="started"))  # type: ignore[arg-type]
    build_report.using(then=cleanup)  # type: ignore[arg-type]
    await app.enqueue_many([cleanup])  # type: ignore[arg-type]
    async with app.transaction() as tx:
        await tx.execute("delete from cart", {"id": 1})  # type: ignore[call-arg]
    with app.transaction() as tx:  # type: ignore[attr-defined]
        ...


@app.task()
async def stateful(ctx: Context, a: int) -> None:
    print(ctx.state.client)  # type: ignore[attr-defined]


@app.task()
async def injected(a: int, client: Client = inject(get_limit)) -> None: ...  # type: ignore[assignment]


@app.batch_task(size=10)  # type: ignore[arg-type]
async def not_a_list(row: Row) -> None: ...


@app.batch_task()  # type: ignore[call-arg]
async def no_size(rows: list[Row]) -> None: ...


@app.batch_task(size=10)
async def indexed(rows: list[Row]) -> None: ...


async def wrong_rows() -> None:
    await indexed.enqueue([Row("mug")])  # type: ignore[arg-type]
    await indexed.enqueue()  # type: ignore[call-arg]


# -- hooks -------------------------------------------------------------------------------------------------


@charge.on_dead  # type: ignore[type-var]
async def wants_the_order(order_id: str) -> None: ...


@app.on_error  # type: ignore[type-var]
def no_error(letter: DeadLetter) -> None: ...


async def no_next(delivery: Delivery) -> None: ...


app.use(no_next)  # type: ignore[arg-type]


async def wrong_tests() -> None:
    with testing.run(mail) as kit:  # type: ignore[arg-type]
        kit.drain_all()  # type: ignore[attr-defined]
        await kit.advance(None)  # type: ignore[arg-type]
        await kit.assert_enqueued("build_report")  # type: ignore[arg-type]
        print((await kit.drain()).done.ids)  # type: ignore[attr-defined]
