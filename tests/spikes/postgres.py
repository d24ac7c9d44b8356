"""A PostgreSQL store as far as the spike needs it: put, keyed claim and fenced settle behind the ports; see docs/design/postgres-spike.md.

`settle` is SQLite's program as it stands, over PostgreSQL's statements. `put` and `claim` are PostgreSQL's own.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

import asyncpg
import msgspec
import psycopg

from penstock.errors import LeaseLost
from penstock.model.delivery import Delivery, Settlement
from penstock.model.message import Message, Placed
from penstock.model.statement import Program, Row, Rows, Statement
from penstock.ports.queue import Claim, Claimed
from penstock.ports.transaction import ForeignConnection
from penstock.stores.sql.executors import drive, drive_async
from penstock.stores.sql.library import Library
from penstock.stores.sqlite.settle import settle

Style = Literal["asyncpg", "psycopg"]
LIBRARY = Library.load("tests.spikes")
RUN = 32
SEQ, ID, TASK, KEY, FAILURES, DEATHS, ENQUEUED, HEADERS, OPTIONS, BODY = range(10)


# -- programs ----------------------------------------------------------------------------------------


def put(messages: Sequence[Message], now: int) -> Program[list[Placed]]:
    rows = [_row(message, now) for message in messages]
    created = {row[0] for row in (yield Statement("put_messages", rows=rows))}
    first = {message.id: n for n, message in reversed(list(enumerate(messages)))}
    return [Placed(message.id, message.id in created and first[message.id] == n) for n, message in enumerate(messages)]


def _row(m: Message, now: int) -> Row:
    due = m.due if m.due is not None and m.due > now else None
    return m.id, m.queue, m.task, 9 - m.priority, m.key, due, m.expires, now, m.given, m.headers, m.options, m.body


def claim(ask: Claim, now: int) -> Program[Claimed]:
    if not (yield Statement("owner_lives", {"owner": ask.owner})):
        raise LeaseLost(f"worker {ask.owner:x} was declared dead; what it held is another's")
    runs: list[Sequence[Delivery]] = []
    more = False
    for queue, room in ask.queues:
        yield Statement("promote", {"queue": queue, "now": now, "limit": 500})
        met = yield Statement("take_ready", {"queue": queue, "limit": room, "owner": ask.owner, "now": now})
        alone = [[_delivery(queue, row)] for row in met if row[KEY] is None]
        keyed = [row for row in met if row[KEY] is not None]
        runs += alone
        if keyed:
            runs += yield from _keyed(ask.owner, queue, keyed, room - len(alone), now)
        more |= len(met) == room
    return Claimed(runs, more, next_due=None, suspects=False)


def _keyed(owner: int, queue: str, met: Rows, room: int, now: int) -> Program[list[list[Delivery]]]:
    """Take the keys first, then look: a key's run is only stable, and only seen whole, once its busy row is ours."""
    rows = yield Statement("occupy", {"owner": owner, "seqs": _json(row[SEQ] for row in met)})
    ours = {row[0] for row in rows}
    found = (yield Statement("runs_of_keys", {"queue": queue, "keys": _json(ours), "limit": RUN})) if ours else ()
    runs: dict[str, list[Delivery]] = {}
    for row in found[:room]:
        runs.setdefault(row[KEY], []).append(_delivery(queue, row))
    taken = {each.seq for run in runs.values() for each in run}
    if taken:
        yield Statement("lease_runs", {"owner": owner, "seqs": _json(taken), "now": now})
    left = ours - runs.keys()  # another claim has met their first message and waits for the key
    if left:
        yield Statement("vacate", {"queue": queue, "keys": _json(left)})
    aside = [row[SEQ] for row in met if row[SEQ] not in taken and row[KEY] not in left]
    if aside:
        yield Statement("set_aside", {"seqs": _json(aside)})
    return list(runs.values())


def _delivery(queue: str, row: Row) -> Delivery:
    seq, job_id, task, key, failures, deaths, enqueued, headers, options, body = row
    return Delivery(seq, job_id, queue, task, failures + 1, body, key, headers, options, enqueued, deaths)


