"""A schema that takes a copy. What it knows of that is in `penstock.meta`:

| name | |
|---|---|
| `copy` | which store this is becoming. While it is there nobody can open the schema (`migrate.check`) |
| `copy:<table>` | how far that is, committed together with the rows. Two copies at once: the second finds that it has moved, and ends |
| `copied_from` | which store this was, once it is whole |

Rows come by COPY; `came` is then the transaction of their batch, which is what claims want: the first looks find all of them. Sequences
go on behind whatever the source has given, and are set before anything is copied. A crash of the server may undo the last batches, but
their notes with them; the last commit is flushed, and all before it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from penstock.errors import ConfigurationError, StoreUnavailable
from penstock.model.retry import writable
from penstock.ports.copying import Begun, Census, Done, Origin, Table, Values
from penstock.stores.postgres import contents, migrate
from penstock.stores.postgres.access import commit, undo
from penstock.stores.postgres.address import Address
from penstock.stores.postgres.failures import translated
from penstock.stores.postgres.library import in_schema
from penstock.stores.postgres.pool import ERRORS, check, connect
from penstock.stores.sql.tables import TABLES

_WHOLE = "copied_from"
_MORE = ("delta", "watch")
"""Tables that are not copied, and must be empty as well."""
_LOCK = "lock table penstock.meta in share row exclusive mode"
_TURN = "select pg_advisory_xact_lock('penstock.worker'::regclass::oid::int, 0)"
"""As who enrols takes it: either their row is seen here, or the note there."""
_TABLES = "select tablename from pg_tables where schemaname = $1"


class PostgresTarget:
    """Implements `ports.copying.Target`."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._found: Any = None

    @property
    def url(self) -> str:
        return self._address.masked

    async def open(self) -> str:
        self._found = await connect(self._address, pooled=True)
        check(self._found, self._address)
        async with self._within("look"):
            return (await self._meta()).get("store_id", "")

    async def close(self) -> None:
        connection, self._found = self._found, None
        if connection is not None:
            with suppress(*ERRORS):
                await connection.close(timeout=1.0)

    async def begin(self, origin: Origin, marks: Mapping[str, int]) -> tuple[Begun, Mapping[str, Done]]:
        await self._make(origin)
        async with self._within("begin the copy"):
            await self._run(_LOCK)
            await self._run(_TURN)
            begun, known = _known(await self._meta(), origin, self.url)
            if begun in ("new", "anew"):
                if begun == "new":
                    await self._refuse_rows(origin)
                else:
                    await self._run(f"truncate {', '.join(f'penstock.{table.name}' for table in TABLES)}")
                await self._note({migrate.COPY: _text(origin), **{f"{migrate.COPY}:{name}": _text(done) for name, done in known.items()}})
            if begun != "finished":
                for name, mark in marks.items():
                    it = contents.SEQUENCES[name]
                    await self._run(f"select setval('{it}', $1) where $1 > coalesce(pg_sequence_last_value('{it}'), 0)", mark)
        return begun, known

    async def keep(self, table: Table, rows: Sequence[Values], was: Done, done: Done) -> None:
        name = f"{migrate.COPY}:{table.name}"
        async with self._within(f"copy {table.label}", durable=False):
            moved = "update penstock.meta set value = $3 where name = $1 and value = $2"
            if await self._run(moved, name, _text(was), _text(done)) != "UPDATE 1":
                raise StoreUnavailable(f"copy {table.label}: another copy to {self.url} is under way, and has come further: this one ends")
            if rows:
                await self._opened().copy_records_to_table(
                    table.name,
                    schema_name=self._address.schema,
                    columns=[column.name for column in table.columns],
                    records=_writable(table, rows),
                )

    async def census(self) -> Census:
        """And the server learns how large its tables are, before somebody asks for plans."""
        for table in TABLES:
            await self._run(f"analyze penstock.{table.name}")
        async with self._within("count the copy"):
            return await contents.count(self._opened(), self._address.schema)

    async def finish(self, origin: Origin, done: Mapping[str, Done]) -> None:
        notes = {migrate.COPY: _text(origin), **{f"{migrate.COPY}:{name}": _text(each) for name, each in done.items()}}
        async with self._within("end the copy"):
            await self._run(_LOCK)
            for name, value in notes.items():
                if await self._run("delete from penstock.meta where name = $1 and value = $2", name, value) != "DELETE 1":
                    raise StoreUnavailable(f"another copy to {self.url} has begun, or come to its end, meanwhile: this one opens nothing")
            await self._note({_WHOLE: _text(origin)})

    async def _make(self, origin: Origin) -> None:
        """The tables, once nothing speaks against it any more. Those of an older release hold nothing, or stay as they are. In one
        transaction: there may be a pooler."""
        try:
            async with self._opened().transaction():
                await self._make_within(origin)
        except ERRORS as error:
            raise translated(error, f"make the tables of {self.url}") from error

    async def _make_within(self, origin: Origin) -> None:
        schema = await migrate.read(self._opened(), self._address.schema)
        if schema.compatible > schema.needed:
            migrate.check(schema, self.url)
        if schema.found < schema.needed:
            _known(await self._meta(), origin, self.url)
            await self._refuse_rows(origin)
            await migrate.migrate(self._opened(), self._address.schema, strict=self._address.strict, in_use=True)

    async def _refuse_rows(self, origin: Origin) -> None:
        there = {row[0] for row in await self._opened().fetch(_TABLES, self._address.schema)}
        for name in (*(table.name for table in TABLES), *_MORE):
            if name not in there:
                continue
            found = await self._opened().fetchval(in_schema(f"select count(*) from penstock.{name}", self._address.schema))
            if found:
                raise ConfigurationError(
                    f"{self.url} is neither empty nor a half copy of {origin.url}: there are {found:,} rows in {name}; name a new schema "
                    f"(?schema=…), or drop this one"
                )

    async def _meta(self) -> dict[str, str]:
        """Empty: there is no such schema."""
        try:
            if (await migrate.read(self._opened(), self._address.schema)).found == 0:
                return {}
            found = await self._opened().fetch(in_schema("select name, value from penstock.meta", self._address.schema))
        except ERRORS as error:
            raise translated(error, f"look into {self.url}") from error
        return {row[0]: row[1] for row in found}

    async def _note(self, facts: Mapping[str, str]) -> None:
        sql = "insert into penstock.meta (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value"
        for name, value in facts.items():
            await self._run(sql, name, value)

    async def _run(self, sql: str, *params: object) -> str:
        """What the server says it did."""
        try:
            return str(await self._opened().execute(in_schema(sql, self._address.schema), *params))
        except ERRORS as error:
            raise translated(error, f"copy to {self.url}") from error

    @asynccontextmanager
    async def _within(self, doing: str, *, durable: bool = True) -> AsyncGenerator[None, None]:
        connection = self._opened()
        try:
            await connection.execute(f"begin; set local synchronous_commit = {'on' if durable else 'off'}")
            yield
            await commit(connection, doing, durable=durable)
        except ERRORS as error:
            await undo(connection)
            raise translated(error, f"{doing} to {self.url}") from error
        except BaseException:
            await undo(connection)
            raise

    def _opened(self) -> Any:
        if self._found is None:
            raise StoreUnavailable(f"{self.url} is not open")
        return self._found


