"""The store on one SQLite file: puts the parts together, opens and closes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from penstock.errors import StoreUnavailable
from penstock.ports.signals import Signals
from penstock.ports.store import Durability
from penstock.stores.sql.inspect import SqlInspect
from penstock.stores.sql.library import Library
from penstock.stores.sql.log import SqlLog
from penstock.stores.sql.queue import SqlQueue
from penstock.stores.sql.reply import in_a_thread
from penstock.stores.sql.room import PATIENCE
from penstock.stores.sql.settings import SqlSettings
from penstock.stores.sql.timetable import SqlSchedules
from penstock.stores.sqlite.access import Access, Bells
from penstock.stores.sqlite.checkpoint import Checkpointer
from penstock.stores.sqlite.clock import StoreClock
from penstock.stores.sqlite.dialect import SQLITE
from penstock.stores.sqlite.files import Folder
from penstock.stores.sqlite.follow import SqliteFollow
from penstock.stores.sqlite.handle import Handle
from penstock.stores.sqlite.joined import Joined
from penstock.stores.sqlite.opening import open_file
from penstock.stores.sqlite.registry import SqliteLeases
from penstock.stores.sqlite.threads import Threads
from penstock.stores.sqlite.transaction import Transactions
from penstock.stores.sqlite.writelock import WriteLock

_GRACE = 1.0
"""Seconds beyond a transaction's limit, after which whoever waits for the lock gives up."""


class SqliteStore:
    """Implements `ports.store.Store`. Belongs to the process that opens it; usable from any loop and thread of that process."""

    one_writer = True

    queue: SqlQueue
    log: SqlLog
    leases: SqliteLeases
    schedules: SqlSchedules
    inspect: SqlInspect
    settings: SqlSettings
    follow: SqliteFollow

    def __init__(
        self,
        path: str,
        *,
        signals: Signals,
        durability: Durability = "power",
        limits: Mapping[str, int] | None = None,
        patience: float = PATIENCE,
        clock: StoreClock | None = None,
        transactions: Transactions | None = None,
    ) -> None:
        self.clock = clock or StoreClock()
        self._folder = Folder(path)
        self._signals = signals
        self._durability: Durability = durability
        self._limits = limits if limits is not None else {}
        self._patience = patience
        self._transactions = transactions or Transactions()
        self._threads: Threads | None = None

    @property
    def url(self) -> str:
        return f"sqlite:///{self._folder.database}"

    async def open(self, *, migrate: bool = True) -> None:
        if self._threads is None:
            await in_a_thread(lambda: self._open(migrate))

    async def close(self) -> None:
        if (threads := self._let_go()) is not None:
            await in_a_thread(threads.close)
            self.leases.close()
            self.follow.close()
            self._folder.leave()

    def close_now(self) -> None:
        """As `close`, blocking the calling thread: also where no loop runs any more."""
        if (threads := self._let_go()) is not None:
            threads.close()
            self.leases.close()
            self._folder.leave()

    def transaction(self, *, shared: bool = False, blocking: bool = False) -> Handle:
        return self._opened().transaction(shared=shared)

    async def check_transactions(self, *, blocking: bool) -> None:
        """All are on one connection of the store's; where that cannot be had, it has said so when it was opened."""

    def join(self, connection: object) -> Joined:
        return self._opened().join(connection, self._durability)

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._opened().listen(wake)

    def _open(self, migrate: bool) -> None:
        library = Library.load("penstock.stores.sqlite")
        open_file(self._folder, library, self.clock, migrating=migrate)

        checkpointer = Checkpointer(self._folder.gap())

        def access(bells: Bells) -> Access:
            power = self._durability != "process"
            lock = WriteLock(self._folder.path / "write.lock", self._transactions.limit + _GRACE)
            return Access(self._folder.database, library, SQLITE, self.clock, self._signals, lock, power, checkpointer, bells)

        self._threads = threads = Threads(self._folder, access, self._transactions)
        self.queue = self._make_queue(threads)
        self.log = self._make_log(threads)
        self.leases = SqliteLeases(threads.writer, threads.reader, self.clock, self._folder, checkpointer.remind)
        self.schedules = SqlSchedules(threads.writer, threads.reader, self.clock, SQLITE)
        self.inspect = SqlInspect(threads.reader, self.clock, SQLITE, self._folder.died)
        self.settings = SqlSettings(threads.writer, threads.reader)
        self.follow = SqliteFollow(threads.writer, self._folder.bells)

    def _make_log(self, threads: Threads) -> SqlLog:
        return SqlLog(threads.writer, threads.reader, SQLITE)

    def _make_queue(self, threads: Threads) -> SqlQueue:
        return SqlQueue(threads.writer, threads.reader, SQLITE, self._limits, self._patience)

    def _let_go(self) -> Threads | None:
        """Once."""
        threads, self._threads = self._threads, None
        return threads

    def _opened(self) -> Threads:
        if self._threads is None:
            raise StoreUnavailable(f"{self.url} is not open")
        return self._threads
