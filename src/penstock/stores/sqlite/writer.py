"""The writer: one thread and one connection a process, group commit for everybody.

While one commit runs, the next group forms by itself; there is no timer. A group is one `begin immediate … commit` behind an
flock queue that all processes share. Its puts are merged into one put, its settles into one a worker, so that a hundred
concurrent enqueuers cost one fsync. It is as durable as its strictest member needs, and who needs it to be synced is answered after
that (`logsync`); by then the lock is free, and a thread has rung the bells. Events are synced in the commit: whoever reads a topic
keeps their positions, which must not be given twice.

A put of a few messages rings as soon as it has the lock. A worker woken by it claims, waits for the lock, and gets it after the
commit; until then it rehearses, because what runs for the first time in a while takes twice as long.

What can go wrong:

- A statement fails because of one member's data: the group is rolled back and its members run one by one; only that member
  gets the error.
- The store fails (full, read-only, locked, I/O, corrupt): everybody in the group gets the error; nothing was kept, and
  a put whose commit itself failed in the device gets `PublishUnknown`, because nobody can tell.
- The sync fails: the log is written again at once. If that fails, too, what was committed can be seen, and may be lost with
  the power: who needs to know gets `PublishUnknown`.
- The process dies before the commit: nothing was kept and nobody was answered. After it: it was kept, and nobody was answered.
- Starving others: after 5 ms the lock is left alone for 0.2 ms.
"""

from __future__ import annotations

import errno
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from msgspec import Struct

from penstock.errors import PenstockError, PublishUnknown, SchemaOutdated, StoreCorrupt, StoreFull, StoreReadOnly, StoreUnavailable
from penstock.model.statement import Program, Rows
from penstock.stores.sql.operations import Group, Operation
from penstock.stores.sql.reply import Answer, Reply, send
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite.access import Access
from penstock.stores.sqlite.failures import name_of, translated
from penstock.stores.sqlite.fairness import Fairness
from penstock.stores.sqlite.forkable import Forkable
from penstock.stores.sqlite.logsync import LogSync

_GROUP = 4_000
"""Messages in one group at the most."""
_REST = 0.001
"""Seconds without work, after which code is cold."""

_EVERYBODYS = (StoreUnavailable, StoreFull, StoreReadOnly, StoreCorrupt, SchemaOutdated, PublishUnknown)

T = TypeVar("T")

log = logging.getLogger("penstock.store")


class Ticket(Struct, gc=False, eq=False):
    operation: Operation
    reply: Reply
    weight: int


