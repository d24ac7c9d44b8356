"""Transactions for handlers and for `app.transaction()`: one thread and one connection a process.

A transaction begins at its first statement, behind an in-process FIFO gate (this thread's inbox) and the flock that all writers
share, and has `limit` seconds from then on. Past it, a statement that runs is interrupted, the transaction is rolled back and
everything that still comes gets `TransactionClosed` with the last statement's text. Messages put without an id of the caller's
are kept back and written just before the commit. Commits are always synced: they carry users' rows; handlers that wait for their
turn share one (see `hold`).

A crash anywhere before the commit leaves nothing: neither rows, nor follow-ups, nor the settlement.
"""

from __future__ import annotations

import logging
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Literal

from msgspec import Struct

from penstock.errors import StoreUnavailable, TransactionClosed
from penstock.model.statement import Rows
from penstock.ports.transaction import Guest, Loan
from penstock.stores.sql.reply import Reply, send
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite.access import Access
from penstock.stores.sqlite.failures import name_of, translate
from penstock.stores.sqlite.forkable import Forkable
from penstock.stores.sqlite.hold import Hold

_STEPS = 20_000
"""Instructions of SQLite's machine between looks at the clock: well under a millisecond."""

log = logging.getLogger("penstock.store")


TX_LIMIT = 5.0
"""Seconds that a transaction may hold the file's write lock."""


class Transactions(Struct, frozen=True):
    """How they are made."""

    limit: float = TX_LIMIT
    guests: Callable[[Loan], Guest] | None = None
    """What makes a library's connection in one."""


class Request(Struct, eq=False):
    owner: Transaction
    work: Callable[[sqlite3.Connection], Any]
    reply: Reply
    ends: Literal["no", "commit", "rollback"] = "no"


class Transaction:
    """The thread's side of one transaction: whether it runs, and how it ended."""

    def __init__(self, *, shared: bool) -> None:
        self.shared = shared
        """It may wait for others, to commit with them."""
        self.started = False
        self.abandoned = False
        """Nobody wants it any more: what was asked and has not begun must not begin."""
        self.refused = False
        """It could not begin, for the store's reasons."""
        self.over: str | None = None
        self.last = ""
        self.heard: Rows = ()
        """Who waits for what it ends."""
        self.rings = False
        """Its commit may bring work."""


