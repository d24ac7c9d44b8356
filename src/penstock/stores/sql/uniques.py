"""Unique names: one job of a task at a time holds one.

- Taken by the put: one upsert decides, and says who holds it. Within one put the first message of a name asks for all.
- Let go by whatever ends the job (`until="done"`), or by its first claim (`until="start"`), in the same transaction. By name and
  job: a name that went to another meanwhile is not touched, so letting go twice does no harm.
- A window holds it on, without its job: the row stays, not held, until its `ends` has passed. Then the next put takes it, or the
  pruner removes it.

The name stands in the message's options, so a message without one costs a look at a None.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from penstock.model.message import decode_options
from penstock.model.statement import Program, Statement
from penstock.model.unique import Hold, Until

_WIDTH = 5


def take(asked: Sequence[tuple[Hold, str]], now: int) -> Program[dict[str, tuple[str, bool]]]:
    """(name, job), each name once. Who holds each, and whether a job does: if not, it is in its window.

    In the order of the names, so that two puts that lock rows do not wait for each other.
    """
    values: list[object] = []
    for hold, job in sorted(asked, key=lambda each: each[0].name):
        values += (hold.name, job, now, now + hold.window, True)
    rows = (yield Statement("take_unique", values=values, width=_WIDTH)) if values else ()
    return {name: (job, bool(held)) for name, job, held in rows}


def let_go(ended: Iterable[tuple[str, bytes | None]], now: int, until: Until | None = None) -> Program[None]:
    """Jobs (id, options) that have ended; with `until`, only the names that are held until that."""
    holds = [(hold, job) for job, raw in ended if raw is not None and (hold := decode_options(raw).unique) is not None]
    holds = [(hold, job) for hold, job in holds if until is None or hold.until == until]
    for statement, some in (("free_unique", holds), ("loosen_unique", [each for each in holds if each[0].window])):
        if some:
            names = {"names": _json(hold.name for hold, _ in some), "jobs": _json(job for _, job in some)}
            yield Statement(statement, {**names, "now": now} if statement == "free_unique" else names)


def held_until_done(options: bytes | None) -> Hold | None:
    """The name that a dead letter needs again to be replayed; one that is held until the start was had already."""
    hold = decode_options(options).unique
    return hold if hold is not None and hold.until == "done" else None


def refused_again(asked: Sequence[tuple[Hold, str]], now: int) -> Program[set[str]]:
    """Dead letters that come back take their names again, and no new window. Returns the jobs whose names are others'."""
    own = yield Statement("keep_unique", {"names": _json(hold.name for hold, _ in asked), "jobs": _json(job for _, job in asked)})
    kept = {row[0] for row in own}
    first = {hold.name: (replace(hold, window=0), job) for hold, job in reversed(asked) if hold.name not in kept}
    holders = {row[0]: row[1] for row in own}
    holders.update({name: job for name, (job, _) in (yield from take(list(first.values()), now)).items()})
    return {job for hold, job in asked if holders[hold.name] != job}


def _json(texts: Iterable[str]) -> str:
    return msgspec.json.encode(list(texts)).decode()
