"""The suite on SQLite."""

from collections.abc import AsyncIterator

import pytest

from penstock.testing.conformance import Ground, StoreConformance
from penstock.testing.storage import fast_folder
from tests.conformance.sqlite_backend import SqliteBackend


class TestSqlite(StoreConformance):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Ground]:
        with fast_folder() as folder:
            async with Ground(SqliteBackend(folder)) as ground:
                yield ground
