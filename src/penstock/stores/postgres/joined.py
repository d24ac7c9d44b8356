"""Writing in a transaction that a user opened on a connection of theirs: same database, same commit, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec import Struct

from penstock.errors import ConfigurationError
from penstock.model.statement import Program
from penstock.ports.transaction import ForeignConnection
from penstock.stores.postgres.access import Access
from penstock.stores.postgres.drivers import as_foreign
from penstock.stores.postgres.failures import state_of, translate
from penstock.stores.postgres.guard import Guard
from penstock.stores.sql.executors import drive, drive_async
from penstock.stores.sql.library import Library
from penstock.stores.sql.verbs import JoinedVerbs

T = TypeVar("T")


class Host(Struct, frozen=True):
    """What a joined connection needs of the store."""

    access: Access
    libraries: Mapping[str, Library]
    """By the driver whose marks they have."""
    guard: Guard
    suspect: Callable[[], None]
    """A transaction may commit soon, and nobody will say so."""


class Joined(JoinedVerbs):
    """Implements `ports.transaction.Joined`."""

    def __init__(self, host: Host, connection: object) -> None:
        foreign = as_foreign(connection)
        library = host.libraries.get(foreign.driver)
        if library is None:
            raise ConfigurationError(
                f"using(tx=…): this connection speaks {foreign.driver}, the app's store is {host.guard.place}; "
                "one transaction cannot span two databases"
            )
        super().__init__(host.access.dialect)
        self._host = host
        self._library = library
        self._foreign: ForeignConnection = foreign

    async def _write(self, make: Callable[[int], Program[T]], doing: str) -> T:
        try:
            if self._foreign.awaits:
                program = self._program(make, await self._foreign.wire_async())
                return await drive_async(program, self._library, self._foreign.run_async)
            return drive(self._program(make, self._foreign.wire()), self._library, self._foreign.run)
        except Exception as error:
            raise self._explained(error, doing) from error

    def _write_now(self, make: Callable[[int], Program[T]], doing: str) -> T:
        if self._foreign.awaits:
            raise ConfigurationError("using(tx=…).sync: this connection is async; await the verb without .sync")
        try:
            return drive(self._program(make, self._foreign.wire()), self._library, self._foreign.run)
        except Exception as error:
            raise self._explained(error, doing) from error

    def _explained(self, error: Exception, doing: str) -> Exception:
        if state_of(error) == "42P01":
            return ConfigurationError(
                f"using(tx=…): this connection's database has no tables of {self._host.guard.place}: is it another? ({error})"
            )
        return translate(error, doing) or error

    def _program(self, make: Callable[[int], Program[T]], wire: object) -> Program[T]:
        result = yield from self._host.guard.over(make(self._host.access.clock.now()), wire)
        self._foreign.after_commit(self._host.access.bells.ring)
        self._host.suspect()
        return result
