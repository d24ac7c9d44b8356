"""What makes sure of a user's connection: that it is open on this very store, and as durable as the app promises.

The first statement of a write carries the check, so it costs no round trip: where the check fails, the statement changes nothing and brings
one row, that says why. This cannot be all. In a database without our tables the statement would be an error, and spoil the user's
transaction; so a connection that is met for the first time is asked before. It is open on one database for as long as it lives, also
behind a pooler. What may change with each transaction is `synchronous_commit`: only the statement knows that for certain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar
from weakref import WeakSet

from msgspec import Struct
from msgspec.structs import replace

from penstock.errors import ConfigurationError
from penstock.model.statement import Program, Rows, Statement
from penstock.ports.transaction import Stranger

T = TypeVar("T")

OURS: Mapping[str, Any] = {"mark": None, "flushed": None}
"""On a connection of the store's there is nothing to be checked."""
_CARRIES = frozenset(("put_alike", "put_messages", "publish_events", "append_event", "append_events"))
"""Their last column says why they are refused."""


class Guard(Struct, frozen=True):
    mark: str
    """A type that only this store has."""
    place: str
    """Fit to be printed."""
    flushed: bool
    """Commits must survive power loss."""
    known: WeakSet[Any]
    """Drivers' connections that were asked."""

    def met(self, stranger: Stranger) -> Program[None]:
        """A transaction has begun there: at once, for the next statement may be anything. How durable it is, it was told."""
        if stranger.connection in self.known:
            return
        for (why,) in (yield Statement("who_are_you", {"mark": self.mark, "flushed": False})):
            if why is not None:
                raise ConfigurationError(
                    f"App(transactions=engine): the engine is on {stranger.place}, where this app's store is not: that is {self.place}; "
                    "one transaction cannot span two databases"
                )
        self.known.add(stranger.connection)

    def over(self, program: Program[T], connection: object) -> Program[T]:
        """The program, if the connection is what it has to be. Raises ConfigurationError, before anything is changed."""
        try:
            first = next(program)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        carries = first.name in _CARRIES
        if not carries or connection not in self.known:
            self._read((yield Statement("who_are_you", self._asked)))
            self.known.add(connection)
        if carries:
            first = replace(first, params={**(first.params or {}), **self._asked})
        rows = yield first
        if carries:
            self._read(rows)
        return (yield from _rest(program, rows))

    @property
    def _asked(self) -> Mapping[str, Any]:
        return {"mark": self.mark, "flushed": self.flushed}

    def _read(self, rows: Rows) -> None:
        for row in rows:
            if row[-1] is not None:
                self._refuse(row[-1])

    def _refuse(self, why: str) -> NoReturn:
        if why == "foreign":
            raise ConfigurationError(
                f"using(tx=…): this connection is open on another store than the app's, {self.place}; "
                "one transaction cannot span two stores"
            )
        raise ConfigurationError(
            "using(tx=…): this connection has synchronous_commit = off, so its commits may be lost on power failure; "
            "set it to on, or accept it: App(durability='inherit')"
        )


def _rest(program: Program[T], rows: Rows) -> Program[T]:
    try:
        while True:
            rows = yield program.send(rows)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
