"""Putting messages in: one statement, whoever else does, on a connection of the store's or in a user's transaction.

- The statement counts what it keeps, since only it knows what is new. Ids that a caller chose it inserts in the order of the ids, so
  that two puts of the same ones do not wait for each other in a circle; the second waits for the first, and is told that they are known.
- All its places are drawn before it waits for anything, in the order given. Any other id that is there already is an error, as in any
  table: nothing of the statement is kept.
- Unique names are taken by a statement before it: the row of a name that is taken is locked until the transaction ends, so of two puts
  that want one the second is told who holds it. A name that is held already is only read. An id is known only once it is inserted. If by
  then somebody else has put it under another name, the name that was taken for it is given back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

import msgspec

from penstock.model.message import Message, Placed, decode_options
from penstock.model.statement import Program, Statement
from penstock.stores.postgres.guard import OURS
from penstock.stores.sql.placing import WIDTH, asked, in_turns, place, rows
from penstock.stores.sql.uniques import take


def put(messages: Sequence[Message], now: int) -> Program[list[Placed]]:
    """Keep all that are new. Where an id that the caller chose is known, or a unique name held, what is there stays as it is."""
    if any(message.asks for message in messages):
        return (yield from in_turns(messages, now, _put_those))
    yield from _insert(messages, now)
    return [Placed(message.id) for message in messages]


def _put_those(messages: Sequence[Message], now: int) -> Program[list[Placed]]:
    named = [message for message in messages if message.unique is not None]
    known = yield from _known([message for message in named if message.given])
    holders = yield from take(asked(named, known), now)
    placed = [place(message, known, holders) for message in messages]
    wanted = [message for message, one in zip(messages, placed, strict=True) if one.created]
    beaten = yield from _insert(wanted, now)
    yield from _give_names_back([message for message in named if message.id in beaten])
    return [Placed(one.id, False) if one.id in beaten else one for one in placed]


def _known(messages: Sequence[Message]) -> Program[set[str]]:
    """The ids that the store has already: they take no names."""
    known = (yield Statement("known_ids", {"ids": _json(message.id for message in messages)})) if messages else ()
    return {row[0] for row in known}


def _insert(messages: Sequence[Message], now: int) -> Program[set[str]]:
    """Returns the ids that were there already."""
    if not messages:
        return set()
    if are_alike(messages):
        yield Statement("put_alike", {**OURS, **alike(messages, now)})
        return set()
    values, _ = rows(messages, now)
    new = {row[0] for row in (yield Statement("put_messages", OURS, values, WIDTH))}
    return {message.id for message in messages if message.given} - new


def are_alike(messages: Sequence[Message]) -> bool:
    """They differ in nothing but id and body, and are due at once: what `enqueue` and `enqueue_many` of one task put."""
    first = messages[0]
    queue, task, priority, headers, options = first.queue, first.task, first.priority, first.headers, first.options
    expires, lifetime = first.expires, first.lifetime
    for m in messages:
        if m.given or m.key is not None or m.due is not None or m.delay is not None or m.task != task or m.queue != queue:
            return False
        if m.priority != priority or m.headers != headers or m.options != options or m.expires != expires or m.lifetime != lifetime:
            return False
    return True


def alike(messages: Sequence[Message], now: int) -> dict[str, object]:
    """What they share, and the ids and bodies in which they differ."""
    first = messages[0]
    bodies = [m.body for m in messages]
    sizes = [len(body) for body in bodies]
    return {
        "queue": first.queue,
        "task": first.task,
        "rank": 9 - first.priority,
        "expires": first.expires if first.lifetime is None else now + first.lifetime,
        "now": now,
        "headers": first.headers,
        "options": first.options,
        "count": len(messages),
        "ids": "\n".join([m.id for m in messages]),
        "bodies": b"".join(bodies),
        "offsets": f"{{{','.join(map(str, accumulate(sizes[:-1], initial=1)))}}}",
        "sizes": f"{{{','.join(map(str, sizes))}}}",
    }


def _give_names_back(beaten: Sequence[Message]) -> Program[None]:
    """Somebody put the same id since we looked. Under the same name it is theirs, while their job is not over."""
    if not beaten:
        return
    found = yield Statement("options_of", {"ids": _json(message.id for message in beaten)})
    theirs = {(hold.name, job) for job, raw, over in found if not over and (hold := decode_options(raw).unique) is not None}
    values: list[object] = []
    for message in beaten:
        if message.unique is not None and (message.unique.name, message.id) not in theirs:
            values += (message.unique.name, message.id)
    if values:
        yield Statement("give_names_back", values=values, width=2)


def _json(texts: Iterable[str]) -> str:
    return msgspec.json.encode(list(texts)).decode()
