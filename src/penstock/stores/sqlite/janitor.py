"""Checkpoints for what connections of the user's log.

Their automatic checkpoints are off, and where no worker is up nobody else copies the log back: it would grow for ever. So each
process counts what it put on such connections, and when a checkpoint is due its own writer's thread does one.

- It runs inside a transaction that writes nothing, on a second connection: behind the folder's write lock nobody of Penstock's
  can commit, and behind SQLite's nobody at all. So it copies everything and the log begins anew, however busy the users are;
  and no commit meets a checkpoint (the WAL-reset bug, see `checkpoint`).
- Due: after about as much as a writer would have logged, or with the first put 10 s after the last checkpoint, since nobody
  knows what else the user's transaction wrote.
- A session tells when it has committed; of a connection that cannot tell, the next put finds that it is due.
- Nobody waits for it: the user's transaction may be what the writer waits for. If that takes too long, a later put asks again.
"""

from __future__ import annotations

import logging
import threading
from contextlib import closing

from penstock.errors import PenstockError
from penstock.model.statement import Program, Statement
from penstock.stores.sql.operations import Run
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite.access import Access
from penstock.stores.sqlite.writer import Writer

log = logging.getLogger("penstock.store")


class Janitor:
    """One a process; called on any thread."""

    def __init__(self, access: Access, writer: Writer) -> None:
        self._path = access.path
        self._writer = writer
        self._checkpointer = access.checkpointer
        self._turn = threading.Lock()

    @property
    def busy(self) -> bool:
        """It has asked the writer, which has not answered yet."""
        return self._turn.locked()

    def wrote(self) -> None:
        """Something was put on a connection of the user's; it will be in the log if they commit."""
        self._checkpointer.count(0)
        self._checkpointer.remind()

    def tidy(self) -> None:
        """If a checkpoint is due, have it done. Does not wait, and never raises."""
        if self._checkpointer.due and self._turn.acquire(blocking=False):
            try:
                threading.Thread(target=self._ask, name="penstock-janitor", daemon=True).start()
            except RuntimeError:  # the interpreter ends
                self._turn.release()

    def _ask(self) -> None:
        try:
            self._writer.submit_blocking(Run(lambda _: self._copy(), "checkpoint", durable=False))
        except PenstockError as error:
            log.info("no checkpoint now, a later put asks again: %s", error)
        finally:
            self._turn.release()

    def _copy(self) -> Program[None]:
        """On the writer's thread, in its transaction."""
        yield Statement("take_write_lock")
        try:
            with closing(connections.connect(self._path)) as connection:
                self._checkpointer.run(connection)
        except PenstockError as error:  # the others of its group have nothing to do with it
            log.info("no checkpoint now, a later put asks again: %s", error)
