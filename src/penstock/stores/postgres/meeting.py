"""Meeting what is ready in a queue: its first rows, as many as there is room for, once a transaction.

Once, because the keys of what is met are locked in their order, and those of a second meeting might come before them. Each row that is
met leaves ready: it is leased, set aside, set apart as a suspect, or ended as expired; and what is behind is for the next meeting.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock.model.delivery import SUSPECT_DEATHS
from penstock.model.statement import Program, Row, Rows, Statement
from penstock.stores.postgres.look import Starts
from penstock.stores.postgres.runs import Runs, set_apart
from penstock.stores.sql.share import DEATHS, EXPIRES, KEY, RANK, SEQ, TASK, Share


class Meeting:
    def __init__(self, share: Share, starts: Starts) -> None:
        self.met = 0
        self.ran = 0
        self.mixed = False
        """Something was met that one statement cannot take."""
        self.suspects = False
        """Some of its own tasks were set apart."""
        self.behind: Starts = {}
        """Where to go on, while there is room. Else it is known whether there is more."""
        self._share = share
        self._starts = starts

    def meet(self, limit: int) -> Program[None]:
        share, starts = self._share, self._starts
        if share.room <= 0:
            share.more |= bool(starts)
            return
        rows = (yield Statement("meet_ready", {"queue": share.queue, "starts": as_json(starts), "limit": limit})) if starts else ()
        if not rows:
            return
        self.met = len(rows)
        self.ran = yield from self._sort(rows)
        if self.met < limit:
            return
        last = rows[-1]
        behind = {rank: seq for rank, seq in starts.items() if rank > last[RANK]} | {last[RANK]: last[SEQ] + 1}
        if share.room > 0:
            self.behind = behind
        elif not share.more:
            share.more = bool((yield Statement("any_from", {"queue": share.queue, "starts": as_json(behind)})))

    def _sort(self, rows: Rows) -> Program[int]:
        """Decide each row in its order until the room is full; returns how many are leased."""
        share = self._share
        runs = Runs(share)
        if keyed := [row for row in rows if row[KEY] is not None]:
            yield from runs.find(keyed)
        leased: list[Sequence[Row]] = []
        ended: list[Row] = []
        apart: dict[str, list[int]] = {"put_stray": [], "put_suspects": []}
        for row in rows:
            if share.room <= 0:
                share.more = True
                break
            if row[KEY] is not None:
                leased += runs.take(row)
            elif row[EXPIRES] is not None and row[EXPIRES] <= share.now:
                ended.append(row)
            elif row[TASK] not in share.tasks:
                apart["put_stray"].append(row[SEQ])
            elif row[DEATHS] >= SUSPECT_DEATHS:
                apart["put_suspects"].append(row[SEQ])
            else:
                share.take(row)
                leased.append((row,))
        if leased:
            yield from share.lease(leased)
        if ended or any(apart.values()):
            yield from set_apart(share, ended, apart)
        yield from runs.write()
        self.suspects = bool(apart["put_suspects"]) or runs.suspects
        batched = bool(share.batches) and any(row[TASK] in share.batches for row in rows)
        self.mixed = bool(keyed or ended or batched or any(apart.values()))
        return sum(map(len, leased))


def as_json(starts: Starts) -> str:
    return str([list(start) for start in sorted(starts.items())])  # lists of ints print as JSON
