"""Keys: the messages of one key in one queue run one at a time, in the order of their seq.

Invariants, true after every transaction:

- A key that runs, or whose first message waits for a retry, has one row in `penstock_busy`. `last` is the last message of the
  run (then `owner` is who runs it), or the message that waits for its retry (then `owner` is null). So has a key that is held by
  a dead letter (a subscription with `on_dead="hold"`), until that is replayed, in its place, or discarded.
- Of a key that is not busy and has messages that could run, the first one stands in `penstock_ready`, unless it is a stray:
  then the whole key waits for a worker that knows its task. The others stand in ready or aside; a claim of any of them takes
  the run that begins with the first.
- So a busy key costs a claim nothing but moving each of its messages aside once, and freeing a key moves one row back,
  however many wait behind it.

A first delay takes no part until it is due; then its seq gives it its place. A run ends before a suspect and before a stray.
"""

from __future__ import annotations

from collections.abc import Iterable

from penstock.model.statement import Program, Row, Statement

RUN = 32
"""Messages of one key that one claim takes for one worker."""


def free(owner: int, seqs: str) -> Program[None]:
    """The runs of `owner` whose last message is among `seqs` (a JSON list) are over."""
    yield from wake((yield Statement("free_keys", {"seqs": seqs, "owner": owner})))


def hold(held: Iterable[tuple[str, str, int]]) -> Statement:
    """Keys (queue, key) that run wait for a message from now on: for its retry, or for an operator who replays or discards it."""
    return Statement("hold_key", values=[value for row in held for value in row], width=3)


def wake(keys: Iterable[Row]) -> Program[None]:
    """Put the first messages of these keys (queue, key; each once), as far as they are not busy, where claims look."""
    names = [name for key in keys for name in key]
    if not names:
        return
    heads = yield Statement("wake_heads", values=names, width=2)
    if heads:
        yield Statement("leave_aside", {"seqs": str([row[0] for row in heads])})
