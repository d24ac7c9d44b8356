"""Reads all events again, as an app of its own that knows the topics by their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from penstock import App, Record, Topic
from penstock.cli.demo.events import AccountEvent, EmailUpdated, OrderPlaced, UserCreated, UserDeleted, address_after
from penstock.cli.demo.plan import Plan


class Fact(Struct, frozen=True):
    """An event of an account, and what is known of it."""

    user: str
    version: int
    at: datetime
    by: str
    event: AccountEvent


class Story(Struct, frozen=True):
    """One account: its events, and what a read as of a moment between the last two gave."""

    trail: Sequence[Fact]
    moment: datetime
    address_then: str | None

    @property
    def user(self) -> str:
        return self.trail[0].user


class Told(Struct, frozen=True):
    """What the topics tell, from their beginning."""

    orders: list[OrderPlaced]
    facts: list[Fact]
    story: Story | None
    """Of the account with the most events, unless all have one."""


async def read(plan: Plan) -> Told:
    app = App(plan.store, name="archive")
    orders = app.topic("orders", OrderPlaced)
    accounts = app.topic("accounts", UserCreated, EmailUpdated, UserDeleted, versioned=True)
    try:
        facts = [_fact(record) async for record in accounts.replay()]
        return Told([record.event async for record in orders.replay()], facts, await _story(accounts, facts))
    finally:
        await app.close()


async def _story(accounts: Topic[AccountEvent], facts: list[Fact]) -> Story | None:
    counts = Counter(fact.user for fact in facts)
    if not counts or max(counts.values()) == 1:
        return None
    user = max(counts, key=lambda user: counts[user])
    trail = [_fact(record) for record in await accounts.records(user)]
    moment = trail[-2].at + (trail[-1].at - trail[-2].at) / 2
    return Story(trail, moment, address_after(await accounts.read(user, until=moment)))


def _fact(record: Record[AccountEvent]) -> Fact:
    assert record.key is not None
    assert record.version is not None
    return Fact(record.key, record.version, record.at, record.headers.get("by", ""), record.event)
