"""The runs of keys that a claim takes: take the keys first, then look.

1. `occupy` takes the keys of the rows that were met, in the order of their names, as far as they are free or wait for a retry that was
   met. Of a busy key it changes nothing **but locks the row**: the settle that frees the key waits until this claim has put aside
   what it met, and then finds it.
2. `runs_of_keys` is a new statement, so it sees what was committed while the keys were waited for. From now on nobody else moves
   messages of these keys, but another claim may have met some, and wait for the key: what it holds is skipped, and a run ends before
   it. A stray that is just being called back is skipped likewise.
3. Runs are leased, and what was met behind them or behind busy keys is set aside. A key that gave nothing is let go: if its first
   message is another claim's, that one has waited for the key and goes on.

A row of a key stands for the key: whichever is met, the run begins with the first. A key is looked at once a meeting.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from penstock.model.statement import Program, Row, Rows, Statement
from penstock.stores.sql import keys
from penstock.stores.sql.share import KEY, SEQ, TASK, Share, as_json

_LEAST = 4
"""Messages of a key to look at: some may have expired."""


class Runs:
    """Of one queue, and the rows that were met together."""

    def __init__(self, share: Share) -> None:
        self.suspects = False
        """Some of its own tasks were set apart."""
        self._share = share
        self._met: Rows = ()
        self._ours: set[str] = set()
        self._found: dict[str, list[Row]] = {}
        self._gone: set[int] = set()
        """What is leased, ended or set apart."""
        self._ended: list[Row] = []
        self._apart: dict[str, list[int]] = {"put_stray": [], "put_suspects": []}
        self._held: list[tuple[str, str, int]] = []
        self._over: list[str] = []
        """Keys of which all that was looked at has expired."""
        self._astray: list[str] = []
        """Keys that wait behind a stray."""
        self._taken: set[str] = set()
        """Keys that are done with, one way or another."""

    def find(self, met: Rows) -> Program[None]:
        self._met = met
        self._ours = yield from self.occupy(met)
        if not self._ours:
            return
        share = self._share
        limit = max(_LEAST, min(keys.RUN, math.ceil(share.longest)))
        asked = _json(dict.fromkeys(row[KEY] for row in met if row[KEY] in self._ours))
        for row in (yield Statement("runs_of_keys", {"queue": share.queue, "keys": asked, "limit": limit, "room": math.ceil(share.room)})):
            self._found.setdefault(row[KEY], []).append(row)

    def occupy(self, met: Rows) -> Program[set[str]]:
        share = self._share
        facts = {"owner": share.owner, "queue": share.queue, "seqs": as_json(row[SEQ] for row in met)}
        return {row[0] for row in (yield Statement("occupy", facts))}

    def take(self, met: Row) -> Sequence[Sequence[Row]]:
        """The run of its key, or none."""
        key = met[KEY]
        if key in self._taken or key not in self._found:
            return ()
        self._taken.add(key)
        rows = self._found[key]
        run, ended = self._share.divide(rows)
        self._ended += ended
        self._gone.update(row[SEQ] for row in (*ended, *run))
        for row in run:
            self._share.take(row)
        if run:
            return (run,)
        if len(ended) < len(rows):
            self._set_apart(rows[len(ended)])
        else:
            self._over.append(key)
        return ()

    def _set_apart(self, head: Row) -> None:
        """The key's first message is a suspect, which holds the key, or a stray, behind which the key waits."""
        self._gone.add(head[SEQ])
        if head[TASK] not in self._share.tasks:
            self._apart["put_stray"].append(head[SEQ])
            self._astray.append(head[KEY])
        else:
            self._apart["put_suspects"].append(head[SEQ])
            self._held.append((self._share.queue, head[KEY], head[SEQ]))
            self.suspects = True

    def write(self) -> Program[None]:
        """After what runs was leased."""
        share = self._share
        if self._ended or any(self._apart.values()):
            yield from set_apart(share, self._ended, self._apart)
        if self._held:
            yield keys.hold(self._held)
        left = self._ours - self._taken
        if freed := [*left, *self._over, *self._astray]:
            yield Statement("let_keys_go", {"queue": share.queue, "keys": _json(freed), "untouched": _json(left)})
        if aside := [row[SEQ] for row in self._met if row[SEQ] not in self._gone and row[KEY] not in left]:
            yield Statement("set_aside", {"seqs": as_json(aside)})
        share.more |= bool(left or self._over)
        yield from keys.wake(sorted((share.queue, key) for key in self._over))


def set_apart(share: Share, ended: Sequence[Row], apart: dict[str, list[int]]) -> Program[None]:
    """Out of where it was met: what has expired, and into their own tables strays and suspects."""
    seqs = [row[SEQ] for row in ended] + [seq for some in apart.values() for seq in some]
    yield Statement("leave_met", {"seqs": as_json(seqs)})
    yield from share.expire(ended)
    for statement, some in apart.items():
        if some:
            yield Statement(statement, {"seqs": as_json(some)})


def _json(texts: Iterable[str]) -> str:
    return msgspec.json.encode(list(texts)).decode()
