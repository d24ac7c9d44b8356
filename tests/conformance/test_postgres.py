"""The suite on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from penstock.testing.conformance import Ground, StoreConformance
from tests.conformance.postgres_backend import PostgresBackend


class TestPostgres(StoreConformance):
    @pytest.fixture
    async def store(self, postgres_url: str) -> AsyncIterator[Ground]:
        backend = PostgresBackend(postgres_url)
        try:
            async with Ground(backend) as ground:
                yield ground
        finally:
            backend.drop()
