"""The innermost stage: decode, call, and say how it ended. Never raises.

A route that wants neither context nor transaction nor anything injected (`bare`) is called with the least there is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from msgspec import Struct

from penstock.engine.running import Flag
from penstock.engine.stages.kit import Kit
from penstock.engine.stages.verdict import DONE
from penstock.engine.table import Table
from penstock.model.delivery import Delivery
from penstock.model.outcome import Done, Ending
from penstock.ports.handler import Handler, Route, Scope
from penstock.ports.transaction import OpenTransaction, ambient

Call: TypeAlias = Callable[[Any, Scope | None, Mapping[str, object]], Awaitable[Any]]
"""`route.call`, made awaitable by an executor."""

Remote: TypeAlias = Callable[[Delivery], Awaitable[Done]]
"""All of it, in another process."""

Told: TypeAlias = Callable[[int, float, str], None]
"""Progress: the seq of a job, how much of it is done, and a note."""

NOTHING: Mapping[str, object] = MappingProxyType({})


class Surroundings(Struct, frozen=True):
    """The `Scope` of one run of a handler."""

    delivery: Delivery
    cancellation: Flag
    state: Any
    transaction: OpenTransaction | None
    told: Told

    def report(self, fraction: float, note: str) -> None:
        self.told(self.delivery.seq, fraction, note)


class Invoking:
    """Makes the innermost stage of each route."""

    def __init__(self, kit: Kit) -> None:
        self._judge = kit.judge
        self._table = kit.table
        self._state = kit.state
        self._told = kit.reporter.add

    def handler(self, route: Route, call: Call) -> Handler:
        return self._bare(route, call) if route.bare and not route.transactional else self._surrounded(route, call)

    def _bare(self, route: Route, call: Call) -> Handler:
        decode, judge = route.decode, self._judge

        async def invoke(delivery: Delivery) -> Ending:
            try:
                arguments = decode(delivery)
            except Exception as error:
                return judge.undecodable(delivery, error)
            try:
                value = await call(arguments, None, NOTHING)
            except BaseException as error:
                return judge(delivery, error)
            return DONE if value is None else done(route, value)

        return invoke

    def _surrounded(self, route: Route, call: Call) -> Handler:
        judge = self._judge

        async def invoke(delivery: Delivery) -> Ending:
            try:
                arguments = route.decode(delivery)
            except Exception as error:
                return judge.undecodable(delivery, error)
            try:
                scope = Surroundings(delivery, flag_of(self._table, delivery), self._state, transaction_of(route), self._told)
                value = await call(arguments, scope, await route.inject())
            except BaseException as error:
                return judge(delivery, error)
            return DONE if value is None else done(route, value)

        return invoke

    def isolated(self, route: Route, call: Remote) -> Handler:
        """Decoded here, too, so that no child is started for what no task can take; called, and encoded, in a child process."""
        judge = self._judge

        async def invoke(delivery: Delivery) -> Ending:
            try:
                route.decode(delivery)
            except Exception as error:
                return judge.undecodable(delivery, error)
            try:
                return await call(delivery)
            except BaseException as error:
                return judge(delivery, error)

        return invoke


def flag_of(table: Table, delivery: Delivery) -> Flag:
    flag = Flag()
    if running := table.get(delivery.seq):
        running.flag = flag
        if running.reason is not None:
            flag.set()
    return flag


def transaction_of(route: Route) -> OpenTransaction | None:
    current = ambient.get() if route.transactional else None
    return current[1] if current else None


def done(route: Route, value: object) -> Done:
    """A result never fails its job."""
    try:
        return Done(route.encode(value))
    except Exception as error:
        return Done(unavailable=f"{type(error).__name__}: {error}")