def _known(meta: Mapping[str, str], origin: Origin, url: str) -> tuple[Begun, Mapping[str, Done]]:
    """Whether there is something to go on with, and from where. Raises ConfigurationError for a copy of another store."""
    fresh = {table.name: Done() for table in TABLES}
    text = meta.get(migrate.COPY) or meta.get(_WHOLE)
    if text is None:
        return "new", fresh
    before = msgspec.json.decode(text, type=Origin)
    if before.store_id != origin.store_id:
        raise ConfigurationError(f"{url} is a copy of {before.url}, not of {origin.url}: name a new schema (?schema=…), or drop this one")
    if migrate.COPY not in meta:
        return "finished", {table.name: Done(over=True) for table in TABLES}
    if before.print != origin.print:
        return "anew", fresh
    notes = {name: meta.get(f"{migrate.COPY}:{name}", "{}") for name in fresh}
    return "resumed", {name: msgspec.json.decode(note, type=Done) for name, note in notes.items()}


def _text(value: Origin | Done) -> str:
    return msgspec.json.encode(value).decode()


def _writable(table: Table, rows: Sequence[Values]) -> Sequence[Values]:
    """Texts without what PostgreSQL does not keep."""
    texts = [place for place, column in enumerate(table.columns) if column.kind == "text"]
    if not any("\0" in row[place] for row in rows for place in texts if row[place]):
        return rows
    return [tuple(writable(value) if isinstance(value, str) else value for value in row) for row in rows]
