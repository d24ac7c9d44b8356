"""Topics and subscriptions as a user writes them: both checkers must accept all of it and infer these types."""
# pyright: strict

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import assert_type

from penstock import App, Context, DeadLetter, History, Record, Router, Subscription, Topic, Transaction, testing


@dataclass(frozen=True)
class OrderPlaced:
    order_id: str


@dataclass(frozen=True)
class OrderPaid:
    order_id: str


@dataclass(frozen=True)
class Opened: ...


@dataclass(frozen=True)
class Deposited:
    cents: int


@dataclass(frozen=True)
class Closed: ...


@dataclass
class Resources:
    name: str


app = App(name="shop")
mail = Router()

orders = app.topic("orders", OrderPlaced, OrderPaid, key=lambda event: event.order_id, retention=timedelta(days=7))
accounts = app.topic("accounts", Opened, Deposited, Closed, versioned=True, aliases={"AccountOpened": Opened})
numbers = mail.topic("numbers", int)
assert_type(orders, Topic[OrderPlaced | OrderPaid])
assert_type(accounts, Topic[Opened | Deposited | Closed])
assert_type(numbers, Topic[int])
assert_type(app.topic("four", int, str, bytes, datetime), Topic[int | str | bytes | datetime])
assert_type(app.topic("five", int, str, bytes, datetime, Opened), Topic[int | str | bytes | datetime | Opened])
assert_type(app.topic("six", int, str, bytes, datetime, Opened, Closed), Topic[int | str | bytes | datetime | Opened | Closed])
assert_type(
    app.topic("seven", int, str, bytes, datetime, Opened, Closed, OrderPaid),
    Topic[int | str | bytes | datetime | Opened | Closed | OrderPaid],
)
assert_type(
    app.topic("eight", int, str, bytes, datetime, Opened, Closed, OrderPaid, Deposited),
    Topic[int | str | bytes | datetime | Opened | Closed | OrderPaid | Deposited],
)


@app.subscribe(orders, only=OrderPlaced, name="inventory", start="beginning")
async def reserve_stock(tx: Transaction, event: OrderPlaced) -> None:
    await tx.execute("update stock set left = left - :n where sku = :sku", n=1, sku=event.order_id)


@app.subscribe(orders)
def count(event: OrderPlaced | OrderPaid) -> None: ...


@mail.subscribe(orders, on_dead="hold", timeout=30)
async def confirm(ctx: Context[Resources], tx: Transaction, event: OrderPlaced | OrderPaid) -> None: ...


@app.subscribe(accounts, only=Deposited)
async def log_everything(ctx: Context, event: object) -> None: ...


@reserve_stock.on_dead
async def restock(letter: DeadLetter) -> None: ...


assert_type(reserve_stock, Subscription[OrderPlaced])
assert_type(confirm, Subscription[OrderPlaced | OrderPaid])


async def events(until: int | datetime) -> None:
    assert_type(await orders.publish(OrderPlaced("o-1")), str)
    assert_type(await orders.publish_many([OrderPlaced("o-1"), OrderPaid("o-1")]), list[str])
    assert_type(await accounts.append("acc-1", [Deposited(10)], expected=3), int)
    history = await accounts.read("acc-1", until=until)
    assert_type(history, History[Opened | Deposited | Closed])
    assert_type(history[0], Opened | Deposited | Closed)
    await accounts.append("acc-1", [Opened(), Deposited(1)], expected=history.version)
    assert_type(await accounts.records("acc-1", backward=True, limit=3), list[Record[Opened | Deposited | Closed]])
    async for record in accounts.replay(after=datetime(2024, 1, 1, tzinfo=UTC)):
        assert_type(record, Record[Opened | Deposited | Closed])
        assert_type(record.event, Opened | Deposited | Closed)
        assert_type(record.at, datetime)
    async with app.transaction() as tx:
        await orders.using(tx=tx, key="o-1", id="e-1", headers={"a": "b"}).publish(OrderPaid("o-1"))


def from_flask() -> None:
    assert_type(orders.sync.publish(OrderPaid("o-1")), str)
    assert_type(accounts.sync.append("acc-1", [Opened()], expected=0), int)
    assert_type(accounts.sync.read("acc-1"), History[Opened | Deposited | Closed])


async def in_a_test() -> None:
    async with testing.run(app) as kit:
        assert_type(await kit.published(orders), list[OrderPlaced | OrderPaid])
        assert_type(await kit.published(accounts, key="a-1"), list[Opened | Deposited | Closed])
        assert_type(kit.sync.published(orders), list[OrderPlaced | OrderPaid])
