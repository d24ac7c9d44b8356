"""A handler's transaction inside the test's: a savepoint of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.errors import ConfigurationError, LeaseLost, TransactionClosed
from penstock.model.clock import Clock
from penstock.model.delivery import Settlement
from penstock.model.log import Append, Event, TopicSpec
from penstock.model.message import Message, Placed
from penstock.stores.sql.appending import agreed
from penstock.stores.sql.endings import refuse_ending
from penstock.stores.sql.settle import settle
from penstock.stores.sql.topics import plain, versioned
from penstock.stores.sql.turns import Turns
from penstock.stores.sqlite.dialect import SQLITE
from penstock.testing.borrowed.desk import Desk


class BorrowedTransaction:
    """Implements `ports.transaction.OpenTransaction`. Begins, as a savepoint, at its first statement."""

    refused = False
    """The test's transaction is open: a savepoint of it can always begin."""

    def __init__(self, desk: Desk, clock: Clock, connection: object, *, around: bool = False, siblings: Turns | None = None) -> None:
        """`around`: the test's transaction itself, that has begun and is not ours to end. `siblings`: those of a savepoint."""
        self.connection: Any = connection
        self.started = False
        self._desk = desk
        self._clock = clock
        self._around = around
        self._ended = False
        self._siblings = siblings
        self._turns = Turns(lambda: self._check(""), look=None)

    async def execute(self, sql: str, params: Mapping[str, object]) -> int:
        await self._begin(sql)
        return (await self._desk.named(sql, params)).changed

    def execute_now(self, sql: str, params: Mapping[str, object]) -> int:
        self._begin_now(sql)
        return self._desk.named_now(sql, params).changed

    async def fetch(self, sql: str, params: Mapping[str, object]) -> list[Mapping[str, Any]]:
        await self._begin(sql)
        return (await self._desk.named(sql, params)).rows

    def fetch_now(self, sql: str, params: Mapping[str, object]) -> list[Mapping[str, Any]]:
        self._begin_now(sql)
        return self._desk.named_now(sql, params).rows

    async def publish(self, topic: TopicSpec, events: Sequence[Event]) -> list[Placed]:
        await self._begin()
        return await self._desk.drive(SQLITE.publish(plain(topic), events, self._clock.now()))

    def publish_now(self, topic: TopicSpec, events: Sequence[Event]) -> list[Placed]:
        self._begin_now()
        return self._desk.drive_now(SQLITE.publish(plain(topic), events, self._clock.now()))

    async def append(self, append: Append) -> int:
        await self._begin()
        return agreed(append, await self._desk.drive(SQLITE.append_one(versioned(append), self._clock.now())))

    def append_now(self, append: Append) -> int:
        self._begin_now()
        return agreed(append, self._desk.drive_now(SQLITE.append_one(versioned(append), self._clock.now())))

    async def put(self, messages: Sequence[Message]) -> list[Placed]:
        await self._begin()
        return await self._desk.drive(SQLITE.put(messages, self._clock.now()))

    def put_now(self, messages: Sequence[Message]) -> list[Placed]:
        self._begin_now()
        return self._desk.drive_now(SQLITE.put(messages, self._clock.now()))

    async def savepoint(self) -> BorrowedTransaction:
        self._check("")
        await self._turns.take()
        return BorrowedTransaction(self._desk, self._clock, self.connection, siblings=self._turns)

    async def commit(self, settle: tuple[int, Sequence[Settlement]] | None = None, *, alone: bool = False) -> None:
        self._check("")
        self._ended = True
        try:
            if settle is not None:
                await self._settle(*settle)
            if self.started:
                self.started = False
                await self._desk.bare("keep_tx")
        finally:
            self._leave()

    async def rollback(self) -> None:
        self._ended = True
        try:
            if self.started:
                self.started = False
                await self._desk.bare("undo_tx")
                await self._desk.bare("keep_tx")
        finally:
            self._leave()

    def _leave(self) -> None:
        siblings, self._siblings = self._siblings, None
        if siblings is not None:
            siblings.leave()

    async def _settle(self, owner: int, settlements: Sequence[Settlement]) -> None:
        if await self._desk.drive(settle(owner, settlements, self._clock.now(), SQLITE.put)):
            await self.rollback()
            raise LeaseLost("another worker has this job now; this run was rolled back")

    async def _begin(self, sql: str = "") -> None:
        if self._to_begin(sql):
            await self._desk.bare("open_tx")

    def _begin_now(self, sql: str = "") -> None:
        if self._to_begin(sql):
            try:
                self._desk.bare_now("open_tx")
            except ConfigurationError:
                self.started = False
                raise

    def _to_begin(self, sql: str) -> bool:
        self._check(sql)
        begins = not (self.started or self._around)
        self.started |= begins
        return begins

    def _check(self, sql: str) -> None:
        refuse_ending(sql)
        if self._ended:
            raise TransactionClosed("the transaction has ended; nothing more can join it")
