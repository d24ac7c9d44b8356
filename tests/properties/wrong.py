"""Stores that do one thing wrong, for the machines to find out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from penstock.model.delivery import Settlement
from penstock.model.job import Cancelled
from penstock.model.log import Append, Fed
from penstock.model.message import Message, Placed
from penstock.model.schedule import Firing
from penstock.model.statement import Program, Rows
from penstock.ports.leases import Rescued
from penstock.ports.queue import Claim, Claimed
from penstock.ports.store import Store
from penstock.ports.transaction import OpenTransaction
from penstock.stores.sql.log import SqlLog
from penstock.stores.sql.operations import Run
from penstock.stores.sql.queue import SqlQueue
from penstock.stores.sql.timetable import SqlSchedules
from penstock.stores.sqlite.registry import SqliteLeases
from penstock.stores.sqlite.store import SqliteStore
from penstock.testing.conformance import Ground, Setup
from tests.conformance.sqlite_backend import SqliteBackend
from tests.properties.calendar_machine import CalendarMachine
from tests.properties.log_machine import LogMachine
from tests.properties.machines import StoreMachine
from tests.properties.queue_machine import QueueMachine
from tests.properties.unique_machine import UniqueMachine


class Disorderly(SqlQueue):
    async def claim(self, ask: Claim) -> Claimed:
        claimed = await super().claim(ask)
        return replace(claimed, runs=[list(reversed(run)) for run in claimed.runs])


class Deaf(SqlQueue):
    async def settle(self, owner: int, settlements: Sequence[Settlement]) -> list[int]:
        return await super().settle(owner, settlements[:1])


class Shortsighted(SqlQueue):
    async def claim(self, ask: Claim) -> Claimed:
        """It says that there is nothing more."""
        least = [(queue, min(room, 2)) for queue, room in ask.queues]
        return replace(await super().claim(replace(ask, queues=least)), more=False)


class Patient(SqlQueue):
    async def put(self, messages: Sequence[Message]) -> list[Placed]:
        return await super().put([replace(message, expires=None) for message in messages])


class Polite(SqlQueue):
    async def cancel(self, job_id: str) -> Cancelled:
        return "cancelled"


class Careless(SqlQueue):
    async def replay(self, ids: Sequence[str]) -> list[str]:
        return await super().discard(ids)


class Nameless(SqlQueue):
    async def put(self, messages: Sequence[Message]) -> list[Placed]:
        return await super().put([replace(message, unique=None) for message in messages])


class Merciful(SqliteLeases):
    async def rescue(self, incarnation: int, beat: int) -> Rescued | None:
        await self.leave(incarnation)
        return Rescued(incarnation, 0, 0)


class Forgetful(SqlLog):
    async def feed(self, subscription: str, limit: int) -> Fed:
        return await self._writer.submit(Run(lambda now: _without_the_first(self._dialect.feed(subscription, limit, now)), "feed"))


class Rooted(SqlLog):
    async def seek(self, subscription: str, position: int) -> int:
        return await super().seek(subscription, 1 << 39)


class Credulous(SqlLog):
    async def append(self, append: Append) -> int:
        return await super().append(replace(append, expected=None))


class Hoarding(SqlLog):
    async def trim(self, limit: int) -> int:
        return 0


class Silent(SqlSchedules):
    async def fire(self, firings: Sequence[Firing]) -> list[str]:
        return await super().fire([replace(firing, messages=firing.messages[-1:]) for firing in firings])


class Restless(SqlSchedules):
    async def pause(self, app: str, name: str, by: str) -> None:
        await super().pause(app, name, by)
        await super().resume(app, name)


class Leaking:
    """A transaction whose messages are there before it has committed."""

    def __init__(self, store: Store, tx: OpenTransaction) -> None:
        self._store = store
        self._tx = tx

    async def put(self, messages: Sequence[Message]) -> list[Placed]:
        return await self._store.queue.put(messages)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)


class Hasty(SqliteStore):
    def transaction(self, *, shared: bool = False, blocking: bool = False) -> Any:
        return Leaking(self, super().transaction(shared=shared, blocking=blocking))


def _without_the_first(feed: Program[Fed]) -> Program[Fed]:
    rows: Rows | None = None
    while True:
        try:
            statement = next(feed) if rows is None else feed.send(rows)
        except StopIteration as end:
            return end.value
        if statement.name == "feed" and statement.params is not None:
            statement = replace(statement, params={**statement.params, "after": statement.params["after"] + 1})
        rows = yield statement


@dataclass(frozen=True)
class Wrong:
    what: str
    machine: type[StoreMachine]
    kind: type[Any]
    """What it has instead of its own part."""


WRONGS = (
    Wrong("runs come backwards", QueueMachine, Disorderly),
    Wrong("of several ends one is written", QueueMachine, Deaf),
    Wrong("a claim stops early and says that was all", QueueMachine, Shortsighted),
    Wrong("deaths are not counted", QueueMachine, Merciful),
    Wrong("nothing expires", QueueMachine, Patient),
    Wrong("what is cancelled stays", QueueMachine, Polite),
    Wrong("what is replayed is gone", QueueMachine, Careless),
    Wrong("what an open transaction put survives a crash", QueueMachine, Hasty),
    Wrong("a held name is given away", UniqueMachine, Nameless),
    Wrong("what is cancelled keeps its name", UniqueMachine, Polite),
    Wrong("a name is not taken again by a replay", UniqueMachine, Careless),
    Wrong("a feed forgets an event", LogMachine, Forgetful),
    Wrong("a seek goes to the end", LogMachine, Rooted),
    Wrong("an append is not asked what it expects", LogMachine, Credulous),
    Wrong("nothing is forgotten", LogMachine, Hoarding),
    Wrong("runs come backwards in a subscription", LogMachine, Disorderly),
    Wrong("of several slots the last one fires", CalendarMachine, Silent),
    Wrong("a pause does not hold", CalendarMachine, Restless),
)


class WrongGround(Ground):
    def __init__(self, backend: SqliteBackend, kind: type[Any]) -> None:
        super().__init__(backend)
        self._kind = kind

    async def open(self, setup: Setup | None = None) -> Store:
        store = await super().open(setup)
        parts: tuple[Any, ...] = (store, store.queue, store.log, store.leases, store.schedules)
        for part in parts:
            if issubclass(self._kind, type(part)):
                part.__class__ = self._kind
        return store