class TransactionThread:
    def __init__(self, access: Access, how: Transactions) -> None:
        self._access = access
        self.guests = how.guests
        self.limit = how.limit
        """Seconds that one may stay open."""
        self._inbox: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._waiting: deque[Request] = deque()
        self._mine: deque[Request] = deque()
        """Of the transaction that runs."""
        self._active: Transaction | None = None
        self._serving: Request | None = None
        self._deadline = 0.0
        self._closed = False
        self._stopping = False
        self._pid = os.getpid()
        self._forkable = Forkable(self._connect)
        with self._forkable:  # what is wrong with the file is said now
            pass
        self._hold = Hold(access, self._forkable)
        self._thread = threading.Thread(target=self._work, name="penstock-transactions", daemon=True)
        self._thread.start()

    def post(self, request: Request) -> None:
        if self._closed:
            raise StoreUnavailable("transaction: the store is closed")
        if self._pid != os.getpid():
            raise TransactionClosed("this transaction is the parent's: it was open when this process was forked")
        self._inbox.put(request)
        if not self._thread.is_alive():  # it was closed in this very moment
            self._refuse_late_ones()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._inbox.put(None)
            self._thread.join()
            self._refuse_late_ones()

    # -- the thread --------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        self._connection = connections.connect(self._access.path)
        if not self._access.power:
            self._connection.execute("pragma synchronous = normal")
        self._connection.set_progress_handler(self._late, _STEPS)
        return self._connection

    def _work(self) -> None:
        while not self._stopping:
            try:
                while (request := self._next()) is not None:
                    self._serve(request)
            except BaseException as error:  # nothing may end this thread: others would wait for it, and for its lock
                log.exception("the transaction thread met an error that it did not foresee")
                self._give_up_all(error)
        self._give_up("the store was closed")
        if self._hold.open:
            self._hold.commit(more=False)
        self._forkable.close()
        self._refuse(self._waiting)

    def _give_up_all(self, error: BaseException) -> None:
        unforeseen = StoreUnavailable(f"transaction: {type(error).__name__}: {error}")
        if (request := self._serving) is not None:
            send([(request.reply, None, unforeseen)])
        self._end(f"the transaction was given up: {error}")
        self._hold.abandon(unforeseen)

    def _refuse_late_ones(self) -> None:
        """What was posted at the moment of closing, after the thread had looked for the last time."""
        late: list[Request] = []
        with suppress(queue.Empty):
            while True:
                if (request := self._inbox.get_nowait()) is not None:
                    late.append(request)
        self._refuse(late)

    def _refuse(self, requests: Iterable[Request]) -> None:
        send([(request.reply, None, StoreUnavailable("transaction: the store was closed")) for request in requests])

    # -- whose turn it is

    def _next(self) -> Request | None:
        """In the order of asking; while one transaction runs, only its own requests. None: the store is being closed."""
        while True:
            self._sort_inbox()
            if self._stopping:
                return None
            if self._active is not None:
                if self._mine:
                    return self._mine.popleft()
                self._wait_for_mine()
            elif self._hold.open and not self._goes_on():
                self._hold.commit(more=bool(self._waiting))
            elif self._waiting:
                return self._waiting.popleft()
            else:
                self._sort(self._inbox.get())

    def _goes_on(self) -> bool:
        """Somebody who waits is served before those who have ended are committed."""
        if not self._waiting:
            return False
        owner = self._waiting[0].owner
        return owner.abandoned or (owner.shared and self._hold.welcomes)

    def _wait_for_mine(self) -> None:
        try:
            self._sort(self._inbox.get(timeout=max(0.0, self._deadline - time.monotonic())))
        except queue.Empty:
            self._expire()

    def _sort_inbox(self) -> None:
        while not self._inbox.empty():
            self._sort(self._inbox.get())

    def _sort(self, request: Request | None) -> None:
        if request is None:
            self._stopping = True
        elif request.owner is self._active:
            self._mine.append(request)
        else:
            self._waiting.append(request)

    # -- one request

    def _serve(self, request: Request) -> None:
        self._serving = request
        try:
            self._admit(request.owner)
            with self._forkable as connection:
                value = request.work(connection)
            self._check_open(request.owner)
            if request.ends == "commit":
                self._hold.keep(request.reply, value, rings=request.owner.rings, heard=request.owner.heard)
        except BaseException as failure:
            self._fail(request, failure)
        else:
            self._succeed(request, value)
        self._serving = None

    def _admit(self, owner: Transaction) -> None:
        if self._late():
            self._expire()
        if owner.abandoned and self._active is not owner:
            owner.over = owner.over or "the transaction was rolled back before it began"
        if owner.over is not None:
            raise TransactionClosed(owner.over)
        if self._active is None:
            self._begin(owner)

    def _begin(self, owner: Transaction) -> None:
        owner.refused = True
        self._hold.begin()
        owner.refused = False
        self._active = owner
        self._deadline = time.monotonic() + self.limit
        self._mine.extend(request for request in self._waiting if request.owner is owner)
        if self._mine:
            self._waiting = deque(request for request in self._waiting if request.owner is not owner)
        owner.started = True
        self._access.signals.reach("tx.begun")

    def _check_open(self, owner: Transaction) -> None:
        if not self._hold.whole:
            raise TransactionClosed(f"something of yours ended the transaction: {owner.last or 'its connection was used'}")

    def _succeed(self, request: Request, value: Any) -> None:
        if request.ends == "commit":
            self._end("the transaction has ended")
            if not request.owner.shared:
                self._hold.commit(more=bool(self._waiting) or not self._inbox.empty())
            return
        if request.ends == "rollback":
            self._give_up("the transaction has ended")
        send([(request.reply, value, None)])

    def _fail(self, request: Request, failure: BaseException) -> None:
        owner = request.owner
        error: BaseException = self._explain(failure, owner) if isinstance(failure, sqlite3.Error) else failure
        if self._active is owner:
            if not self._hold.whole:
                self._give_up(f"the transaction was rolled back: {error}")
            elif request.ends != "no":
                self._give_up("the transaction has ended")
        send([(request.reply, None, error)])

    def _explain(self, failure: sqlite3.Error, owner: Transaction) -> BaseException:
        if name_of(failure) != "SQLITE_INTERRUPT":
            return translate(failure, "run a statement in a transaction") or failure
        self._expire()
        return TransactionClosed(owner.over or "")

    # -- ends

    def _late(self) -> bool:
        return self._active is not None and time.monotonic() >= self._deadline

    def _expire(self) -> None:
        self._give_up(f"the transaction was open for more than {self.limit:g} s and was rolled back")

    def _give_up(self, why: str) -> None:
        """Roll back the one that runs, if any."""
        if (owner := self._active) is not None:
            self._end(f"{why}; its last statement: {owner.last or 'none'}")
            self._hold.undo()

    def _end(self, why: str) -> None:
        """Nothing of it is served any more."""
        owner, self._active = self._active, None
        if owner is not None:
            owner.over = why
            send([(request.reply, None, TransactionClosed(why)) for request in self._mine])
            self._mine.clear()
