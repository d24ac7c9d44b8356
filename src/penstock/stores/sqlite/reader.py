"""A connection to look with, on a thread of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from penstock.model.statement import Rows
from penstock.stores.sql.library import Library
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite.failures import translated


class Reader:
    def __init__(self, path: str, library: Library) -> None:
        self._library = library
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="penstock-reader")

    async def rows(self, name: str, params: Mapping[str, Any]) -> Rows:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, name, params)

    def close(self) -> None:
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _read(self, name: str, params: Mapping[str, Any]) -> Rows:
        if self._connection is None:
            self._connection = connections.connect_readonly(self._path)
        try:
            return self._connection.execute(self._library[name], params).fetchall()
        except sqlite3.Error as error:
            raise translated(error, "look into the store") from error

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
