"""A connection to look with, on a thread of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from penstock.errors import StoreUnavailable
from penstock.model.statement import Program, Rows
from penstock.stores.sql.library import Library
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite.failures import translated
from penstock.stores.sqlite.forkable import Forkable

T = TypeVar("T")


class Reader:
    def __init__(self, path: str, library: Library) -> None:
        self._library = library
        self._forkable = Forkable(lambda: connections.connect_readonly(path))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="penstock-reader")
        self._closed = False

    async def rows(self, name: str, params: Mapping[str, Any]) -> Rows:
        return await self._asked(lambda: self._read(name, params))

    async def drive(self, program: Program[T]) -> T:
        """Run a program that only reads. What others commit between two of its statements is seen by the second."""
        return await self._asked(lambda: self._drive(program))

    def close(self) -> None:
        self._closed = True
        self._thread.submit(self._forkable.close).result()
        self._thread.shutdown()

    def _asked(self, look: Callable[[], T]) -> asyncio.Future[T]:
        if not self._closed:
            with suppress(RuntimeError):  # it was closed in this very moment
                return asyncio.get_running_loop().run_in_executor(self._thread, look)
        raise StoreUnavailable("look into the store: the store is closed")

    def _read(self, name: str, params: Mapping[str, Any]) -> Rows:
        return self._look(lambda connection: connections.runner(connection)(self._library[name], params))

    def _drive(self, program: Program[T]) -> T:
        return self._look(lambda connection: connections.drive(connection, program, self._library))

    def _look(self, look: Callable[[sqlite3.Connection], T]) -> T:
        with self._forkable as connection:
            try:
                return look(connection)
            except sqlite3.Error as error:
                raise translated(error, "look into the store") from error
