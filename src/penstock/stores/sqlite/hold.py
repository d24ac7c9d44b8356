"""One time that the transaction thread holds the file's write lock: one transaction, or several that share a commit.

A handler's transaction that has written its last statement does not commit at once if another handler waits for its turn: that
one runs in the same database transaction, and one synced commit serves them all. Nobody is answered before it. Each of them is
a savepoint, so that who fails, or is given up, is rolled back to where it began; the others stay.

- If the commit fails, or SQLite rolls back on its own (a full disk, an interrupted statement, `on conflict rollback`), nobody's is
  kept and everybody is told. So only those share whom the engine runs again, uncounted: handlers. `app.transaction()` is alone.
- A crash before the commit: nothing of any of them was kept.
- Who comes later reads what the earlier ones wrote before that is safe on disk. Its own transaction is never committed without
  them; a dead letter that it ends in because of what it read is.
- A slow one makes the earlier ones wait, at most for its own time limit. After that, and after one that took the others with it,
  nobody shares for some seconds.
"""

from __future__ import annotations

import logging
import sqlite3
import time

from penstock.errors import PenstockError, PublishUnknown, StoreError, StoreUnavailable
from penstock.model.statement import Row, Rows
from penstock.stores.sql.reply import Reply, send
from penstock.stores.sqlite.access import Access
from penstock.stores.sqlite.failures import name_of, translate, translated
from penstock.stores.sqlite.fairness import HOLD, Fairness
from penstock.stores.sqlite.forkable import Forkable

_SLOW = 0.05
"""Seconds from the first statement to the commit."""
_APART = 5.0

log = logging.getLogger("penstock.store")


class Hold:
    def __init__(self, access: Access, forkable: Forkable) -> None:
        self.open = False
        self._access = access
        self._forkable = forkable
        self._fairness = Fairness()
        self._served: list[tuple[Reply, object]] = []
        """What is written and waits for the commit."""
        self._rings = False
        self._heard: list[Row] = []
        self._shared = False
        self._committed = False
        self._changes = 0
        self._began = 0.0
        self._apart_until = 0.0

    @property
    def welcomes(self) -> bool:
        """One more may share the commit."""
        now = time.monotonic()
        return now - self._began < HOLD and now >= self._apart_until

    @property
    def whole(self) -> bool:
        """The database transaction is still there."""
        with self._forkable as connection:
            return connection.in_transaction

    def begin(self) -> None:
        """For the first one, or for one more. Raises StoreError; then it has not begun."""
        self._shared = self.open
        if not self.open:
            self._access.lock.acquire()
            self.open, self._began, self._committed = True, time.monotonic(), False
        try:
            if not self._shared:
                self._close_gap()
                self._execute("begin immediate")
                self._read_clock()
            self._execute("savepoint penstock_member")
        except BaseException as error:
            if not self._served:
                self._let_go(None)
            if isinstance(error, sqlite3.Error):
                raise translated(error, "begin a transaction") from error
            raise

    def keep(self, reply: Reply, value: object, *, rings: bool, heard: Rows) -> None:
        """All of the one who runs is written, and it is answered when that is committed. Raises; then it has to be undone."""
        self._execute("release penstock_member")
        self._served.append((reply, value))
        self._rings |= rings
        self._heard += heard

    def undo(self) -> None:
        """What the one who runs has written is undone. Never raises: if it cannot be undone alone, all of them are."""
        error: StoreError | PublishUnknown | None = None
        if self._served:
            try:
                self._execute("rollback to penstock_member")
                self._execute("release penstock_member")
                return
            except (sqlite3.Error, StoreError) as failure:
                log.warning("a transaction could not be undone alone; those that share its commit are run again", exc_info=True)
                error = _gone(failure)
                self._part()
        self._let_go(error)

    def commit(self, *, more: bool) -> None:
        """Never raises: whoever waits is told. `more`: others wait for their turn."""
        error: BaseException | None = None
        if self._shared and time.monotonic() - self._began > _SLOW:
            self._part()
        try:
            self._commit()
        except BaseException as failure:
            error = self._told(failure)
        self._let_go(error)
        self._fairness.leave(more=more)

    def abandon(self, error: BaseException) -> None:
        """After something that nobody foresaw. Never raises."""
        if self.open:
            self._let_go(error)

    def _commit(self) -> None:
        self._access.signals.reach("tx.before_commit")
        try:
            self._execute("commit")
        except sqlite3.Error as error:
            self._access.checkpointer.note(error)
            if name_of(error).startswith("SQLITE_IOERR"):
                raise PublishUnknown(f"commit a transaction: the device failed meanwhile; look whether it is there ({error})") from error
            raise translate(error, "commit a transaction") or error from error
        self._committed = True
        self._access.signals.reach("tx.after_commit")

    def _told(self, failure: BaseException) -> BaseException:
        """What is said of a commit that failed. Whose a deferred constraint is, say, cannot be known when several shared it."""
        if self._committed:
            return PublishUnknown(f"commit a transaction: it is there, but something failed after it ({failure})")
        if isinstance(failure, PenstockError) or len(self._served) < 2:
            return failure
        self._part()
        error = StoreUnavailable(f"commit a transaction: one of those that shared it could not be kept ({failure}); each runs again alone")
        error.__cause__ = failure
        return error

    def _part(self) -> None:
        """Nobody shares for a while."""
        self._apart_until = time.monotonic() + _APART

    def _let_go(self, error: BaseException | None) -> None:
        """Of the lock first; then the answers, and the bells last."""
        served, self._served = self._served, []
        rings, self._rings = self._rings, False
        heard, self._heard = self._heard, []
        try:
            self._clean_up()
        finally:
            self.open = self._shared = False
            self._access.lock.release()
            send([(reply, None if error else value, error) for reply, value in served])
        if error is None:
            self._access.bells.tell(heard)
            if rings:
                self._access.bells.ring()

    def _clean_up(self) -> None:
        try:
            self._forkable.roll_back()
            with self._forkable as connection:
                self._checkpoint(connection)
        except (sqlite3.Error, StoreError):
            log.warning("clean up after a transaction; SQLite undoes what was not committed by itself", exc_info=True)

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        changes = connection.total_changes
        checkpointer = self._access.checkpointer
        if self._committed:
            checkpointer.count(changes - self._changes if changes >= self._changes else changes)
        self._changes = changes
        if checkpointer.due:
            checkpointer.run(connection)

    def _close_gap(self) -> None:
        with self._forkable as connection:
            self._access.checkpointer.gap.close(connection, "begin a transaction")

    def _read_clock(self) -> None:
        with self._forkable as connection:
            self._access.drive(connection, self._access.clock.load())

    def _execute(self, sql: str) -> None:
        with self._forkable as connection:
            connection.execute(sql)


def _gone(failure: BaseException) -> PublishUnknown:
    return PublishUnknown(f"commit a transaction: another one, that shared its commit, ended it ({failure})")
