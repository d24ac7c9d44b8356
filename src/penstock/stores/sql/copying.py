"""Moving house: all that a store holds into a new one, so that work goes on there as if nothing had happened.

**Nothing is left out, and nothing comes twice.** A table is read in the order of its key, as of one moment; each batch is written in
one transaction with the note of how far that is. Whoever is killed goes on behind the last batch.

**The source stands still.** Runs may be far apart, and each reads another moment. So the first one keeps a print of the source: how many
rows each table has, and sums over all their numbers. A run that finds another print begins anew. And at the end the source is looked
at once more: if somebody has written to it since, the copy is not the whole, and stays closed.

**The target is closed until it is whole** (`Target`): nobody can open it before all counts and sums are those of the source.

**It is another store.** It keeps the identity that it was made with, since joined connections are told apart by it: a producer that still
writes to the old database must not pass for one of the new store. Ids that de-duplicate are those of jobs and events, and come along.

**What dead workers held** comes along as theirs, with their rows in the registry, and is taken back in the new store as it would have been
in the old one. So every invariant of the source is one of the target.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import TypeAlias

import msgspec
from msgspec import Struct

from penstock.errors import ConfigurationError
from penstock.ports.copying import Begun, Census, Done, Origin, Sight, Source, Sums, Table, Target, Values
from penstock.stores.sql.tables import TABLES

_ROWS, _BYTES = 5_000, 8_000_000
"""Of a batch, at the most (and one row)."""
_NOTHING = Sums(0, ())


class Count(Struct, frozen=True):
    """One kind of thing, here and there."""

    kind: str
    of: str
    """Which queue, or topic."""
    source: int
    target: int
    same: bool
    """In numbers, too."""


class Copied(Struct, frozen=True):
    begun: Begun
    counts: Sequence[Count]
    changed: bool
    """Somebody wrote to the source meanwhile."""
    open: bool
    """The target is whole, and may be used."""


Told: TypeAlias = Callable[[str, int, int], None]
"""What is being copied, how many rows of it are there, and of how many."""


async def copy(source: Source, target: Target, told: Told, *, forced: bool = False) -> Copied:
    """`forced`: the source is in use, and this is a copy of one moment. Raises ConfigurationError, StoreError."""
    try:
        here, there = await source.open(), await target.open()
        if here == there:
            raise ConfigurationError(f"{source.url} and {target.url} are one store: name another one as the target")
        if not forced:
            _refuse_workers(source.url, await source.living())
        return await _copy(source, target, here, told, forced)
    finally:
        await source.close()
        await target.close()


def _refuse_workers(url: str, living: Sequence[str]) -> None:
    if living:
        raise ConfigurationError(
            f"{url} has live workers: {', '.join(living)}; stop them, and whatever else writes there (--force: copy this moment, for a "
            f"rehearsal: what they do from now on is not in the copy, and what they run runs there again)"
        )


async def _copy(source: Source, target: Target, store_id: str, told: Told, forced: bool) -> Copied:
    sight = await source.look()
    origin = Origin(store_id, source.url, _print(sight))
    begun, found = await target.begin(origin, sight.marks)
    done = dict(found)
    for table in TABLES:
        if not done[table.name].over:
            done[table.name] = await _copy_table(source, target, table, done[table.name], _Teller(told, table, _rows(sight.census, table)))
    counts = compared(sight, await target.census())
    same = all(count.same for count in counts)
    if begun == "finished":
        return _finished(source, target, Copied(begun, counts, changed=False, open=same))
    changed = not forced and _print(await source.look()) != origin.print
    if same and not changed:
        await target.finish(origin, done)
    return Copied(begun, counts, changed, open=same and not changed)


def _finished(source: Source, target: Target, copied: Copied) -> Copied:
    """Killed just before it could say so; or one of the two has been in use since."""
    if not copied.open:
        raise ConfigurationError(
            f"{target.url} is a finished copy of {source.url}, and one of them has changed since: use it, or drop it and copy again"
        )
    return copied


class _Teller(Struct, frozen=True):
    told: Told
    table: Table
    all: int

    def tell(self, done: Done) -> None:
        self.told(self.table.label, done.rows, self.all)


async def _copy_table(source: Source, target: Target, table: Table, done: Done, teller: _Teller) -> Done:
    """How it ends."""
    places = [[column.name for column in table.columns].index(name) for name in table.key]
    async with aclosing(source.rows(table, done.after)) as rows:
        async for batch in _batches(table, rows):
            was, done = done, Done([batch[-1][place] for place in places], done.rows + len(batch))
            await target.keep(table, batch, was, done)
            teller.tell(done)
    over = Done(done.after, done.rows, over=True)
    await target.keep(table, (), done, over)
    return over


async def _batches(table: Table, rows: AsyncGenerator[Values, None]) -> AsyncIterator[list[Values]]:
    heavy = [place for place, column in enumerate(table.columns) if column.kind == "bytes"]
    batch: list[Values] = []
    size = 0
    async for row in rows:
        batch.append(row)
        size += sum(len(row[place] or b"") for place in heavy)
        if len(batch) >= _ROWS or size >= _BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def compared(sight: Sight, there: Census) -> list[Count]:
    """Of all that is here or there."""
    counts: list[Count] = []
    for table in TABLES:
        keys = sorted(key for key in {*sight.census, *there} if key[0] == table.name)
        for key in keys:
            ours, theirs = sight.census.get(key, _NOTHING), there.get(key, _NOTHING)
            of = sight.topics.get(key[1], key[1]) if table.by == "topic" else key[1]
            counts.append(Count(table.label, of, ours.rows, theirs.rows, same=ours == theirs))
    return counts


def _rows(census: Census, table: Table) -> int:
    return sum(sums.rows for (name, _), sums in census.items() if name == table.name)


def _print(sight: Sight) -> str:
    facts = sorted((*key, sums.rows, *sums.numbers) for key, sums in sight.census.items())
    return hashlib.sha256(msgspec.json.encode((facts, sorted(sight.marks.items())))).hexdigest()
