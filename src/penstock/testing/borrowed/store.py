"""The store, for as long as a test lends it a connection: the same programs, on that connection, inside its open transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from penstock.model.delivery import Delivery
from penstock.model.outcome import Outcome
from penstock.model.statement import Program, Rows, Statement
from penstock.ports.handler import Next
from penstock.ports.transaction import ambient
from penstock.stores.sql.inspect import SqlInspect
from penstock.stores.sql.log import SqlLog
from penstock.stores.sql.operations import Group, Operation
from penstock.stores.sql.queue import SqlQueue
from penstock.stores.sql.settings import SqlSettings
from penstock.stores.sql.timetable import SqlSchedules
from penstock.stores.sqlite.clock import StoreClock
from penstock.stores.sqlite.dialect import SQLITE
from penstock.stores.sqlite.files import Folder
from penstock.stores.sqlite.follow import SqliteFollow
from penstock.stores.sqlite.joined import same_file
from penstock.stores.sqlite.registry import SqliteLeases
from penstock.testing.borrowed.desk import Desk
from penstock.testing.borrowed.transaction import BorrowedTransaction

T = TypeVar("T")


class BorrowedStore:
    """Implements `ports.store.Store`. Opening, closing and committing are the test's own."""

    one_writer = True

    def __init__(self, path: str, connection: object, desk: Desk, clock: StoreClock) -> None:
        writing, reading = DeskWriter(desk, clock), DeskReader(desk)
        folder = Folder(path)
        self.url = f"sqlite:///{folder.database}"
        self.clock = clock
        self._path = folder.database
        self.queue = SqlQueue(writing, reading, SQLITE, {})
        self.log = SqlLog(writing, reading, SQLITE)
        self.schedules = SqlSchedules(writing, reading, clock, SQLITE)
        self.leases = SqliteLeases(writing, reading, clock, folder, lambda: None)
        self.inspect = SqlInspect(reading, clock, SQLITE)
        self.follow = SqliteFollow(writing, folder.bells)
        self.settings = SqlSettings(writing, reading)
        self._connection = connection
        self._desk = desk

    async def open(self, *, migrate: bool = True) -> None:
        """Raises ConfigurationError: it is another file."""
        await self._desk.drive(same_file(self._path))
        await self._desk.drive(self.clock.load())

    async def opened(self) -> BorrowedStore:
        await self.open()
        return self

    async def close(self) -> None:
        """It stays open."""
        self.follow.close()

    def transaction(self, *, shared: bool = False, blocking: bool = False) -> BorrowedTransaction:
        return BorrowedTransaction(self._desk, self.clock, self._connection)

    async def check_transactions(self, *, blocking: bool) -> None:
        """Every handler gets the test's."""

    def join(self, connection: object) -> BorrowedTransaction:
        """Whatever connection a handler joins: everything it does is in this one's transaction."""
        return self.around()

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    def around(self) -> BorrowedTransaction:
        """The test's own transaction, which nobody here ends."""
        return BorrowedTransaction(self._desk, self.clock, self._connection, around=True)

    async def joined(self, delivery: Delivery, next: Next) -> Outcome:
        """A stage: whatever a handler enqueues joins the test's transaction, since there is no other that could be written to."""
        token = ambient.set((self, self.around()))
        try:
            return await next(delivery)
        finally:
            ambient.reset(token)


class DeskWriter:
    """Implements `Writing`: each operation is a group of its own."""

    waiting = 0

    def __init__(self, desk: Desk, clock: StoreClock) -> None:
        self._desk = desk
        self._clock = clock

    async def submit(self, operation: Operation) -> Any:
        return await self._desk.drive(self._program(operation))

    def submit_blocking(self, operation: Operation) -> Any:
        return self._desk.drive_now(self._program(operation))

    def _program(self, operation: Operation) -> Program[Any]:
        answers: list[Any] = []
        for _, program in Group([operation], SQLITE).parts(self._clock.now()):
            answers += yield from program
        return answers[0]


class DeskReader:
    """Implements `Reading`: sees what is not committed, too."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def rows(self, name: str, params: Mapping[str, Any]) -> Rows:
        return await self._desk.drive(_one(Statement(name, params)))

    async def drive(self, program: Program[T]) -> T:
        return await self._desk.drive(program)


def _one(statement: Statement) -> Program[Rows]:
    return (yield statement)
