"""Keys: the messages of one key in one queue run one at a time, in the order of their seq.

Invariants, true after every transaction:

- A key that runs, or whose first message waits for a retry, has one row in `penstock_busy`. `last` is the last message of the
  run (then `owner` is who runs it), or the message that waits for its retry (then `owner` is null).
- Of a key that is not busy and has messages that could run, the first one stands in `penstock_ready`, unless it is a stray:
  then the whole key waits for a worker that knows its task. The others stand in ready or aside; a claim of any of them takes
  the run that begins with the first.
- So a busy key costs a claim nothing but moving each of its messages aside once, and freeing a key moves one row back,
  however many wait behind it.

A first delay takes no part until it is due; then its seq gives it its place. A run ends before a suspect and before a stray.
"""

from __future__ import annotations

from collections.abc import Iterable

from penstock.model.statement import Program, Statement

RUN = 32
"""Messages of one key that one claim takes for one worker."""


def free(owner: int, seqs: str) -> Program[list[tuple[str, str]]]:
    """The runs of `owner` whose last message is among `seqs` (a JSON list) are over."""
    rows = yield Statement("free_keys", {"seqs": seqs, "owner": owner})
    freed = [(str(row[0]), str(row[1])) for row in rows]
    for queue, key in freed:
        yield from wake(queue, key)
    return freed


def wake(queue: str, key: str) -> Program[None]:
    """Put the first message of a key that is not busy where claims look."""
    rows = yield Statement("head_of_key", {"queue": queue, "key": key})
    if rows and rows[0][1] is None:
        seqs = {"seqs": f"[{rows[0][0]}]"}
        yield Statement("back_to_ready", seqs)
        yield Statement("leave_aside", seqs)


def wake_all(keys: Iterable[tuple[str, str]]) -> Program[None]:
    for queue, key in sorted(set(keys)):
        yield from wake(queue, key)
