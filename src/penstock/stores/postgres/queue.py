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

    def ended(self, owner: int, settlements: Sequence[Settlement]) -> None:
        """By a transaction."""
        if (doubt := self._doubts.get(owner)) is not None:
            doubt.end(settlements)

    def lost(self, owner: int, settlements: Sequence[Settlement]) -> list[int]:
        """Those that are of a claim before the last one of their message."""
        if (doubt := self._doubts.get(owner)) is None or not doubt.twice:
            return []
        current = {id(each) for each in doubt.current(settlements)}
        return [each.delivery.seq for each in settlements if id(each) not in current]

    async def settle(self, owner: int, settlements: Sequence[Settlement]) -> list[int]:
        if (doubt := self._doubts.get(owner)) is None:
            return await super().settle(owner, settlements)
        current = doubt.current(settlements)
        lost = await super().settle(owner, current) if current else []
        doubt.end(current)
        if len(current) < len(settlements):
            sent = {id(each) for each in current}
            lost += [each.delivery.seq for each in settlements if id(each) not in sent]
        return lost
