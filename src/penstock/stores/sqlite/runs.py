"""The runs of keys that a claim takes. A row of a key stands for the key: whichever is met, the run begins with the first.

A key is looked at once a claim. What the runs of many keys leave and occupy is gathered, and written in one statement a kind.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock.model.statement import Program, Row, Statement
from penstock.stores.sql import keys
from penstock.stores.sql.share import KEY, RANK, SEQ, TASK, Share, as_json

PLACE = RANK
_OCCUPIED = 4


class Runs:
    """Of one queue."""

    def __init__(self, share: Share) -> None:
        self.gone: set[int] = set()
        """What is not where it was met any more: leased, ended or set apart."""
        self._share = share
        self._queue = share.queue
        self._settled: set[str] = set()
        self._held_by: dict[str, int] = {}
        self._left: dict[str, list[int]] = {"ready": [], "aside": []}
        self._occupied: list[object] = []
        self._freed: set[tuple[str, str]] = set()

    def take(self, met: Row) -> Program[Sequence[Row]]:
        """Take the run that begins with the key's first message, or nothing."""
        key = met[KEY]
        if met[SEQ] in self.gone or key in self._settled or self._held_by.get(key, met[SEQ]) != met[SEQ]:
            return ()
        busy = yield Statement("busy_key", {"queue": self._queue, "key": key})
        if busy and busy[0][1] is None and busy[0][0] != met[SEQ]:
            self._held_by[key] = busy[0][0]
            return ()
        self._settled.add(key)
        if busy and busy[0][1] is not None:
            return ()
        return (yield from self._take_first(key))

    def write(self) -> Program[None]:
        """Nobody misses it in between: no key is looked at twice."""
        for place, statement in (("ready", "leave_ready_some"), ("aside", "leave_aside")):
            if seqs := self._left[place]:
                yield Statement(statement, {"seqs": as_json(seqs)})
                self._left[place] = []
        if self._occupied:
            yield occupy(self._occupied)
            self._occupied = []

    def wake_freed(self) -> Program[None]:
        """Only after all was met: a row put back earlier could lie in the range that was met and is deleted."""
        self._share.more |= bool(self._freed)
        yield from keys.wake(sorted(self._freed))

    def _take_first(self, key: str) -> Program[Sequence[Row]]:
        share = self._share
        rows = yield Statement("run_of_key", {"queue": self._queue, "key": key, "limit": keys.RUN})
        run, ended = share.divide(rows)
        self._leave([*ended, *run])
        yield from share.expire(ended)
        if run:
            self._occupied += (self._queue, key, run[-1][SEQ], share.owner)
            for row in run:
                share.take(row)
            return run
        yield Statement("vacate", {"queue": self._queue, "key": key})
        if len(ended) < len(rows):
            yield from self._set_apart(rows[len(ended)])
        else:
            self._freed.add((self._queue, key))
        return ()

    def _set_apart(self, head: Row) -> Program[None]:
        """The key's first message is a suspect, which holds the key, or a stray, behind which the key waits."""
        self._leave([head])
        yield from self.write()
        if head[TASK] not in self._share.tasks:
            yield Statement("put_stray", {"seqs": as_json([head[SEQ]])})
        else:
            yield Statement("put_suspect", {"seq": head[SEQ]})
            self._share.set_apart = True
            self._occupied += (self._queue, head[KEY], head[SEQ], None)

    def _leave(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self.gone.add(row[SEQ])
            self._left[row[PLACE]].append(row[SEQ])


def occupy(values: Sequence[object]) -> Statement:
    """(queue, key, last, owner), …"""
    return Statement("occupy", values=values, width=_OCCUPIED)
