"""Reads all events again, as an app of its own that knows the topics by their names."""

from __future__ import annotations

from msgspec import Struct

from penstock import App, Topic
from penstock.cli.demo.events import OrderPlaced
from penstock.cli.demo.plan import Plan


class Told(Struct, frozen=True):
    """What the topics tell, from their beginning."""

    orders: list[OrderPlaced]


async def read(plan: Plan) -> Told:
    app = App(plan.store, name="archive")
    orders = app.topic("orders", OrderPlaced)
    try:
        return Told(await _all(orders))
    finally:
        await app.close()


async def _all(topic: Topic[OrderPlaced]) -> list[OrderPlaced]:
    return [record.event async for record in topic.replay()]
