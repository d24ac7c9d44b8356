"""An app's verbs for code without an event loop. Each task, job and transaction has its own beside it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TypeVar

from penstock.api.gathering import gather
from penstock.api.job import Job
from penstock.api.link import Link
from penstock.api.plan import BoundCall
from penstock.api.task import enqueue_now
from penstock.api.transaction import SyncTransaction, SyncTransactionBlock
from penstock.model.clock import Duration

R = TypeVar("R")


class SyncApp:
    """An `App` for code without an event loop. Blocks the calling thread."""

    __slots__ = ("_link",)

    def __init__(self, link: Link) -> None:
        self._link = link

    def enqueue_many(self, calls: Iterable[BoundCall[R]], /) -> list[Job[R]]:
        """As `App.enqueue_many`."""
        return enqueue_now(list(calls), "await app.enqueue_many(…)")

    def gather(self, jobs: Iterable[Job[R]], /, *, timeout: Duration | None = None) -> list[R]:
        """As `App.gather`."""
        return self._link.call(lambda _: gather(jobs, timeout), "await app.gather(…)")

    def transaction(self) -> AbstractContextManager[SyncTransaction]:
        """As `App.transaction`."""
        return SyncTransactionBlock(self._link)

    def close(self) -> None:
        """As `App.close`."""
        self._link.close_now()
