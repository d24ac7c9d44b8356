"""`ports.queue.Queue`: claims take a transaction a queue, and what a lost reply has given is given back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock.model.delivery import Settlement
from penstock.ports.queue import Claim, Claimed
from penstock.stores.postgres.doubt import Doubt
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
        self._clock = roads[0].clock
        self._bounds = bounds
        self._pooled = bounds.lasting is not None
        self._doubts: dict[int, Doubt] = {}

    def connected(self) -> None:
        """Anew: the server may have crashed since."""
        self._bounds.reset()
        for doubt in self._doubts.values():
            doubt.look()

    async def claim(self, ask: Claim) -> Claimed:
        doubt = self._doubts.setdefault(ask.owner, Doubt(ask.owner, pooled=self._pooled))
        return await self._walk(doubt.course(doubt.in_order(ask, self._clock.now()), self._bounds), CLAIMS)

    def parts(self, owner: int, settlements: Sequence[Settlement]) -> Sequence[Sequence[Settlement]]:
        return doubt.parts(settlements) if (doubt := self._doubts.get(owner)) is not None else [settlements]

    def ended(self, owner: int, settlements: Sequence[Settlement]) -> None:
        """By a transaction."""
        if (doubt := self._doubts.get(owner)) is not None:
            doubt.end(settlements)

    async def settle(self, owner: int, settlements: Sequence[Settlement]) -> list[int]:
        lost: list[int] = []
        try:
            for part in self.parts(owner, settlements):
                lost += await super().settle(owner, part)
                self.ended(owner, part)
        except Exception:
            if (doubt := self._doubts.get(owner)) is not None:
                doubt.doubt()
            raise
        return lost
