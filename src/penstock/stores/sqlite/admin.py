"""The store from outside, for commands: synchronous, and it never creates a file by looking."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from penstock.errors import StoreError
from penstock.ports.store import Facts, Schema
from penstock.stores.sql.filelock import is_free
from penstock.stores.sql.library import Library
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite import migrate
from penstock.stores.sqlite.clock import StoreClock
from penstock.stores.sqlite.failures import translated
from penstock.stores.sqlite.files import Folder
from penstock.stores.sqlite.opening import open_file

_WAL_RESET_FIXED = (3, 51, 3)


class SqliteAdministration:
    """Implements `ports.store.Administration`."""

    def __init__(self, path: str) -> None:
        self._folder = Folder(path)

    @property
    def exists(self) -> bool:
        return Path(self._folder.database).exists()

    def facts(self) -> Facts:
        database = Path(self._folder.database)
        files = {"database": database, "write-ahead log": Path(f"{database}-wal")}
        sizes = {what: file.stat().st_size for what, file in files.items() if file.exists()}
        return Facts(f"SQLite {sqlite3.sqlite_version}", str(database), sizes, _warnings(sqlite3.sqlite_version_info))

    def schema(self) -> Schema:
        connection = connections.connect_readonly(self._folder.database)
        try:
            return migrate.read(connection)
        except sqlite3.Error as error:
            raise translated(error, f"read the schema of {self._folder.database}") from error
        finally:
            connection.close()

    def migrate(self) -> Schema:
        """Creates the file if there is none."""
        open_file(self._folder, Library.load("penstock.stores.sqlite"), StoreClock(), migrating=True)
        return self.schema()

    def script(self) -> str:
        found = self.schema().found if self.exists else 0
        return migrate.missing(found) if found < migrate.NEEDED else ""

    def live(self) -> bool:
        self.schema()
        return True

    def held_back(self) -> None:
        """Nobody: transactions append one after the other."""

    def ready(self) -> str | None:
        try:
            migrate.check(self.schema(), self._folder.database)
            workers = self._look()
        except StoreError as error:
            return str(error)
        if not os.access(self._folder.database, os.W_OK):
            return f"{self._folder.database} cannot be written by this user"
        if any(not is_free(self._folder.worker_lock(worker)) for worker in workers):
            return None
        return "no worker is alive: start one with `penstock worker module:app`"

    def _look(self) -> list[int]:
        """The workers in the registry. Meets a page of each table on the way: not a check of the file, but it takes no time."""
        library = Library.load("penstock.stores.sqlite")
        connection = connections.connect_readonly(self._folder.database)
        try:
            connection.execute(library["touch"]).fetchall()
            return [row[0] for row in connection.execute(library["others"], {"incarnation": 0}).fetchall()]
        except sqlite3.Error as error:
            raise translated(error, f"look into {self._folder.database}") from error
        finally:
            connection.close()


def _warnings(version: tuple[int, ...]) -> tuple[str, ...]:
    if version >= _WAL_RESET_FIXED:
        return ()
    return ("SQLite before 3.51.3 has the WAL-reset bug: rare, and Penstock avoids what leads to it; other programs on this file may not",)