def _json(values: Any) -> str:
    return msgspec.json.encode(list(values)).decode()


# -- one text for every driver -----------------------------------------------------------------------


def columns(program: Program[Any]) -> Program[Any]:
    """A list of rows goes out as one array a column: one text and one round trip, however many rows."""
    try:
        statement = next(program)
        while True:
            if statement.rows is not None:
                params = {f"rows_{n}": list(column) for n, column in enumerate(zip(*statement.rows, strict=True))}
                statement = Statement(statement.name, {**(statement.params or {}), **params})
            statement = program.send((yield statement))
    except StopIteration as stop:
        return stop.value


@cache
def rendered(text: str, style: Style) -> tuple[str, tuple[str, ...]]:
    """A statement in the driver's own marks, and its parameters in their order."""

    def spread(match: re.Match[str]) -> str:
        return ", ".join(f":rows_{n}::{kind.strip()}[]" for n, kind in enumerate(match[1].split(",")))

    text = re.sub(r":rows\(([^)]*)\)", spread, text)
    names = tuple(dict.fromkeys(re.findall(r"(?<!:):(\w+)", text)))
    marks = {name: f"${n}" if style == "asyncpg" else f"%({name})s" for n, name in enumerate(names, 1)}
    return re.sub(r"(?<!:):(\w+)", lambda match: marks[match[1]], text), names


def bound(text: str, params: Mapping[str, Any], style: Style) -> tuple[str, Any]:
    sql, names = rendered(text, style)
    return sql, [params[name] for name in names] if style == "asyncpg" else dict(params)


# -- what is joined, and the store's own connections -------------------------------------------------


class Asyncpg:
    awaits = True

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self.connection = connection

    def run(self, sql: str, params: Any) -> Rows:
        raise NotImplementedError

    async def run_async(self, sql: str, params: Any) -> Rows:
        return await self.connection.fetch(sql, *params)

    def after_commit(self, callback: Callable[[], None]) -> None: ...


class Psycopg:
    awaits = False

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection

    def run(self, sql: str, params: Any) -> Rows:
        cursor = self.connection.execute(sql.encode(), params)
        return cursor.fetchall() if cursor.description else ()

    async def run_async(self, sql: str, params: Any) -> Rows:
        return await asyncio.to_thread(self.run, sql, params)

    def after_commit(self, callback: Callable[[], None]) -> None: ...


class Joined:
    """`ports.transaction.Joined`. The port does not say which driver is below: here the test does."""

    def __init__(self, foreign: ForeignConnection, style: Style) -> None:
        self.foreign, self.style, self.trips = foreign, style, 0

    async def put(self, messages: Sequence[Message]) -> list[Placed]:
        return await self.drive(put(messages, 1))

    def put_now(self, messages: Sequence[Message]) -> list[Placed]:
        return drive(columns(put(messages, 1)), LIBRARY, self._run)

    async def drive(self, program: Program[Any]) -> Any:
        return await drive_async(columns(program), LIBRARY, self._run_async)

    def _run(self, text: str, params: Any) -> Rows:
        self.trips += 1
        return self.foreign.run(*bound(text, params, self.style))

    async def _run_async(self, text: str, params: Any) -> Rows:
        self.trips += 1
        return await self.foreign.run_async(*bound(text, params, self.style))


class PostgresQueue:
    """The three verbs of `ports.queue.Queue`, each a transaction of its own on one connection."""

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self.connection, self.joined = connection, Joined(Asyncpg(connection), "asyncpg")

    async def put(self, messages: Sequence[Message]) -> list[Placed]:
        return await self._write(put(messages, 1))

    async def claim(self, claim_: Claim) -> Claimed:
        return await self._write(claim(claim_, 1_000))

    async def settle(self, owner: int, settlements: Sequence[Settlement]) -> list[int]:
        return await self._write(settle(owner, settlements, 1_000))

    async def _write(self, program: Program[Any]) -> Any:
        async with self.connection.transaction():
            return await self.joined.drive(program)
