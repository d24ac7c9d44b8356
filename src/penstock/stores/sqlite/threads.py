"""The threads of one process on one file, and what is made on top of them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from penstock.ports.store import Durability
from penstock.stores.sqlite.access import Access, Bells
from penstock.stores.sqlite.doorbell import Ringer, Watch
from penstock.stores.sqlite.files import Folder
from penstock.stores.sqlite.handle import Handle
from penstock.stores.sqlite.joined import Joined, Joiner
from penstock.stores.sqlite.reader import Reader
from penstock.stores.sqlite.transaction import Transaction, Transactions, TransactionThread
from penstock.stores.sqlite.writer import Writer


class Threads:
    """Writer and reader start at once, the transaction thread at the first transaction."""

    def __init__(self, folder: Folder, make_access: Callable[[Bells], Access], transactions: Transactions) -> None:
        self._folder = folder
        self._ringer = Ringer(folder.bells)
        self._make_access = make_access
        self._how = transactions
        self.access = make_access(self._ringer)
        self.writer = Writer(self.access)
        self.joiner = Joiner(self.access, self.writer)
        self.reader = Reader(folder.database, self.access.library)
        self._other: Access | None = None
        self._transactions: TransactionThread | None = None
        self._starting = threading.Lock()

    def transaction(self, *, shared: bool) -> Handle:
        with self._starting:
            thread = self._transactions or self._start_transactions()
        return Handle(self.access, thread, Transaction(shared=shared))

    def _start_transactions(self) -> TransactionThread:
        access = self._make_access(self._ringer)
        try:
            self._transactions = TransactionThread(access, self._how)
        except BaseException:
            access.lock.close()
            raise
        self._other = access
        return self._transactions

    def join(self, connection: object, durability: Durability) -> Joined:
        return self.joiner.join(connection, durability)

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        return Watch(self._folder.database, self._folder.bells, wake).close

    def close(self) -> None:
        if self._transactions is not None:
            self._transactions.close()
        self.writer.close()
        self.reader.close()
        self._ringer.close()
        for access in (self.access, self._other):
            if access is not None:
                access.lock.close()
