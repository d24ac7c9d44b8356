"""The connection that a test lends."""

from __future__ import annotations

import sqlite3
from typing import TypeVar

from penstock.errors import ConfigurationError
from penstock.model.statement import Program, Rows
from penstock.ports.transaction import LentConnection
from penstock.stores.sql.executors import drive, drive_async
from penstock.stores.sql.library import Library
from penstock.stores.sqlite.failures import translated
from penstock.stores.sqlite.joined import as_foreign

T = TypeVar("T")

_DOING = "run jobs in the test's transaction"


class Borrowed:
    """The user's connection, with the statements that this store knows by name."""

    def __init__(self, foreign: object) -> None:
        """Raises ConfigurationError for what is no connection to a SQLite file."""
        connection = as_foreign(foreign)
        if not isinstance(connection, LentConnection):
            raise ConfigurationError(f"drain(tx=…): jobs cannot be run on a {type(connection).__name__}")
        self.foreign = connection
        self._library = Library.load("penstock.stores.sqlite")

    def drive(self, program: Program[T]) -> T:
        run = self.foreign.run
        run(self._library["open_step"], ())
        try:
            return drive(program, self._library, run)
        except BaseException as error:
            run(self._library["undo_step"], ())
            if isinstance(error, sqlite3.Error):
                raise translated(error, _DOING) from error
            raise
        finally:
            run(self._library["keep_step"], ())

    def bare(self, name: str) -> Rows:
        return self.foreign.run(self._library[name], ())

    async def bare_async(self, name: str) -> Rows:
        return await self.foreign.run_async(self._library[name], ())

    async def drive_async(self, program: Program[T]) -> T:
        run = self.foreign.run_async
        await run(self._library["open_step"], ())
        try:
            return await drive_async(program, self._library, run)
        except BaseException as error:
            await run(self._library["undo_step"], ())
            if isinstance(error, sqlite3.Error):
                raise translated(error, _DOING) from error
            raise
        finally:
            await run(self._library["keep_step"], ())
