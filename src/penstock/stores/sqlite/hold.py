"""One time that the transaction thread holds the file's write lock: one transaction, or several that share a commit.

A handler's transaction that has written its last statement does not commit at once if another handler waits for its turn: that
one runs in a savepoint of the same database transaction, and one synced commit serves them all. Nobody is answered before it.

- Who fails, or is given up, is rolled back to where it began; the others stay.
- If the commit fails, or SQLite rolls back on its own (a full disk, an interrupted statement, `on conflict rollback`), nobody's is
  kept and everybody is told. So only those share whom the engine runs again, uncounted: handlers. `app.transaction()` is alone.
- A crash before the commit: nothing of any of them was kept.
- Who comes later reads what the earlier ones wrote before that is safe on disk; it is never committed without them.
- A slow one makes the earlier ones wait, at most for its own time limit; after that, and after a commit that failed for the data
  of one of them (a deferred constraint), nobody shares for some seconds.
"""

from __future__ import annotations

import logging
import sqlite3
import time

from penstock.errors import PenstockError, PublishUnknown, StoreUnavailable
from penstock.stores.sqlite.access import Access
from penstock.stores.sqlite.failures import translate, translated
from penstock.stores.sqlite.fairness import HOLD, Fairness
from penstock.stores.sqlite.forkable import Forkable
from penstock.stores.sqlite.reply import Reply, send

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
        self._began = 0.0
        self._apart_until = 0.0

    @property
    def welcomes(self) -> bool:
        """One more may share the commit."""
        now = time.monotonic()
        return now - self._began < HOLD and now >= self._apart_until

    def begin(self) -> None:
        """For the first one, or for one more. Raises StoreError; then nothing has changed."""
        if self.open:
            self._execute("savepoint penstock_member")
            return
        self._access.lock.acquire()
        try:
            self._execute("begin immediate")
        except sqlite3.Error as error:
            self._access.lock.release()
            raise translated(error, "begin a transaction") from error
        except BaseException:
            self._access.lock.release()
            raise
        self.open = True
        self._began = time.monotonic()

    def keep(self, reply: Reply, value: object, *, rings: bool) -> None:
        """All of the one who runs is written. It is answered when that is committed."""
        if self._served:
            self._execute("release penstock_member")
        self._served.append((reply, value))
        self._rings |= rings

    def undo(self) -> None:
        """What the one who runs has written is undone."""
        if not self._served:
            self._let_go(None)
        elif self.whole:
            self._execute("rollback to penstock_member")
            self._execute("release penstock_member")
        else:
            self._let_go(PublishUnknown("commit a transaction: another one, that shared its commit, ended it"))

    @property
    def whole(self) -> bool:
        """The database transaction is still there."""
        with self._forkable as connection:
            return connection.in_transaction

    def commit(self, *, more: bool) -> None:
        """Never raises: whoever waits is told. `more`: others wait for their turn."""
        shared = len(self._served) > 1
        apart = shared and time.monotonic() - self._began > _SLOW
        error: BaseException | None = None
        try:
            self._commit()
        except PenstockError as failure:
            error = failure
        except BaseException as failure:
            apart, error = shared, _everybodys(failure) if shared else failure
        self._let_go(error)
        if apart:
            self._apart_until = time.monotonic() + _APART
        self._fairness.leave(more=more)

    def _commit(self) -> None:
        self._access.signals.reach("tx.before_commit")
        try:
            self._execute("commit")
        except sqlite3.Error as error:
            if error.sqlite_errorname.startswith("SQLITE_IOERR"):
                raise PublishUnknown(f"commit a transaction: the device failed meanwhile; look whether it is there ({error})") from error
            raise translate(error, "commit a transaction") or error from error
        self._access.checkpointer.count(0)
        self._access.signals.reach("tx.after_commit")

    def _let_go(self, error: BaseException | None) -> None:
        """Of the lock first; then the answers, and the bells last."""
        served, self._served = self._served, []
        rings, self._rings = self._rings, False
        try:
            self._clean_up()
        finally:
            self.open = False
            self._access.lock.release()
        send([(reply, None if error else value, error) for reply, value in served])
        if rings and error is None:
            self._access.committed()

    def _clean_up(self) -> None:
        try:
            self._forkable.roll_back()
        except sqlite3.Error:
            log.warning("rollback failed; SQLite undoes the transaction by itself", exc_info=True)
        checkpointer = self._access.checkpointer
        if checkpointer.due:
            with self._forkable as connection:
                checkpointer.run(connection)

    def _execute(self, sql: str) -> None:
        with self._forkable as connection:
            connection.execute(sql)


def _everybodys(failure: BaseException) -> StoreUnavailable:
    """A deferred constraint, say: it cannot be known whose."""
    error = StoreUnavailable(f"commit a transaction: one of those that shared it could not be kept ({failure}); each runs again alone")
    error.__cause__ = failure
    return error
