"""Django's connections around handlers, as they are around requests: checked before, closed when they are too old.

A `def` handler's are those of its thread. The ORM's work of a coroutine runs on a thread that belongs to its job, as that of an
asynchronous view does to its request; what was opened there is closed before the thread ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections, reset_queries

from penstock.model.delivery import Delivery
from penstock.model.outcome import Outcome
from penstock.ports.handler import Next

_opened: ContextVar[list[str] | None] = ContextVar("penstock_django_opened", default=None)
"""Databases that the coroutine which runs here has opened, so that no thread is started for one that used none."""


@contextmanager
def around_a_thread() -> Iterator[None]:
    """For `App.around`. A test may run the handler on its own thread, in a transaction of its own: that stays open."""
    token = _opened.set(None)
    reset_queries()
    close_old_ones()
    try:
        yield
    finally:
        close_old_ones()
        _opened.reset(token)


def close_old_ones() -> None:
    """As Django's `close_old_connections`, which would close one in the middle of a transaction."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


async def around_a_coroutine(delivery: Delivery, next: Next) -> Outcome:
    """For `App.use`."""
    opened: list[str] = []
    token = _opened.set(opened)
    try:
        async with ThreadSensitiveContext():
            try:
                return await next(delivery)
            finally:
                if opened:
                    await sync_to_async(connections.close_all)()
    finally:
        _opened.reset(token)


def leave_before_it_goes(alias: str, leave: Callable[[], None]) -> None:
    """A test database cannot be dropped while somebody is connected to it: `leave` is called before Django's tests do that."""
    creation = connections[alias].creation
    destroy = creation.destroy_test_db

    def left_and_destroyed(*arguments: object, **options: object) -> None:
        leave()
        destroy(*arguments, **options)

    creation.destroy_test_db = left_and_destroyed


def note(sender: object, connection: Any, **_: object) -> None:
    """Of Django's signal `connection_created`, on the thread that made it."""
    opened = _opened.get()
    if opened is not None:
        opened.append(connection.alias)
