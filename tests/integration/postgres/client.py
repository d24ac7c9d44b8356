"""Connections to a log on a real server, and what is written there."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from penstock.model.log import Append, Event, TopicSpec
from penstock.model.statement import Program, Rows, Statement
from penstock.stores.postgres import publishing
from penstock.stores.postgres.library import load
from penstock.stores.postgres.migrate import migrate
from penstock.stores.sql.appending import Result
from penstock.stores.sql.executors import drive_async
from penstock.stores.sql.topics import declare_topic

T = TypeVar("T")
FACTS, ACCOUNTS = TopicSpec("facts"), TopicSpec("accounts", versioned=True)
NOW = 1_000
Happens: TypeAlias = Callable[[], Awaitable[None]]


class Client:
    """A connection that runs programs, and counts their round trips."""

    def __init__(self, connection: Any, schema: str = "penstock", *, strict: bool = False) -> None:
        self.connection, self.pid, self.strict, self.trips = connection, connection.get_server_pid(), strict, 0
        self._library = load(schema=schema)
        self.transaction, self.fetchval, self.execute = connection.transaction, connection.fetchval, connection.execute

    async def run(self, program: Program[T], meanwhile: Mapping[int, Happens] = MappingProxyType({})) -> T:
        """What happens meanwhile does so after so many round trips."""

        async def fetch(sql: str, params: Any) -> Rows:
            if self.trips in meanwhile:
                await meanwhile[self.trips]()
            self.trips += 1
            return await self.connection.fetch(sql, *params)  # type: ignore[no-any-return]

        return await drive_async(program, self._library, fetch)

    async def publish(self, *ids: str, given: bool = False, topic: TopicSpec = FACTS) -> list[bool]:
        events = [Event(id, "e", id.encode(), given=given) for id in ids]
        return [each.created for each in await self.run(publishing.publish(topic, events, NOW, strict=self.strict))]

    async def append(self, *appends: Append) -> list[Result]:
        return await self.run(publishing.append(ACCOUNTS, appends, NOW, strict=self.strict))

    async def kept(self, key: str) -> list[tuple[int, str]]:
        """What others see of a key: versions and ids, in the order of positions."""
        sql = "select version, id from penstock.event where key = $1 order by pos"
        return [(row[0], row[1]) for row in await self.connection.fetch(sql, key)]

    async def plan(self, statement: Statement) -> Mapping[str, Any]:
        ((text, params),) = self._library.calls(statement)
        ((plan,),) = await self.connection.fetch(f"explain (verbose, format json) {text}", *params)
        return json.loads(plan)[0]["Plan"]  # type: ignore[no-any-return]

    async def until_waits(self, other: Client) -> None:
        """Ends when the other's statement waits for a lock of somebody's."""
        while not await self.fetchval("select cardinality(pg_blocking_pids($1)) > 0", other.pid):
            pass


Connect: TypeAlias = Callable[..., Awaitable[Client]]


class Names(Mapping[str, str]):
    """Whatever parameter a statement asks for: its name."""

    def __getitem__(self, name: str) -> str:
        return name

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 1


def marked(name: str, schema: str = "penstock") -> tuple[str, Sequence[str]]:
    """A statement's text for asyncpg, and its parameters in the order of their marks."""
    ((text, parameters),) = load(schema=schema).calls(Statement(name, Names()))
    return text, parameters


def appended(key: str, ids: Sequence[str], expected: int | None = None) -> Append:
    return Append(ACCOUNTS, key, [Event(id, "e", b"{}") for id in ids], expected)


def given(key: str, id: str, count: int, expected: int | None = None) -> Append:
    """With an id that the caller chose."""
    bare = Append(ACCOUNTS, key, (), expected, id)
    return Append(ACCOUNTS, key, [Event(bare.id_of(n), "e", b"{}", given=True) for n in range(1, count + 1)], expected, id)


async def create(client: Client, schema: str) -> None:
    """Topics too: one that is made in an open transaction is waited for by who needs it next."""
    await client.execute(f"drop schema if exists {schema} cascade")
    await migrate(client.connection, schema)
    for topic in (FACTS, ACCOUNTS):
        await client.run(declare_topic(topic))