class Writer:
    def __init__(self, access: Access) -> None:
        self._access = access
        self._inbox: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._log = LogSync(access.path)
        self._forkable = Forkable(self._connect)
        with self._forkable:  # what is wrong with the file is said now
            pass
        self._fairness = Fairness()
        self._closed = False
        self._many = False
        self._rested = False
        self._rings = False
        """What was committed has still to be told."""
        self._durable = False
        """What was committed has to be synced before it is answered."""
        self._heard: Rows = ()
        self._committed = False
        """What is written must not be written again, whatever fails after it."""
        self.waiting = 0
        """Messages not written yet."""
        self._thread = threading.Thread(target=self._work, name="penstock-writer", daemon=True)
        self._thread.start()

    async def submit(self, operation: Operation) -> Any:
        reply = Reply.awaited()
        self._post(operation, reply)
        return await reply.future

    def submit_blocking(self, operation: Operation) -> Any:
        """From a thread that may wait."""
        reply = Reply.blocking()
        self._post(operation, reply)
        return reply.future.result()

    def close(self) -> None:
        """Write what was accepted, then stop. Blocks."""
        if not self._closed:
            self._closed = True
            self._inbox.put(None)
            self._thread.join()
            self._refuse_late_ones()

    def _post(self, operation: Operation, reply: Reply) -> None:
        if self._closed:
            raise StoreUnavailable(f"{operation.doing}: the store is closed")
        weight = operation.weight
        self.waiting += weight  # no call between reading and writing it: threads do not interfere
        self._inbox.put(Ticket(operation, reply, weight))
        if not self._thread.is_alive():  # it was closed in this very moment
            self._refuse_late_ones()

    def _refuse_late_ones(self) -> None:
        """What another thread posted at the moment of closing."""
        with suppress(queue.Empty):
            while True:
                if (ticket := self._inbox.get_nowait()) is not None:
                    send([(ticket.reply, None, StoreUnavailable(f"{ticket.operation.doing}: the store is closed"))])

    # -- the thread --------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        self._log.leave()
        self._connection = connections.connect(self._access.path)
        self._full = True
        self._changes = 0
        return self._connection

    def _work(self) -> None:
        while True:
            tickets, open_ = self._gather()
            if tickets:
                weight = sum([ticket.weight for ticket in tickets])
                self.waiting -= weight
                self._many = len(tickets) > 1
                self._write(tickets)
            if not open_:
                break
        if self._access.checkpointer.gap.is_there:
            self._written_again()  # who closes the file last copies its log
        self._forkable.close()
        self._log.leave()

    def _gather(self) -> tuple[list[Ticket], bool]:
        began = time.monotonic()
        ticket = self._inbox.get()
        self._rested = time.monotonic() - began >= _REST
        if self._many:
            time.sleep(0)  # gives the GIL back: who was answered together asks together (measured: 40 % more, half the commits)
        tickets: list[Ticket] = []
        weight = 0
        try:
            while ticket is not None:
                tickets.append(ticket)
                weight += ticket.weight
                if weight >= _GROUP:
                    return tickets, True
                ticket = self._inbox.get_nowait()
        except queue.Empty:
            return tickets, True
        return tickets, False

    def _write(self, tickets: Sequence[Ticket]) -> None:
        """Never raises: whoever waits gets the error."""
        answers: list[Answer]
        try:
            answers = self._group(tickets)
        except _EVERYBODYS as error:
            answers = [(ticket.reply, None, error) for ticket in tickets]
        except BaseException as error:
            if len(tickets) == 1 or self._committed:
                answers = [(ticket.reply, None, error) for ticket in tickets]
            else:
                for ticket in tickets:
                    self._write([ticket])
                return
        paused = 0.0
        if self._durable:
            if self._rings:
                self._access.bells.ring_aside()  # who is woken is on the way while the disk works
            answers, paused = self._synced(tickets, answers)
        send(answers)
        self._access.bells.tell(self._heard)  # whoever waits for its answer first
        if self._rings and not self._durable:
            self._access.bells.ring()
        self._fairness.leave(more=not self._inbox.empty(), paused=paused)

    def _synced(self, tickets: Sequence[Ticket], answers: list[Answer]) -> tuple[list[Answer], float]:
        """And the seconds that the lock was free. Who asked for no durability has its answer in any case: it is done."""
        began = time.monotonic()
        try:
            self._log.sync()
            if self._access.checkpointer.gap.is_there:
                raise OSError(errno.EIO, "another process's sync failed meanwhile")
        except OSError as error:
            self._access.checkpointer.gap.note(error)
            if not self._written_again():
                asked = {id(ticket.reply): _unknown(ticket.operation, error) for ticket in tickets if ticket.operation.durable}
                answers = [(answer[0], None, asked[id(answer[0])]) if id(answer[0]) in asked else answer for answer in answers]
        return answers, time.monotonic() - began

    def _written_again(self) -> bool:
        """The log, and synced. Never raises."""
        try:
            self._access.lock.acquire()
            try:
                with self._forkable:
                    self._close_gap("sync the log")
            finally:
                self._access.lock.release()
        except PenstockError:
            return False
        return True

    def _group(self, tickets: Sequence[Ticket]) -> list[Answer]:
        access = self._access
        self._committed = self._rings = self._durable = False
        self._heard = ()
        group = Group([ticket.operation for ticket in tickets], access.dialect)
        later = access.power and group.durable and not group.exposed
        early = later and group.rings_early and access.bells.can_ring_aside()
        access.lock.acquire(self._rehearsal(group))
        try:
            if early:
                access.bells.ring_aside()
            with self._forkable:
                answers = self._transact(group, tickets)
        finally:
            access.lock.release()
        self._rings = group.rings and not early
        self._durable = later
        self._heard = group.heard
        return answers

    def _rehearsal(self, group: Group) -> Callable[[], None] | None:
        if not (self._rested and group.rehearses):
            return None

        def rehearse() -> None:
            """A fork waits for it, and it for nobody but a program that recovers the log or has the file for itself: 5 s at the most."""
            with suppress(PenstockError, ValueError, ArithmeticError), self._forkable:  # the performance will tell
                for program in group.rehearsals(self._access.clock.now()):
                    self._drive(program, group.doing)

        return rehearse

    def _transact(self, group: Group, tickets: Sequence[Ticket]) -> list[Answer]:
        try:
            self._close_gap(group.doing)
            self._sync_in_commit(self._access.power and group.exposed)
            self._begin(group.doing)
            if self._access.power:
                self._follow(group.doing)  # always: who opens the log after a sync has failed is told of no error
            self._access.signals.reach("write.begun")
            self._drive(self._access.clock.load(), group.doing)
            now = self._access.clock.now()
            answers: list[Answer] = []
            for indices, program in group.parts(now):
                results = self._drive(program, group.doing)
                answers += [(tickets[index].reply, result, None) for index, result in zip(indices, results, strict=True)]
            self._commit(group)
            self._checkpoint()
        except BaseException:
            self._roll_back()
            raise
        return answers

    def _close_gap(self, doing: str) -> None:
        try:
            self._access.checkpointer.gap.close(self._connection, doing)
        except sqlite3.Error as error:
            raise translated(error, doing) from error

    def _sync_in_commit(self, full: bool) -> None:
        if full != self._full:
            self._connection.execute(f"pragma synchronous = {'full' if full else 'normal'}")
            self._full = full

    def _follow(self, doing: str) -> None:
        try:
            self._log.follow()
        except OSError as error:
            raise StoreUnavailable(f"{doing}: the log cannot be opened to sync it ({error})") from error

    def _begin(self, doing: str) -> None:
        try:
            self._connection.execute("begin immediate")
        except sqlite3.Error as error:
            raise translated(error, doing) from error

    def _drive(self, program: Program[T], doing: str) -> T:
        try:
            return connections.drive(self._connection, program, self._access.library)
        except sqlite3.Error as error:
            raise translated(error, doing) from error

    def _commit(self, group: Group) -> None:
        reach = self._access.signals.reach
        for point in group.points:
            reach(f"{point}.before_commit")
        try:
            self._connection.execute("commit")
        except sqlite3.Error as error:
            self._access.checkpointer.note(error)
            if name_of(error).startswith("SQLITE_IOERR") and group.durable:
                raise PublishUnknown(f"{group.doing}: the device failed while committing; retry with the same id ({error})") from error
            raise translated(error, group.doing) from error
        self._committed = True
        for point in group.points:
            reach(f"{point}.after_commit")

    def _checkpoint(self) -> None:
        changes = self._connection.total_changes
        checkpointer = self._access.checkpointer
        checkpointer.count(changes - self._changes)
        self._changes = changes
        if checkpointer.due:
            checkpointer.run(self._connection)

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("rollback")
        except sqlite3.Error:
            log.warning("rollback failed; SQLite undoes the transaction by itself", exc_info=True)


def _unknown(operation: Operation, error: OSError) -> PublishUnknown:
    return PublishUnknown(
        f"{operation.doing}: it can be seen, and may be lost if the power fails, since the log could not be synced; if it was put "
        f"under an id, retry with that ({error})"
    )
