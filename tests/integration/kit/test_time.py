"""A test owns the time: what is due later runs when the test says so, in order, and takes no time."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from penstock import App, Context, Reject, Retry, RetryAfter, Snooze, Transaction, testing
from penstock.errors import ConfigurationError, NotFound
from penstock.testing import HandlerRaised, Kit

MONDAY = datetime(2024, 1, 1, 9, tzinfo=UTC)


@pytest.fixture
def app() -> App:
    return App("sqlite:////nowhere/shop.db", name="shop")


@pytest.fixture
async def kit(app: App) -> AsyncIterator[Kit]:
    async with testing.run(app, start=MONDAY) as kit:
        yield kit


async def test_follow_ups_run_until_nothing_is_left(app: App, kit: Kit) -> None:
    seen: list[int] = []

    @app.task()
    async def count(n: int) -> None:
        seen.append(n)
        if n:
            await count.enqueue(n - 1)

    jobs = [await count.enqueue(3), await count.using(delay=1).enqueue(9)]
    report = await kit.drain()
    assert seen == [3, 2, 1, 0]
    assert report.done[0] == jobs[0].id
    assert len(report.done) == len(report.of(count)) == 4
    assert [await job.status() for job in jobs] == ["done", "delayed"]


async def test_everything_on_the_way_runs_at_its_time(app: App, kit: Kit) -> None:
    seen: list[tuple[str, datetime]] = []

    @app.task(retry=Retry(attempts=3, first=60, limit=60))
    async def flaky(ctx: Context) -> None:
        seen.append((f"flaky {ctx.attempt}", kit.now))
        if ctx.attempt < 2:
            raise ConnectionError("refused")
        await note.using(delay=30).enqueue("follow-up")

    @app.task()
    async def note(text: str) -> None:
        seen.append((text, kit.now))

    await note.using(at=MONDAY + timedelta(hours=1)).enqueue("an hour later")
    await note.using(delay=timedelta(hours=2)).enqueue("too late")
    await flaky.enqueue()
    report = await kit.advance("1h", raise_errors=False)
    assert [text for text, _ in seen] == ["flaky 1", "flaky 2", "follow-up", "an hour later"]
    (_, first), (_, second), (_, third), (_, last) = seen
    assert first == MONDAY and first < second <= first + timedelta(seconds=60)
    assert third == second + timedelta(seconds=30)
    assert last == kit.now == MONDAY + timedelta(hours=1)
    assert [run.at for run in report.runs] == [at for _, at in seen]
    await kit.assert_enqueued(note, text="too late")


async def test_what_a_rate_keeps_back_starts_when_it_opens(app: App, kit: Kit) -> None:
    app.queue("slow", rate="1/min")

    @app.task(queue="slow")
    async def call(n: int) -> None:
        if n == 1:
            await note.using(delay=90.5).enqueue()

    @app.task()
    async def note() -> None: ...

    for n in range(4):
        await call.enqueue(n)
    minute = timedelta(minutes=1)
    assert [run.at for run in (await kit.drain()).runs] == [MONDAY]
    report = await kit.advance("10m")
    assert [(run.task, run.at) for run in report.runs] == [
        ("shop.call", MONDAY + minute),
        ("shop.call", MONDAY + 2 * minute),
        ("shop.note", MONDAY + timedelta(seconds=150.5)),
        ("shop.call", MONDAY + 3 * minute),
    ]
    assert kit.now == MONDAY + 10 * minute


async def test_a_fast_rate_does_not_stop_at_each_token(app: App, kit: Kit) -> None:
    app.queue("fast", rate="1000/s")

    @app.task(queue="fast")
    async def call(n: int) -> None: ...

    await app.enqueue_many(call.bind(n) for n in range(200))
    began = time.process_time()
    report = await kit.advance("1s")
    assert time.process_time() - began < 1
    starts = sorted({run.at for run in report.runs})
    assert starts == [MONDAY + timedelta(milliseconds=10 * n) for n in range(11)]


async def test_a_rate_of_a_paused_queue_is_waited_for_by_nobody(app: App, kit: Kit) -> None:
    app.queue("slow", rate="1/min")

    @app.task(queue="slow")
    async def call(n: int) -> None: ...

    await app.enqueue_many(call.bind(n) for n in range(2))
    await kit.drain()
    store = await app.attachment().link.opened()
    await store.settings.write("queue:slow", "paused", "true", "operator")
    assert not (await kit.advance("1d")).runs
    await store.settings.write("queue:slow", "paused", None, "operator")
    assert [run.at for run in (await kit.drain()).runs] == [MONDAY + timedelta(days=1)]


async def test_a_week_takes_less_than_a_second(app: App, kit: Kit) -> None:
    sent: list[str] = []

    @app.task(retry=Retry(attempts=5, first=60))
    async def send(ctx: Context, day: int) -> None:
        if ctx.attempt < 3:
            raise ConnectionError("421 try again later")
        sent.append(f"{day} {kit.now:%a}")

    @app.task()
    async def daily(day: int) -> None:
        await send.using(delay=timedelta(hours=8)).enqueue(day)
        await daily.using(delay=timedelta(days=1)).enqueue(day + 1)

    await daily.enqueue(1)
    began = time.process_time()
    report = await kit.advance("1w", raise_errors=False)
    assert time.process_time() - began < 1
    assert sent == ["1 Mon", "2 Tue", "3 Wed", "4 Thu", "5 Fri", "6 Sat", "7 Sun"]
    assert len(report.failed) == 14


async def test_waits_before_retries_are_the_same_in_each_run(app: App) -> None:
    @app.task(retry=Retry(attempts=4, first=3600))
    async def fail() -> None:
        raise ConnectionError

    async def waits(seed: int) -> list[datetime]:
        async with testing.run(app, start=MONDAY, seed=seed) as kit:
            await fail.enqueue()
            return [run.at for run in (await kit.advance("1d", raise_errors=False)).runs]

    assert await waits(1) == await waits(1) != await waits(2)


async def test_expiry_and_history_follow_the_time_of_the_kit(app: App, kit: Kit) -> None:
    @app.task()
    async def work(wait: bool) -> None:
        if wait:
            raise Snooze(120)

    done, late = await work.enqueue(False), await work.using(expires=60).enqueue(True)
    await kit.advance("3m")
    assert await late.status() == "expired"
    await kit.advance("2d")
    with pytest.raises(NotFound):
        await done.status()


async def test_time_passes_without_a_worker(app: App, kit: Kit) -> None:
    @app.task()
    async def work(name: str) -> None: ...

    await work.using(delay=60).enqueue("late")
    await work.using(delay=60, expires=3600).enqueue("too late")
    kit.skip("2h")
    report = await kit.drain()
    assert [(run.arguments, run.at) for run in report.runs] == [('{"name":"late"}', MONDAY + timedelta(hours=2))]


# -- errors


async def test_a_handler_that_raises_fails_the_test(app: App, kit: Kit) -> None:
    @app.task()
    async def charge(order: str) -> None:
        raise KeyError(order)

    other = await charge.enqueue("o-1")
    with pytest.raises(
        HandlerRaised, match=r"1 of 1 attempts failed.*\n  shop\.charge \{\"order\":\"o-1\"\}.*failed: KeyError: 'o-1'"
    ) as raised:
        await kit.drain()
    assert isinstance(raised.value.__cause__, KeyError)
    assert raised.traceback[-1].name != "charge"
    trace = raised.value.__cause__.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    assert trace is not None and trace.tb_frame.f_code.co_name == "charge"
    assert raised.value.report.failed == [other.id]
    assert await other.status() == "retrying"


async def test_what_says_how_it_goes_on_is_no_error(app: App, kit: Kit) -> None:
    @app.task()
    async def answer(ctx: Context, how: str) -> None:
        if how == "reject":
            raise Reject("no such order")
        if ctx.attempt == 1 and how == "later":
            raise RetryAfter(60)
        if how == "snooze" and kit.now < MONDAY + timedelta(minutes=5):
            raise Snooze(300)

    for how in ("reject", "later", "snooze"):
        await answer.enqueue(how)
    report = await kit.advance("10m")
    assert [run.how for run in report.runs] == ["dead", "failed", "snoozed", "done", "done"]
    (letter,) = await kit.dead(answer)
    assert (letter.reason, letter.arguments) == ("no such order", {"how": "reject"})


async def test_what_never_ends_is_named(app: App, kit: Kit) -> None:
    @app.task()
    async def again(n: int) -> None:
        await again.enqueue(n)

    await again.enqueue(7)
    with pytest.raises(TimeoutError, match=r"within 0\.2 s.*shop\.again \{\"n\":7\}.*without a delay"):
        await kit.drain(timeout=0.2)


async def test_a_kit_is_not_used_in_a_handler(app: App, kit: Kit) -> None:
    @app.task()
    async def inside() -> None:
        await kit.drain()

    await inside.enqueue()
    with pytest.raises(HandlerRaised) as raised:
        await kit.drain()
    assert isinstance(raised.value.__cause__, ConfigurationError)


async def test_time_that_cannot_be(app: App, kit: Kit) -> None:
    for wrong in ("soon", "1y", "", -1):
        with pytest.raises(ConfigurationError, match="advance"):
            await kit.advance(wrong)
    with pytest.raises(ConfigurationError, match="time zone"):
        testing.run(app, start=datetime(2024, 1, 1))


# -- rows of the user's


async def test_handlers_use_the_file_of_the_test(app: App, kit: Kit) -> None:
    @app.task()
    async def order(tx: Transaction, sku: str) -> None:
        await tx.execute("insert into sold values (:sku)", sku=sku)

    async with app.transaction() as tx:
        await tx.execute("create table sold (sku text)")
        await order.using(tx=tx).enqueue("mug")
    await kit.drain()
    async with app.transaction() as tx:
        assert await tx.fetch("select sku from sold") == [{"sku": "mug"}]
