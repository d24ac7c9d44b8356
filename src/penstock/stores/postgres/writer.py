"""The writer: groups of puts and of settles, and everything else by itself.

While one group is on its way, the next forms by itself; there is no timer. A put is one statement, so a group of puts is one
statement and one commit, whoever asked; so are publishes of one topic. What is not grouped is a transaction of its own, on a
connection of its own.

- A statement fails because of one member's data: the members run one by one; only that member gets the error.
- The store fails: everybody in the group gets the error. If the connection broke while a commit was under way, nobody knows what
  became of it: PublishUnknown.
- A lock was not to be had within some ms, since a user's transaction keeps it: the group goes to the siding, and the lane goes on.
- Others were in the way (deadlock, serialization): the same again, some times. Programs have no effect outside of what they yield.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from penstock.errors import PublishUnknown, SchemaOutdated, StoreCorrupt, StoreFull, StoreReadOnly, StoreUnavailable
from penstock.stores.postgres.access import Access, Told, unknown_if_lost
from penstock.stores.postgres.course import Course, Step
from penstock.stores.postgres.failures import kept_waiting, passes
from penstock.stores.postgres.pool import ERRORS
from penstock.stores.postgres.settling import is_plain
from penstock.stores.postgres.siding import Siding, Ticket
from penstock.stores.sql.operations import Append, Group, Operation, Publish, Put, Settle

T = TypeVar("T")

_GROUP = 4_000
"""Messages in one group at the most."""
_TRIES = 5
_EVERYBODYS = (StoreUnavailable, StoreFull, StoreReadOnly, StoreCorrupt, SchemaOutdated, PublishUnknown)


class PostgresWriter:
    """Implements `Writing`. Lives on one loop, that of its store."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.clock = access.clock
        self.loop = asyncio.get_running_loop()
        self._siding = Siding(partial(write, access, hasty=True), access)
        self._lanes = {"produce": Lane(access, self._siding), "settle": Lane(access, self._siding)}
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    @property
    def waiting(self) -> int:
        return sum(lane.waiting for lane in self._lanes.values())

    async def submit(self, operation: Operation) -> Any:
        if self._closed:
            raise StoreUnavailable(f"{operation.doing}: the store is closed")
        if isinstance(operation, Settle):
            return await self._lanes["settle"].submit(operation)
        if isinstance(operation, Put | Publish | Append):
            return await self._lanes["produce"].submit(operation)
        return await self._alone(operation)

    def submit_blocking(self, operation: Operation) -> Any:
        """From another thread than the loop's."""
        return asyncio.run_coroutine_threadsafe(self.submit(operation), self.loop).result()

    async def walk(self, course: Course[T], doing: str) -> T:
        """Step by step, each a transaction of its own, relaxed. To its end, as everything."""
        if self._closed:
            raise StoreUnavailable(f"{doing}: the store is closed")
        return await self._to_its_end(walk(self._access, course, doing))

    async def close(self) -> None:
        """Write what was accepted, then stop."""
        self._closed = True
        for lane in self._lanes.values():
            await lane.close()
        await self._siding.close()
        if self._running:
            await asyncio.wait(self._running)

    async def _alone(self, operation: Operation) -> Any:
        return (await self._to_its_end(write(self._access, [operation])))[0]

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Also if whoever asked does not wait for it any more: a transaction is not left half-way."""
        task = self.loop.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)


class Lane:
    """One group after the other."""

    def __init__(self, access: Access, siding: Siding) -> None:
        self._access = access
        self._siding = siding
        self._inbox: deque[Ticket] = deque()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self.waiting = 0
        """Messages not written yet."""

    async def submit(self, operation: Operation) -> Any:
        ticket = Ticket(operation, self._loop.create_future())
        self._inbox.append(ticket)
        self.waiting += operation.weight
        if self._task is None:
            self._task = self._loop.create_task(self._work())
        return await ticket.answer

    async def close(self) -> None:
        if self._task is not None:
            await self._task

    async def _work(self) -> None:
        try:
            while self._inbox:
                tickets = self._gather()
                await self._write(tickets)
                await asyncio.sleep(0)  # who was answered together asks together
        finally:
            self._task = None

    def _gather(self) -> list[Ticket]:
        tickets: list[Ticket] = []
        weight = 0
        while self._inbox and weight < _GROUP:
            tickets.append(self._inbox.popleft())
            weight += tickets[-1].operation.weight
        self.waiting -= weight
        return tickets

    async def _write(self, tickets: Sequence[Ticket]) -> None:
        """Never raises: whoever waits gets the error."""
        try:
            results = await write(self._access, [ticket.operation for ticket in tickets], hasty=True)
        except BaseException as error:
            if kept_waiting(error.__cause__ or error):
                self._siding.take(tickets)
            elif len(tickets) == 1 or isinstance(error, _EVERYBODYS):
                for ticket in tickets:
                    ticket.refuse(error)
            else:
                for ticket in tickets:
                    await self._write([ticket])
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        for ticket, result in zip(tickets, results, strict=True):
            ticket.serve(result)


async def write(access: Access, operations: Sequence[Operation], *, hasty: bool = False) -> list[Any]:
    """All of them in one transaction; a result for each. `hasty`: it fails soon if somebody keeps a lock that it needs."""
    single = _is_one_statement(operations)

    async def attempt() -> tuple[Group, list[Any]]:
        group = Group(operations, access.dialect)
        return group, await _write_once(access, group, single=single, hasty=hasty)

    group, results = await _until_it_passes(attempt, hasty=hasty)
    access.bells.tell(group.heard)
    if group.rings:
        access.bells.ring(group.ranks)
    return results


def _is_one_statement(operations: Sequence[Operation]) -> bool:
    """Then it needs no transaction around it: two round trips less. What asks for unique names needs two.

    A topic that is not there is made by a second and a third one, and nothing is lost if it is made for nothing. Appends to one key
    need a statement each: if the second one fails, the first must not have committed, since all run again, one by one.
    """
    first = operations[0]
    if isinstance(first, Put):
        return all(isinstance(each, Put) and all(message.unique is None for message in each.messages) for each in operations)
    if isinstance(first, Settle):
        return all(each.lane == first.lane and isinstance(each, Settle) and is_plain(each.settlements) for each in operations)
    if isinstance(first, Append):
        keys = {each.append.key for each in operations if each.lane == first.lane and isinstance(each, Append)}
        return len(keys) == len(operations)
    return isinstance(first, Publish) and all(each.lane == first.lane for each in operations)


async def _write_once(access: Access, group: Group, *, single: bool, hasty: bool) -> list[Any]:
    reach = access.signals.reach
    pool = access.pool_for(durable=group.durable, hasty=hasty)
    async with pool.lend() as connection, Told(group.doing, connection):
        reach("write.begun")
        if single and not pool.pooled:
            results = await _run_bare(access, group, connection)
        else:
            results = await _run_in_transaction(access, group, connection, hasty=hasty)
        for point in group.points:
            reach(f"{point}.after_commit")
    return results


async def _run_bare(access: Access, group: Group, connection: Any) -> list[Any]:
    """The statement commits itself."""
    _reach_commit(access, group)
    try:
        return await _run(access, group, connection)
    except ERRORS as error:
        raise (unknown_if_lost(error, group.doing, connection) if group.durable else error) from error


async def _run_in_transaction(access: Access, group: Group, connection: Any, *, hasty: bool) -> list[Any]:
    async with access.within(connection, group.doing, durable=group.durable, hasty=hasty):
        results = await _run(access, group, connection)
        _reach_commit(access, group)
    return results


def _reach_commit(access: Access, group: Group) -> None:
    for point in group.points:
        access.signals.reach(f"{point}.before_commit")


async def _run(access: Access, group: Group, connection: Any) -> list[Any]:
    results: dict[int, Any] = {}
    for indices, program in group.parts(access.clock.now()):
        results.update(zip(indices, await access.drive(connection, program), strict=True))
    return [results[index] for index in range(len(results))]


async def walk(access: Access, course: Course[T], doing: str) -> T:
    """What went wrong in a step is thrown into the course."""
    try:
        step = next(course)
        while True:
            try:
                result = await _until_it_passes(partial(_take, access, step, doing))
            except Exception as error:
                step = course.throw(error)
            else:
                step = course.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def _take(access: Access, step: Step, doing: str) -> Any:
    pool = access.relaxed
    async with pool.lend() as connection, Told(doing, connection):
        if step.single and not pool.pooled:
            return await access.drive(connection, step.make(access.clock.now()))
        async with access.within(connection, doing, durable=False):
            return await access.drive(connection, step.make(access.clock.now()))


async def _until_it_passes(attempt: Callable[[], Awaitable[T]], *, hasty: bool = False) -> T:
    """Others that were in the way may be gone the next time. Who is in haste has something else to do than to wait for a lock."""
    for _ in range(_TRIES - 1):
        try:
            return await attempt()
        except Exception as error:
            cause = error.__cause__ or error
            if not passes(cause) or (hasty and kept_waiting(cause)):
                raise
    return await attempt()
