"""The innermost stage of a batch task: decode all rows, call once, and say how each ended. Never raises."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from penstock.engine.stages.invoke import NOTHING, Call, Surroundings, flag_of, transaction_of
from penstock.engine.stages.kit import Kit
from penstock.engine.stages.verdict import DONE
from penstock.model.delivery import Delivery
from penstock.model.outcome import Done, Ending, Split
from penstock.ports.handler import Handler, Route, Scope

_NO_RESULT = Done(unavailable="a batch task keeps no results")


class Batching:
    """Makes the innermost stage of each batch route."""

    def __init__(self, kit: Kit) -> None:
        self._judge = kit.judge
        self._table = kit.table
        self._state = kit.state
        self._told = kit.reporter.add

    def handler(self, route: Route, call: Call) -> Handler:
        judge, bare = self._judge, route.bare and not route.transactional

        async def invoke(delivery: Delivery) -> Ending:
            values = self._decode(route, delivery)
            if isinstance(values, Split):
                return values
            try:
                scope = None if bare else self._scope(route, delivery)
                value = await call(values, scope, NOTHING if bare else await route.inject())
            except BaseException as error:
                return judge(delivery, error)
            return DONE if value is None else _NO_RESULT

        return invoke

    def _decode(self, route: Route, delivery: Delivery) -> Sequence[Any] | Split:
        """All values; or the ends of those rows that cannot be had: then the others are called without them."""
        decode = route.decode
        try:
            return [decode(row) for row in delivery.rows]
        except Exception:
            return self._judge.undecodable_rows(delivery, decode)

    def _scope(self, route: Route, delivery: Delivery) -> Scope:
        told = partial(self._tell, delivery.rows)
        return Surroundings(delivery, flag_of(self._table, delivery), self._state, transaction_of(route), told)

    def _tell(self, rows: Sequence[Delivery], _: int, fraction: float, note: str) -> None:
        """A batch is as far as each of its rows."""
        for row in rows:
            self._told(row.seq, fraction, note)
