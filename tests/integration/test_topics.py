"""Topics and subscriptions of an app: published here, handled by a worker, kept in the store."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock import App, Context, DeadLetter, Reject, Retry, Router, Transaction, WorkerOptions
from penstock.errors import ConfigurationError, PayloadError, PayloadTooLarge, VersionConflict
from penstock.model.events import Trouble
from penstock.testing.conformance.ground import until
from tests.integration.play import rows


@dataclass(frozen=True)
class OrderPlaced:
    order: str
    lines: int = 1


class OrderPaid(msgspec.Struct, frozen=True):
    order: str


@dataclass(frozen=True)
class Opened:
    owner: str


@dataclass(frozen=True)
class Deposited:
    cents: int


@pytest.fixture
def shop(tmp_path: Path) -> App:
    return App(f"sqlite:///{tmp_path / 'shop.db'}", name="shop")


async def test_every_subscription_handles_what_is_published(shop: App) -> None:
    orders = shop.topic("orders", OrderPlaced, OrderPaid, key=lambda event: event.order)
    placed: list[str] = []
    everything: list[str] = []

    @shop.subscribe(orders, only=OrderPlaced, start="beginning")
    async def inventory(event: OrderPlaced) -> None:
        placed.append(event.order)

    @shop.subscribe(orders, name="audit", start="beginning")
    def note(ctx: Context, event: OrderPlaced | OrderPaid) -> None:
        everything.append(f"{type(event).__name__} {event.order} {ctx.attempt} {ctx.headers.get('by')}")

    assert (inventory.name, note.name) == ("shop.inventory", "shop.audit")
    first = await orders.using(headers={"by": "test"}).publish(OrderPlaced("o-1"))
    async with shop.worker():
        ids = await orders.publish_many([OrderPaid("o-1"), OrderPlaced("o-2")])
        await until(lambda: len(placed) == 2 and len(everything) == 3, "all is handled")
    assert placed == ["o-1", "o-2"]
    assert [line for line in everything if "o-1" in line] == ["OrderPlaced o-1 1 test", "OrderPaid o-1 1 None"]
    assert "OrderPlaced o-2 1 None" in everything
    assert len({first, *ids}) == 3 and await orders.head() == 3
    assert await shop.job(f"{first}@shop.inventory").status() == "done"
    await shop.close()


async def test_a_handler_with_tx_writes_once_and_goes_on_by_jobs_and_events(shop: App) -> None:
    orders = shop.topic("orders", OrderPlaced)
    shipped = shop.topic("shipped", OrderPaid)
    told: list[str] = []
    done = asyncio.Event()

    @shop.task()
    async def label(order: str) -> None:
        told.append(f"label {order}")

    @shop.subscribe(orders, start="beginning", retry=Retry(attempts=3, first=0.0))
    async def reserve(ctx: Context, tx: Transaction, event: OrderPlaced) -> None:
        await tx.execute("insert into moves values (:order)", order=event.order)
        await label.enqueue(event.order)
        await shipped.publish(OrderPaid(event.order))
        if ctx.attempt == 1:
            raise OSError("after it wrote")

    @shop.subscribe(shipped, start="beginning")
    async def tell(event: OrderPaid) -> None:
        told.append(f"shipped {event.order}")
        done.set()

    async with shop.transaction() as tx:
        await tx.execute("create table moves (id text)")
        await orders.using(tx=tx).publish(OrderPlaced("o-1"))
    async with shop.worker() as worker:
        await asyncio.wait_for(done.wait(), 10)
        await worker.idle()
    async with shop.transaction() as tx:
        assert await tx.fetch("select id from moves") == [{"id": "o-1"}]
    assert sorted(told) == ["label o-1", "shipped o-1"]
    assert await shipped.head() == 1
    await shop.close()


async def test_a_publish_that_is_rolled_back_was_never_there(shop: App) -> None:
    orders = shop.topic("orders", OrderPlaced)
    with pytest.raises(RuntimeError):
        async with shop.transaction() as tx:
            await orders.using(tx=tx).publish(OrderPlaced("o-1"))
            await orders.using(tx=tx, id="given").publish(OrderPlaced("o-2"))
            raise RuntimeError
    assert await orders.head() == 0
    assert [record.event async for record in orders.replay()] == []
    await shop.close()


async def test_no_more_are_handled_at_once_than_it_says(shop: App) -> None:
    orders = shop.topic("orders", OrderPlaced)
    now = most = 0
    handled: list[str] = []

    @shop.subscribe(orders, start="beginning", concurrency=2)
    async def careful(event: OrderPlaced) -> None:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        for _ in range(5):
            await asyncio.sleep(0)
        now -= 1
        handled.append(event.order)

    await orders.publish_many([OrderPlaced(f"o-{n}") for n in range(30)])
    async with shop.worker():
        await until(lambda: len(handled) == 30, "all are handled")
    assert most == 2
    with pytest.raises(ConfigurationError, match=r"subscribe\(concurrency=0\): a number of jobs, at least 1"):
        shop.subscribe(orders, concurrency=0)
    await shop.close()


async def test_one_subscriptions_failures_do_not_touch_another(shop: App) -> None:
    orders = shop.topic("orders", OrderPlaced)
    handled: list[str] = []
    letters: list[DeadLetter] = []

    @shop.subscribe(orders, start="beginning", retry=Retry(attempts=1))
    async def broken(event: OrderPlaced) -> None:
        raise ValueError(f"cannot do {event.order}")

    @broken.on_dead
    async def tell(letter: DeadLetter) -> None:
        letters.append(letter)

    @shop.subscribe(orders, start="beginning")
    async def sound(event: OrderPlaced) -> None:
        handled.append(event.order)

    await orders.publish_many([OrderPlaced(f"o-{n}") for n in range(20)])
    async with shop.worker():
        await until(lambda: len(handled) == len(letters) == 20, "one handles all, the other buries all")
    assert {letter.task for letter in letters} == {"shop.broken"}
    assert {letter.arguments["event"] for letter in letters} == {OrderPlaced(f"o-{n}") for n in range(20)}
    await shop.close()


async def test_a_death_that_holds_its_key_lets_nothing_of_it_pass(shop: App) -> None:
    orders = shop.topic("orders", OrderPlaced, key=lambda event: event.order)
    tried: list[int] = []
    refuses = True

    @shop.subscribe(orders, start="beginning", on_dead="hold")
    async def careful(event: OrderPlaced) -> None:
        tried.append(event.lines)
        if refuses:
            raise Reject("not now")

    first, *_ = await orders.publish_many([OrderPlaced("o-1", n) for n in range(1, 4)])
    async with shop.worker() as worker:
        await until(lambda: tried == [1], "the first is refused")
        await worker.idle()
        refuses = False
        store = await shop._link.opened()
        assert await store.queue.replay([f"{first}@shop.careful"]) == [f"{first}@shop.careful"]
        await until(lambda: tried == [1, 1, 2, 3], "it runs again in its place, and then the others")
    await shop.close()


async def test_an_event_that_cannot_be_decoded_is_a_dead_letter_of_its_reader_alone(tmp_path: Path) -> None:
    @dataclass
    class Older:
        order: int

    url = f"sqlite:///{tmp_path / 'shop.db'}"
    writer = App(url, name="writer")
    Older.__name__ = "OrderPlaced"
    await writer.topic("orders", Older).publish(Older(7))
    await writer.close()

    shop = App(url, name="shop")
    orders = shop.topic("orders", OrderPlaced)
    seen: list[object] = []

    @shop.subscribe(orders, start="beginning")
    async def strict(event: OrderPlaced) -> None:
        seen.append(event)

    await orders.publish(OrderPlaced("o-1"))
    async with shop.worker():
        await until(lambda: seen == [OrderPlaced("o-1")], "the next one is handled")
        await until(lambda: bool(letters(tmp_path / "shop.db")), "the first is buried")
    assert letters(tmp_path / "shop.db") == [("shop.strict", "undecodable", b'{"order":7}')]
    await shop.close()


def letters(path: Path) -> list[tuple[str, str, bytes]]:
    sql = "select d.task, d.reason, m.body from penstock_dead d join penstock_message m on m.seq = d.seq"
    return rows(path, sql)


async def test_two_releases_side_by_side_each_handle_what_they_ask_for(tmp_path: Path) -> None:
    seen: dict[str, list[object]] = {"old": [], "new": []}

    def release(name: str, only: type[OrderPlaced | OrderPaid]) -> App:
        app = App(f"sqlite:///{tmp_path / 'shop.db'}", name="shop")

        @app.subscribe(app.topic("orders", OrderPlaced, OrderPaid), only=only, name="reader", start="beginning")
        async def handle(event: object) -> None:
            seen[name].append(event)

        return app

    old, new = release("old", OrderPlaced), release("new", OrderPaid)
    publisher = App(f"sqlite:///{tmp_path / 'shop.db'}", name="shop")
    orders = publisher.topic("orders", OrderPlaced, OrderPaid)
    async with old.worker(), new.worker():
        await orders.publish_many([kind(f"o-{n}") for n in range(20) for kind in (OrderPlaced, OrderPaid)])
        await until(lambda: len(seen["old"]) == len(seen["new"]) == 20, "all are handled")
    assert {type(event) for event in seen["old"]} == {OrderPlaced}
    assert {type(event) for event in seen["new"]} == {OrderPaid}
    for app in (old, new, publisher):
        await app.close()


async def test_a_type_of_a_newer_release_waits_for_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    new = App(url, name="shop")
    orders = new.topic("orders", OrderPlaced, OrderPaid)
    await orders.publish(OrderPaid("o-1"))
    seen: list[object] = []

    async def handle(event: object) -> None:
        seen.append(event)

    new.subscribe(orders, name="reader", start="beginning")(handle)
    old = App(url, name="shop")
    old.subscribe(old.topic("orders", OrderPlaced), name="reader", start="beginning", retry=Retry(attempts=50, first=0.0))(handle)
    failed = asyncio.Event()
    old.on_error(lambda delivery, error: failed.set())
    async with old.worker():
        await asyncio.wait_for(failed.wait(), 10)
    async with new.worker():
        await until(lambda: seen == [OrderPaid("o-1")], "the release that knows it handles it")
    await old.close()
    await new.close()


# -- bad input ---------------------------------------------------------------------------------------------


async def test_what_a_topic_does_not_carry_is_refused_in_the_callers_stack(shop: App) -> None:
    orders = shop.topic("orders", OrderPlaced, key=lambda event: event.order)
    numbers = shop.topic("numbers", int, key=lambda number: number)  # type: ignore[arg-type, return-value]
    accounts = shop.topic("accounts", Opened, versioned=True)
    with pytest.raises(PayloadError, match="'orders' carries OrderPlaced, not OrderPaid"):
        await orders.publish(OrderPaid("o-1"))  # type: ignore[arg-type]
    with pytest.raises(PayloadError, match=r"OrderPlaced: Expected `int`, got `str` - at `\$.lines`"):
        await orders.publish(OrderPlaced("o-1", "many"))  # type: ignore[arg-type]
    with pytest.raises(PayloadError, match="the key of OrderPlaced is 'not a name'"):
        await orders.publish(OrderPlaced("not a name"))
    with pytest.raises(PayloadError, match="the key of int is 7"):
        await numbers.publish(7)
    with pytest.raises(PayloadTooLarge, match="the event takes 300032 bytes, the limit is 262144"):
        await shop.topic("texts", OrderPaid).publish(OrderPaid("x" * 300_020))
    with pytest.raises(ConfigurationError, match="'accounts' is versioned: use append"):
        await accounts.publish(Opened("sam"))
    with pytest.raises(ConfigurationError, match="'orders' is not versioned"):
        await orders.append("o-1", [OrderPlaced("o-1")], expected=0)
    for expected in (-1, True, "3"):
        with pytest.raises(ConfigurationError, match="expected="):
            await accounts.append("acc-1", [Opened("sam")], expected=expected)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="there are no events"):
        await accounts.append("acc-1", [], expected=0)
    assert await orders.head() == await accounts.head() == 0
    await shop.close()


def test_bad_declarations_name_their_place(shop: App) -> None:
    here = r"test_topics\.py:\d+"
    other = dataclass(type("OrderPlaced", (), {"__annotations__": {"order": str}}))
    bad = [
        (lambda: shop.topic("two", OrderPlaced, other), "two types under the name 'OrderPlaced'"),
        (lambda: shop.topic("union", OrderPlaced | OrderPaid), "not as A | B"),  # type: ignore[call-overload]
        (lambda: shop.topic("none"), "1 to 8 event types, not 0"),  # type: ignore[call-overload]
        (lambda: shop.topic("a name", OrderPlaced), "'a name' is not a name"),
        (lambda: shop.topic("option", OrderPlaced, keep=7), "no option 'keep'"),  # type: ignore[call-overload]
        (lambda: shop.topic("forever", OrderPlaced, versioned=True, retention=7), "kept for ever: leave retention out"),
        (lambda: shop.topic("short", OrderPlaced, retention=7, retention_max=6), "not shorter than it"),
        (lambda: shop.topic("negative", OrderPlaced, retention=-1), "not a length of time above 0"),
        (lambda: shop.topic("thing", threading_lock()), "cannot travel as JSON"),
        (lambda: shop.topic("orders", OrderPaid), "the topic 'orders' exists already, at"),
    ]
    shop.topic("orders", OrderPlaced)
    for declare, problem in bad:
        with pytest.raises(ConfigurationError, match=f"{here}: .*{problem}"):
            declare()


def threading_lock() -> type:
    return type(asyncio.Lock())


def test_bad_subscriptions_name_their_place(shop: App) -> None:
    orders = shop.topic("orders", OrderPlaced)

    async def handle(event: OrderPlaced) -> None: ...

    async def two(event: OrderPlaced, more: int) -> None: ...

    shop.subscribe(orders)(handle)
    bad = [
        (lambda: shop.subscribe(orders)(handle), "the subscription name 'handle' exists already"),
        (lambda: shop.subscribe(orders, only=OrderPaid)(handle), "topic 'orders' does not carry that type"),  # type: ignore[arg-type]
        (lambda: shop.subscribe("orders")(handle), r"what app\.topic\(…\) returned"),  # type: ignore[call-overload]
        (lambda: shop.subscribe(orders, start="soon")(handle), "'beginning' or 'now'"),  # type: ignore[call-overload]
        (lambda: shop.subscribe(orders, on_dead="stop")(handle), "'continue' or 'hold'"),  # type: ignore[call-overload]
        (lambda: shop.subscribe(orders, name="two")(two), "takes one event .* not 2 arguments"),  # type: ignore[arg-type]
    ]
    for declare, problem in bad:
        with pytest.raises(ConfigurationError, match=f"test_topics.py:.*{problem}"):
            declare()
    loose = Router().topic("loose", OrderPlaced)
    with pytest.raises(ConfigurationError, match=r"before its router is part of an app"):
        loose.sync.publish(OrderPlaced("o-1"))


def test_a_tasks_queue_is_no_subscriptions(shop: App) -> None:
    @shop.subscribe(shop.topic("orders", OrderPlaced))
    async def inventory(event: OrderPlaced) -> None: ...

    @shop.task(queue="shop.inventory")
    async def count() -> None: ...

    with pytest.raises(ConfigurationError, match=r"test_topics.py:\d+: task 'count': the queue 'shop.inventory' is a subscription's own"):
        shop.routes()


# -- event sourcing ----------------------------------------------------------------------------------------


async def test_an_account_is_its_events(shop: App) -> None:
    accounts = shop.topic("accounts", Opened, Deposited, versioned=True)
    assert await accounts.append("acc-1", [Opened("sam"), Deposited(10)], expected=0) == 2
    history = await accounts.read("acc-1")
    assert (tuple(history), history.version) == ((Opened("sam"), Deposited(10)), 2)
    assert await accounts.append("acc-1", [Deposited(5)], expected=history.version) == 3
    with pytest.raises(VersionConflict, match="expected version 2, it is 3"):
        await accounts.append("acc-1", [Deposited(7)], expected=history.version)
    assert await accounts.using(id="cmd-1").append("acc-1", [Deposited(1), Deposited(2)], expected=3) == 5
    assert await accounts.using(id="cmd-1").append("acc-1", [Deposited(1), Deposited(2)], expected=3) == 5
    assert tuple(await accounts.read("acc-1", until=2)) == (Opened("sam"), Deposited(10))
    nobody = await accounts.read("nobody")
    assert (tuple(nobody), nobody.version) == ((), 0)
    newest = await accounts.records("acc-1", backward=True, limit=2)
    assert [(record.version, record.event, record.id) for record in newest] == [
        (5, Deposited(2), "cmd-1#acc-1:2"),
        (4, Deposited(1), "cmd-1#acc-1:1"),
    ]
    assert [record.event async for record in accounts.replay(after=3)] == [Deposited(1), Deposited(2)]
    await shop.close()


async def test_an_append_has_its_key_already(shop: App) -> None:
    asked: list[Opened] = []

    def key_of(event: Opened) -> str:
        asked.append(event)
        return "other"

    accounts = shop.topic("accounts", Opened, versioned=True, key=key_of)
    await accounts.append("acc-1", [Opened("sam"), Opened("kim")], expected=0)
    assert [record.key for record in await accounts.records("acc-1")] == ["acc-1", "acc-1"]
    assert asked == []
    await shop.close()


async def test_a_state_as_of_a_moment(shop: App) -> None:
    accounts = shop.topic("accounts", Opened, Deposited, versioned=True)
    await accounts.append("acc-1", [Opened("sam")], expected=0)
    (opened,) = await accounts.records("acc-1")
    await accounts.append("acc-1", [Deposited(5)], expected=1)
    assert tuple(await accounts.read("acc-1", until=opened.at)) == (Opened("sam"),)
    assert tuple(await accounts.read("acc-1", until=opened.at - timedelta(seconds=1))) == ()
    assert len(await accounts.read("acc-1", until=datetime.now(UTC) + timedelta(hours=1))) == 2
    with pytest.raises(ConfigurationError, match="zone"):
        await accounts.read("acc-1", until=datetime(2024, 1, 1))
    wrong: list[dict[str, Any]] = [{"first": 0}, {"limit": True}, {"until": -1}]
    for options in wrong:
        with pytest.raises(ConfigurationError, match=r"read\((first|limit|until)="):
            await accounts.records("acc-1", **options)
    await shop.close()


async def test_an_append_joins_the_handlers_transaction(shop: App) -> None:
    accounts = shop.topic("accounts", Opened, Deposited, versioned=True)
    tried: list[int] = []

    @shop.task(retry=Retry(attempts=3, first=0.0))
    async def deposit(ctx: Context, tx: Transaction, account: str, cents: int) -> None:
        await tx.execute("insert into moves values (:account)", account=account)
        history = await accounts.read(account)
        tried.append(await accounts.append(account, [Deposited(cents)], expected=history.version))
        if ctx.attempt == 1:
            raise OSError("after it appended")

    async with shop.transaction() as tx:
        await tx.execute("create table moves (id text)")
    await accounts.append("acc-1", [Opened("sam")], expected=0)
    job = await deposit.enqueue("acc-1", 5)
    async with shop.worker():
        await job.result(timeout=10)
    assert tried == [2, 2]
    assert tuple(await accounts.read("acc-1")) == (Opened("sam"), Deposited(5))
    await shop.close()


def test_code_without_a_loop_publishes_and_reads(shop: App) -> None:
    orders = shop.topic("orders", OrderPlaced)
    accounts = shop.topic("accounts", Opened, Deposited, versioned=True)
    first, second = orders.sync.publish_many([OrderPlaced("o-1"), OrderPlaced("o-2")])
    assert first < second
    with shop.sync.transaction() as tx:
        assert orders.using(tx=tx, id="given").sync.publish(OrderPlaced("o-3")) == "given"
        assert accounts.using(tx=tx).sync.append("acc-1", [Opened("sam")], expected=0) == 1
    history = accounts.sync.read("acc-1")
    assert (tuple(history), history.version) == ((Opened("sam"),), 1)
    shop.sync.close()


async def test_a_subscription_called_plainly_runs_its_function(shop: App) -> None:
    @shop.subscribe(shop.topic("orders", OrderPlaced))
    async def handle(event: OrderPlaced) -> str:
        return event.order

    assert await handle(OrderPlaced("o-1")) == "o-1"


async def test_feeding_stops_with_its_worker_and_is_taken_over(shop: App) -> None:
    orders = shop.topic("orders", OrderPlaced)
    handled: list[str] = []
    troubles: list[object] = []
    shop.signals.listen(lambda event: troubles.append(event) if isinstance(event, Trouble) else None)

    @shop.subscribe(orders, start="beginning")
    async def handle(event: OrderPlaced) -> None:
        handled.append(event.order)

    for n in range(3):
        async with shop.worker(WorkerOptions(concurrency=2)):
            await orders.publish(OrderPlaced(f"o-{n}"))
            await until(lambda: f"o-{n}" in handled, "the next worker feeds it")  # noqa: B023
    assert handled == ["o-0", "o-1", "o-2"] and not troubles
    await shop.close()
