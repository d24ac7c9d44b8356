"""A connection of Django's as `ports.transaction.ForeignConnection`.

Statements go to the driver's own cursor: Django's would take `%` for a mark, and knows no named parameters on SQLite. What Django keeps
of its transactions is asked and told: whether one is open, whether it is broken, what is to be called when it has committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError
from django.utils.connection import ConnectionProxy

from penstock.errors import ConfigurationError, TransactionClosed
from penstock.ports.transaction import Answer


def foreign(target: Any) -> Joining:
    """What `using(tx=target)` joins."""
    if isinstance(target, ConnectionProxy):
        return Joining(connections[target.alias])
    if isinstance(target, BaseDatabaseWrapper):
        return Joining(target)
    raise ConfigurationError(
        f"using(tx={type(target).__name__}): of Django, a database connection can be joined: django.db.connection, or connections['other']"
    )


class Joining:
    """A database wrapper, inside `transaction.atomic()`, on its own thread."""

    awaits = False

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        self.driver = str(wrapper.Database.__name__).partition(".")[0]
        wrapper.validate_thread_sharing()
        if wrapper.get_autocommit():
            raise ConfigurationError(
                f"using(tx=connection): no transaction is open on Django's database {wrapper.alias!r} here; "
                "enqueue inside `with transaction.atomic():`, or leave tx= out"
            )
        try:
            wrapper.validate_no_broken_transaction()
        except TransactionManagementError as error:
            raise TransactionClosed(
                f"using(tx=connection): the atomic block on Django's database {wrapper.alias!r} is broken, since an exception was caught "
                "inside it; it will roll back, and nothing more can join it"
            ) from error

    def run(self, sql: str, params: Any) -> Sequence[Sequence[Any]]:
        with self._executed(sql, params) as (_, rows):
            return rows

    async def run_async(self, sql: str, params: Any) -> Sequence[Sequence[Any]]:
        return self.run(sql, params)

    def named(self, sql: str, params: Any) -> Answer:
        with self._executed(sql, params) as (cursor, rows):
            names = [column[0] for column in cursor.description or ()]
            named: list[Mapping[str, Any]] = [dict(zip(names, row, strict=True)) for row in rows]
            return Answer(named, cursor.rowcount)

    async def named_async(self, sql: str, params: Any) -> Answer:
        return self.named(sql, params)

    def wire(self) -> object:
        return self._wrapper.connection

    async def wire_async(self) -> object:
        return self._wrapper.connection

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Once a transaction: one that is there stays, unless the savepoint that it stands in is rolled back before ours."""
        wrapper = self._wrapper
        if not wrapper.in_atomic_block:
            return  # a transaction that the user commits by hand: Django does not tell of its end
        here = set(wrapper.savepoint_ids)
        if not any(isinstance(known, Ring) and savepoints <= here for savepoints, known, _ in wrapper.run_on_commit):
            wrapper.on_commit(Ring(callback), robust=True)

    @contextmanager
    def _executed(self, sql: str, params: Any) -> Iterator[tuple[Any, list[Any]]]:
        with closing(self._wrapper.connection.cursor()) as cursor:
            if self.driver == "sqlite3":
                yield cursor, self._fetched_plain(cursor, sql, params)
            else:
                cursor.execute(sql, params)
                yield cursor, cursor.fetchall() if cursor.description else []

    def _fetched_plain(self, cursor: Any, sql: str, params: Any) -> list[Any]:
        """Tuples and str, whatever the user's connection makes of rows and of text."""
        connection = self._wrapper.connection
        cursor.row_factory = None
        theirs, connection.text_factory = connection.text_factory, str
        try:
            return list(cursor.execute(sql, params).fetchall())
        finally:
            connection.text_factory = theirs


class Ring:
    """Wakes the workers."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self.__qualname__ = "Ring"  # on_commit(robust=True) names who failed

    def __call__(self) -> None:
        self._callback()
