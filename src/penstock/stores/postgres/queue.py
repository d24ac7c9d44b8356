"""`ports.queue.Queue`: claims take a transaction a queue."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.ports.queue import Claim, Claimed
from penstock.stores.postgres.claim import course
from penstock.stores.postgres.look import Bounds
from penstock.stores.postgres.reader import PostgresReader
from penstock.stores.postgres.writer import PostgresWriter
from penstock.stores.sql.dialect import Dialect
from penstock.stores.sql.operations import CLAIMS
from penstock.stores.sql.queue import SqlQueue


class PostgresQueue(SqlQueue):
    def __init__(
        self, roads: tuple[PostgresWriter, PostgresReader], dialect: Dialect, bounds: Bounds, limits: Mapping[str, int], patience: float
    ) -> None:
        super().__init__(*roads, dialect, limits, patience)
        self._walk = roads[0].walk
        self._bounds = bounds

    async def claim(self, ask: Claim) -> Claimed:
        return await self._walk(course(ask, self._bounds), CLAIMS)
