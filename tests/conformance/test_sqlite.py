"""The suite on SQLite."""

from collections.abc import AsyncIterator

import pytest

from penstock.testing.conformance import Capabilities, Ground, StoreConformance
from tests.conformance.sqlite_backend import SqliteBackend, fast_folder


class TestSqlite(StoreConformance):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Ground]:
        with fast_folder() as folder:
            async with Ground(SqliteBackend(folder)) as ground:
                yield ground


def test_sqlite_lost_no_capability() -> None:
    assert SqliteBackend.capabilities == Capabilities(joins=True, checks_durability=True)
