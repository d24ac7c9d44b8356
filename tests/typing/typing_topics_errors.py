"""Topics and subscriptions as they must be refused: each ignored line is an error to both checkers, or these tests fail."""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from dataclasses import dataclass

from penstock import App, Transaction


@dataclass(frozen=True)
class OrderPlaced:
    order_id: str


@dataclass(frozen=True)
class OrderPaid:
    order_id: str


@dataclass(frozen=True)
class Deposited:
    cents: int


app = App(name="shop")
orders = app.topic("orders", OrderPlaced, OrderPaid, key=lambda event: event.order_id)
accounts = app.topic("accounts", Deposited, versioned=True)


async def events() -> None:
    await orders.publish(Deposited(1))  # type: ignore[arg-type]
    await orders.publish_many([OrderPaid("o-1"), Deposited(1)])  # type: ignore[list-item]
    orders.sync.publish("o-1")  # type: ignore[arg-type]
    await accounts.append("acc-1", [OrderPaid("o-1")], expected=3)  # type: ignore[list-item]
    await accounts.append("acc-1", [Deposited(10)])  # type: ignore[call-arg]
    app.topic("orders", OrderPlaced, Deposited, key=lambda event: event.order_id)  # type: ignore[union-attr]
    app.topic("orders", OrderPlaced, retain=1)  # type: ignore[call-overload]
    app.topic("orders", OrderPlaced | OrderPaid)  # type: ignore[arg-type]
    app.subscribe(orders, only=Deposited)  # type: ignore[misc]
    app.subscribe(orders, name=1)  # type: ignore[call-overload]


@app.subscribe(orders)  # type: ignore[arg-type]
async def only_one_of_them(event: OrderPlaced) -> None: ...


@app.subscribe(orders, only=OrderPlaced)  # type: ignore[arg-type]
async def another(tx: Transaction, event: OrderPaid) -> None: ...


@app.subscribe(orders, only=OrderPlaced)  # type: ignore[arg-type]
async def two(event: OrderPlaced, more: int) -> None: ...
