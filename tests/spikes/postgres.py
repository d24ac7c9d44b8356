"""PostgreSQL behind the ports, as far as the spike needs it. `settle` is SQLite's program as it stands; `put` and `claim` are own."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, TypeVar

import asyncpg
import msgspec

from penstock.errors import LeaseLost
from penstock.model.delivery import Delivery, Settlement
from penstock.model.message import Message, Placed
from penstock.model.statement import Program, Row, Rows, Statement
from penstock.ports.queue import Claim, Claimed
from penstock.ports.transaction import ForeignConnection
from penstock.stores.sql.executors import drive, drive_async
from penstock.stores.sql.library import Library
from penstock.stores.sql.settle import settle

T = TypeVar("T")
LIBRARY = Library.load("tests.spikes")
SEQ, KEY, RUN = 0, 3, 32


def put(messages: Sequence[Message], now: int) -> Program[list[Placed]]:
    values: list[object] = []
    for m in messages:
        due = m.due if m.due is not None and m.due > now else None
        values += (m.id, m.queue, m.task, 9 - m.priority, m.key, due, m.expires, now, m.given, m.headers, m.options, m.body)
    created = {row[0] for row in (yield Statement("put_messages", values=values, width=12))}
    first = {message.id: n for n, message in reversed(list(enumerate(messages)))}
    return [Placed(message.id, message.id in created and first[message.id] == n) for n, message in enumerate(messages)]


def claim(ask: Claim, now: int) -> Program[Claimed]:
    if not (yield Statement("owner_lives", {"owner": ask.owner})):
        raise LeaseLost(f"worker {ask.owner:x} was declared dead; what it held is another's")
    runs: list[Sequence[Delivery]] = []
    more = False
    for queue, room in ask.queues:
        yield Statement("promote", {"queue": queue, "now": now, "limit": 500})
        met = yield Statement("take_ready", {"queue": queue, "limit": room, "owner": ask.owner, "now": now})
        runs += [[_delivery(queue, row)] for row in met if row[KEY] is None]
        if keyed := [row for row in met if row[KEY] is not None]:
            runs += yield from _keyed(ask.owner, queue, keyed, room - len(met) + len(keyed), now)
        more |= len(met) == room
    return Claimed(runs, more, next_due=None, suspects=False)


def _keyed(owner: int, queue: str, met: Rows, room: int, now: int) -> Program[list[list[Delivery]]]:
    """Take the keys first, then look: a key's messages are seen whole, and stand still, only once its busy row is ours."""
    ours = {row[0] for row in (yield Statement("occupy", {"owner": owner, "seqs": _json(row[SEQ] for row in met)}))}
    found = (yield Statement("runs_of_keys", {"queue": queue, "keys": _json(ours), "limit": RUN})) if ours else ()
    runs: dict[str, list[Delivery]] = {}
    for row in found[:room]:
        runs.setdefault(row[KEY], []).append(_delivery(queue, row))
    taken = {each.seq for run in runs.values() for each in run}
    left = ours - runs.keys()  # another claim has met their first message and waits for the key
    if taken:
        yield Statement("lease_runs", {"owner": owner, "seqs": _json(taken), "now": now})
    if left:
        yield Statement("vacate", {"queue": queue, "keys": _json(left)})
    if aside := [row[SEQ] for row in met if row[SEQ] not in taken and row[KEY] not in left]:
        yield Statement("set_aside", {"seqs": _json(aside)})
    return [*runs.values()]


def _delivery(queue: str, row: Row) -> Delivery:
    seq, job_id, task, key, failures, deaths, enqueued, headers, options, body = row
    return Delivery(seq, job_id, queue, task, failures + 1, body, key, headers, options, enqueued, deaths)


def _json(values: Iterable[Any]) -> str:
    return msgspec.json.encode(list(values)).decode()


def columns(program: Program[T]) -> Program[T]:
    """A list of rows goes out as one array a column: one text and one round trip, however many rows."""
    try:
        statement = next(program)
        while True:
            if (values := statement.values) is not None:
                arrays = {f"rows_{n}": list(values[n :: statement.width]) for n in range(statement.width)}
                statement = Statement(statement.name, arrays)
            statement = program.send((yield statement))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


@cache
def rendered(text: str, driver: str) -> tuple[str, tuple[str, ...]]:
    """A statement with the driver's own marks, and its parameters in their order."""
    for rows, kinds in re.findall(r"(:rows\(([^)]*)\))", text):
        text = text.replace(rows, ", ".join(f":rows_{n}::{kind.strip()}[]" for n, kind in enumerate(kinds.split(","))))
    names = tuple(dict.fromkeys(re.findall(r"(?<!:):(\w+)", text)))
    marks = {name: f"${n}" if driver == "asyncpg" else f"%({name})s" for n, name in enumerate(names, 1)}
    return re.sub(r"(?<!:):(\w+)", lambda match: marks[match[1]], text), names


class Raw:
    """A driver's own connection as `ports.transaction.ForeignConnection`."""

    def __init__(self, connection: Any) -> None:
        self.connection, self.awaits = connection, isinstance(connection, asyncpg.Connection)
        self.driver = "asyncpg" if self.awaits else "psycopg"

    def run(self, sql: str, params: Any) -> Rows:
        return cursor.fetchall() if (cursor := self.connection.execute(sql, params)).description else ()

    async def run_async(self, sql: str, params: Any) -> Rows:
        return await self.connection.fetch(sql, *params)  # type: ignore[no-any-return]

    def after_commit(self, callback: Callable[[], None]) -> None: ...


class Joined:
    """`ports.transaction.Joined`."""

    def __init__(self, foreign: ForeignConnection, library: Library = LIBRARY) -> None:
        self.foreign, self.driver, self.library, self.trips = foreign, foreign.driver, library, 0

    async def put(self, messages: Sequence[Message]) -> list[Placed]:
        return await self.drive(put(messages, 1))

    def put_now(self, messages: Sequence[Message]) -> list[Placed]:
        return drive(columns(put(messages, 1)), self.library, lambda text, params: self.foreign.run(*self._bound(text, params)))

    async def drive(self, program: Program[T]) -> T:
        async def run(text: str, params: Any) -> Rows:
            return await self.foreign.run_async(*self._bound(text, params))

        return await drive_async(columns(program), self.library, run)

    def _bound(self, text: str, params: Any) -> tuple[str, Any]:
        self.trips += 1
        sql, names = rendered(text, self.driver)
        return sql, [params[name] for name in names] if self.driver == "asyncpg" else dict(params)


class PostgresQueue:
    """`ports.queue.Queue`, each verb a transaction of its own; put is one statement, and so one already."""

    def __init__(self, connection: Any) -> None:
        self.connection, self.joined = connection, Joined(Raw(connection))
        self.put = self.joined.put

    async def claim(self, claim_: Claim) -> Claimed:
        return await self._write(claim(claim_, 1_000))

    async def settle(self, owner: int, settlements: Sequence[Settlement]) -> list[int]:
        return await self._write(settle(owner, settlements, 1_000, put))

    async def _write(self, program: Program[T]) -> T:
        async with self.connection.transaction():
            return await self.joined.drive(program)
