"""Transactions for handlers and for `app.transaction()`: one thread and one connection a process.

A transaction begins at its first statement, behind an in-process FIFO gate (this thread's inbox) and the flock that all writers
share, and has `limit` seconds from then on. Past it, a statement that runs is interrupted, the transaction is rolled back and
everything that still comes gets `TransactionClosed` with the last statement's text. Messages put without an id of the caller's
are kept back and written just before the commit. Commits are always synced: they carry users' rows.

A crash anywhere before the commit leaves nothing: neither rows, nor follow-ups, nor the settlement.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from msgspec import Struct

from penstock.errors import StoreUnavailable, TransactionClosed
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite.failures import translate, translated
from penstock.stores.sqlite.forkable import Forkable
from penstock.stores.sqlite.reply import Reply, send
from penstock.stores.sqlite.writer import Access

_STEPS = 20_000
"""Instructions of SQLite's machine between looks at the clock: well under a millisecond."""


class Request(Struct, eq=False):
    owner: Transaction
    work: Callable[[sqlite3.Connection], Any]
    reply: Reply
    ends: bool = False


class Transaction:
    """The thread's side of one transaction: whether it runs, and how it ended."""

    def __init__(self) -> None:
        self.started = False
        self.abandoned = False
        """Nobody wants it any more: what was asked and has not begun must not begin."""
        self.over: str | None = None
        self.last = ""
        self.brought = False
        """Messages were put: the commit rings."""


class TransactionThread:
    def __init__(self, access: Access, limit: float) -> None:
        self._access = access
        self._limit = limit
        self._inbox: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._waiting: deque[Request] = deque()
        self._active: Transaction | None = None
        self._deadline = 0.0
        self._closed = False
        self._pid = os.getpid()
        self._forkable = Forkable(self._connect)
        with self._forkable:  # what is wrong with the file is said now
            pass
        self._thread = threading.Thread(target=self._work, name="penstock-transactions", daemon=True)
        self._thread.start()

    def post(self, request: Request) -> None:
        if self._closed:
            raise StoreUnavailable("transaction: the store is closed")
        if self._pid != os.getpid():
            raise TransactionClosed("this transaction is the parent's: it was open when this process was forked")
        self._inbox.put(request)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._inbox.put(None)
            self._thread.join()

    # -- the thread --------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        self._connection = connections.connect(self._access.path)
        if not self._access.power:
            self._connection.execute("pragma synchronous = normal")
        self._connection.set_progress_handler(self._late, _STEPS)
        return self._connection

    def _work(self) -> None:
        while True:
            try:
                request = self._next()
            except queue.Empty:
                self._expire()
                continue
            if request is None:
                break
            if self._active is not None and request.owner is not self._active:
                self._waiting.append(request)
            else:
                self._serve(request)
        if self._active is not None:
            self._abandon("the store was closed")
        self._forkable.close()
        self._refuse_late_ones()

    def _refuse_late_ones(self) -> None:
        """What waited for its turn, or was posted at the moment of closing."""
        with suppress(queue.Empty):
            while True:
                if (request := self._inbox.get_nowait()) is not None:
                    self._waiting.append(request)
        send([(request.reply, None, StoreUnavailable("transaction: the store was closed")) for request in self._waiting])

    def _next(self) -> Request | None:
        """In the order of asking; while one transaction is open, only its own requests."""
        if self._active is None:
            return self._waiting.popleft() if self._waiting else self._inbox.get()
        for index, request in enumerate(self._waiting):
            if request.owner is self._active:
                del self._waiting[index]
                return request
        return self._inbox.get(timeout=max(0.0, self._deadline - time.monotonic()))

    def _serve(self, request: Request) -> None:
        owner = request.owner
        if self._late():
            self._expire()
        value: Any = None
        error: BaseException | None = None
        try:
            if owner.abandoned and self._active is not owner:
                owner.over = owner.over or "the transaction was rolled back before it began"
            if owner.over is not None:
                raise TransactionClosed(owner.over)
            if self._active is None:
                self._begin(owner)
            with self._forkable as connection:
                value = request.work(connection)
                self._check_open(owner, ends=request.ends)
        except sqlite3.Error as failure:
            error = self._explain(failure, owner)
        except BaseException as failure:
            error = failure
        if request.ends and owner.over is None:
            self._end(owner, "the transaction has ended")
        send([(request.reply, value, error)])

    def _begin(self, owner: Transaction) -> None:
        self._access.lock.acquire()
        try:
            with self._forkable as connection:
                connection.execute("begin immediate")
        except sqlite3.Error as error:
            self._access.lock.release()
            raise translated(error, "begin a transaction") from error
        except BaseException:
            self._access.lock.release()
            raise
        self._active = owner
        self._deadline = time.monotonic() + self._limit
        owner.started = True
        self._access.signals.reach("tx.begun")

    def _check_open(self, owner: Transaction, *, ends: bool) -> None:
        if not ends and not self._connection.in_transaction:
            self._end(owner, f"your SQL ended the transaction: {owner.last}")
            raise TransactionClosed(owner.over or "")

    def _end(self, owner: Transaction, why: str) -> None:
        """Whatever is still open is rolled back; the lock is free afterwards."""
        owner.over = why
        if self._active is owner:
            try:
                self._forkable.roll_back()
                if self._access.checkpointer.due:
                    self._access.checkpointer.run(self._connection)
            finally:
                self._active = None
                self._access.lock.release()

    def _late(self) -> bool:
        return self._active is not None and time.monotonic() >= self._deadline

    def _explain(self, failure: sqlite3.Error, owner: Transaction) -> Exception:
        if failure.sqlite_errorname != "SQLITE_INTERRUPT":
            return translate(failure, "run a statement in a transaction") or failure
        self._expire()
        return TransactionClosed(owner.over or "")

    def _expire(self) -> None:
        if self._active is not None:
            self._abandon(f"the transaction was open for more than {self._limit:g} s and was rolled back")

    def _abandon(self, why: str) -> None:
        assert self._active is not None
        self._end(self._active, f"{why}; its last statement: {self._active.last or 'none'}")
