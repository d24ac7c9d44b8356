"""Messages put where a test wants them, and single statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from penstock.model.delivery import Delivery, Settlement
from penstock.model.outcome import Outcome
from penstock.model.statement import Program, Rows, Statement
from tests.integration.postgres.client import Client

T = TypeVar("T")
QUEUE, TASK = "mail", "send"


def one(name: str, /, *values: object, width: int = 0, **params: Any) -> Program[Rows]:
    """A program of one statement."""
    if width:
        return (yield Statement(name, values=values, width=width))
    return (yield Statement(name, params))


async def in_one(client: Client, program: Program[T]) -> T:
    """In a transaction of its own."""
    async with client.transaction():
        return await client.run(program)


async def enrol(client: Client, *incarnations: int, tasks: str = "[]", hooks: str = "[]") -> None:
    sql = "insert into penstock.worker values ($1, 'app', 'w', 1, 'here', 1, 0, 1, '[]', $2, $3)"
    for each in incarnations:
        await client.connection.execute(sql, each, tasks, hooks)


async def messages(client: Client, **keys: str | None) -> list[int]:
    """Their seqs; they are nowhere yet."""
    sql = "insert into penstock.message (id, queue, task, rank, key, enqueued, body) values ($1, $2, $3, 5, $4, 1, '') returning seq"
    return [await client.connection.fetchval(sql, id, QUEUE, TASK, key) for id, key in keys.items()]


async def lease(client: Client, owner: int, **keys: str | None) -> list[Delivery]:
    """Messages that a worker runs, each key's last one as the end of its run."""
    seqs = await messages(client, **keys)
    await client.connection.executemany("insert into penstock.leased values ($1, $2, 1)", [(seq, owner) for seq in seqs])
    ends = {key: seq for key, seq in zip(keys.values(), seqs, strict=True) if key is not None}
    busy = "insert into penstock.busy values ($1, $2, $3, $4) on conflict (queue, key) do nothing"
    await client.connection.executemany(busy, [(QUEUE, key, seq, owner) for key, seq in ends.items()])
    return [Delivery(seq, id, QUEUE, TASK, 1, b"", key) for seq, (id, key) in zip(seqs, keys.items(), strict=True)]


async def bury(client: Client, *ids: str) -> list[int]:
    seqs = await messages(client, **dict.fromkeys(ids))
    letter = "insert into penstock.dead (seq, queue, task, reason, died, attempts) values ($1, $2, $3, 'rejected', 1, 1)"
    await client.connection.executemany(letter, [(seq, QUEUE, TASK) for seq in seqs])
    return seqs


def settled(deliveries: Sequence[Delivery], outcome: Outcome) -> list[Settlement]:
    return [Settlement(each, outcome) for each in deliveries]


async def where(client: Client, place: str) -> list[int]:
    """The seqs in one of the places of messages."""
    return [row[0] for row in await client.connection.fetch(f"select seq from penstock.{place} order by seq")]


async def stand(client: Client, place: str, *seqs: int) -> None:
    """Put messages where they wait; in later all are due at 1."""
    columns = {
        "ready": "queue, rank, seq, key",
        "later": "queue, due, seq",
        "aside": "seq, queue, key, rank",
        "suspect": "seq, queue, rank",
    }
    await client.connection.execute("update penstock.message set due = 1 where seq = any ($1) and $2 = 'later'", seqs, place)
    rows = f"select {columns[place]} from penstock.message where seq = any ($1)"
    await client.connection.execute(f"insert into penstock.{place} ({columns[place]}) {rows}", seqs)


async def counts(client: Client) -> dict[str, int]:
    """Of the queue, what is not 0."""
    row = await client.connection.fetchrow("select * from penstock.count where queue = $1", QUEUE)
    return {name: count for name, count in dict(row or {}).items() if name != "queue" and count}
