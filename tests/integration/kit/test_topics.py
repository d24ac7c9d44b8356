"""Events in a test: what was published, and that subscriptions are fed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta

import pytest

from penstock import App, Retry, Transaction, testing
from penstock.errors import NotFound


@dataclass
class Placed:
    order: str


@dataclass
class Paid:
    order: str
    cents: int


app = App("sqlite:////nowhere/shop.db", name="shop")
orders = app.topic("orders", Placed, Paid, key=lambda event: event.order, retention=timedelta(days=7))
books = app.topic("books", Paid, versioned=True)
seen: list[str] = []


@app.subscribe(orders, only=Placed)
async def bill(tx: Transaction, event: Placed) -> None:
    await orders.publish(Paid(event.order, 100))


@app.subscribe(orders, retry=Retry(attempts=3, first=60))
def ship(event: Placed | Paid) -> None:
    seen.append(f"{type(event).__name__} {event.order}")
    if isinstance(event, Placed) and event.order == "lost":
        raise LookupError(event.order)


@pytest.fixture(autouse=True)
def fresh() -> None:
    seen.clear()


async def test_subscriptions_are_there_before_the_first_event_and_are_fed() -> None:
    async with testing.run(app) as kit:
        await orders.publish(Placed("o-1"))
        assert seen == []
        report = await kit.drain()
        assert seen == ["Placed o-1", "Paid o-1"]
        assert [run.task for run in report.runs].count("shop.bill") == 1
        assert await kit.published(orders) == [Placed("o-1"), Paid("o-1", 100)]
        assert await kit.published(orders, key="o-2") == []
        await books.append("b-1", [Paid("o-1", 100)], expected=0)
        assert await kit.published(books, key="b-1") == [Paid("o-1", 100)]


async def test_an_event_that_fails_is_tried_again_and_buried() -> None:
    async with testing.run(app) as kit:
        await orders.publish(Placed("lost"))
        report = await kit.advance("5m", raise_errors=False)
        assert seen == ["Placed lost"] * 3 + ["Paid lost"]  # the key waits for its first event
        (letter,) = await kit.dead()
        assert (letter.arguments, len(report.dead)) == ({"event": Placed("lost")}, 1)


async def test_what_waits_of_a_subscription_is_shown_decoded() -> None:
    async with testing.run(app) as kit:
        await orders.publish(Placed("lost"))
        await kit.drain(raise_errors=False)
        (waiting, behind) = await kit.enqueued()
        assert (waiting.task, waiting.arguments, waiting.key) == ("shop.ship", {"event": Placed("lost")}, "lost")
        assert behind.arguments == {"event": Paid("lost", 100)}


async def test_retention_follows_the_time_of_the_kit() -> None:
    async with testing.run(app) as kit:
        await orders.publish(Placed("o-1"))
        await kit.advance("6d")
        assert len(await kit.published(orders)) == 2
        await kit.advance("2d")
        assert await kit.published(orders) == []


def test_without_a_loop_and_inline() -> None:
    with testing.run(app, inline=True) as kit:
        orders.sync.publish(Placed("o-1"))
        assert sorted(seen) == ["Paid o-1", "Placed o-1"]
        assert kit.sync.published(orders) == [Placed("o-1"), Paid("o-1", 100)]


def test_in_a_transaction_that_never_commits() -> None:
    with testing.run(app) as kit:
        kit.sync.drain()
        with closing(sqlite3.connect(kit.path)) as connection:
            connection.execute("pragma wal_autocheckpoint = 0")
            connection.execute("create table mine (n)")
            connection.commit()
            connection.execute("insert into mine values (1)")
            orders.using(tx=connection).sync.publish(Placed("o-1"))
            assert len(kit.sync.drain(tx=connection).done) == 3
            assert seen == ["Placed o-1", "Paid o-1"]
            connection.rollback()
        assert kit.sync.published(orders) == []


async def test_a_job_of_the_history_and_an_event_are_not_the_same() -> None:
    async with testing.run(app) as kit:
        event = await orders.publish(Placed("o-1"))
        with pytest.raises(NotFound):
            await app.job(event).status()
        await kit.drain()


async def test_a_subscription_that_holds_its_key_does_so_in_a_test() -> None:
    shop = App("sqlite:////nowhere/shop.db", name="holding")
    topic = shop.topic("orders", Placed, key=lambda event: event.order)

    @shop.subscribe(topic, retry=Retry(attempts=1), on_dead="hold")
    async def once(event: Placed) -> None:
        seen.append(event.order)
        raise LookupError

    async with testing.run(shop) as kit:
        await topic.publish_many([Placed("o-1"), Placed("o-1"), Placed("o-2")])
        await kit.drain(raise_errors=False)
        assert sorted(seen) == ["o-1", "o-2"]
        assert len(await kit.dead()) == 2 and len(await kit.enqueued()) == 1
