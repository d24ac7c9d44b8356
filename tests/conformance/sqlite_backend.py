"""SQLite for the suite: a file in memory-backed storage where there is some, and a clock that stands still."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penstock.model.clock import SECOND
from penstock.observe.signals import Signals
from penstock.stores import sqlite
from penstock.stores.sqlite.store import SqliteStore
from penstock.stores.sqlite.transaction import Transactions
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance import Capabilities, Setup
from penstock.testing.conformance.backend import Where

START = 1_700_000_000 * SECOND


class SqliteConnection:
    """A user's `sqlite3.Connection` with the settings that the module gives it."""

    def __init__(self, path: Path, *, careless: bool = False) -> None:
        self.driver = sqlite3.connect(path)
        self.driver.execute(f"pragma synchronous = {'normal' if careless else 'full'}")
        self.driver.execute("pragma wal_autocheckpoint = 0")

    def execute(self, sql: str) -> Sequence[Sequence[Any]]:
        return self.driver.execute(sql).fetchall()

    def commit(self) -> None:
        self.driver.commit()

    def rollback(self) -> None:
        self.driver.rollback()

    def close(self) -> None:
        self.driver.close()


class SqliteBackend:
    capabilities = Capabilities.read(Path(sqlite.__file__).with_name("capabilities.toml"))

    def __init__(self, folder: Path) -> None:
        self.path = folder / "store.db"
        self._crashes = 0
        self.clock = VirtualClock(START)
        self.signals = Signals()

    def make(self, setup: Setup) -> SqliteStore:
        return SqliteStore(
            str(self.path),
            signals=self.signals,
            limits=setup.limits,
            patience=setup.patience,
            clock=self.clock.store_clock(),
            transactions=Transactions(setup.tx_limit),
        )

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def set_wall(self, seconds: float) -> None:
        self.clock.set_wall(seconds)

    def cut(self) -> None:
        """A file has no connections."""

    def crash(self) -> None:
        """All processes die at once: who comes finds what the files hold now. Those that had them open write to what nobody reads."""
        self._crashes += 1
        found = self.path.with_name(f"store-{self._crashes}.db")
        for end in ("", "-wal"):
            shutil.copyfile(f"{self.path}{end}", f"{found}{end}")
        self.path = found

    def connect(self, where: Where) -> SqliteConnection:
        path = self.path.with_name("elsewhere.db") if where == "elsewhere" else self.path
        return SqliteConnection(path, careless=where == "careless")
