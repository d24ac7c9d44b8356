"""Who waits for the end of a job, and hears of it.

A row says which socket to ring for which message. A settle looks whether there is a row of its own (one statement a batch: the rows
of others may be many, and dead), and takes out those of what it has ended; they are rung after its commit. Registering and settling
are both writes, so one comes first: either the settle finds the row, or the registering finds that the message has ended. A row of
somebody who gave up, or died, goes when the job ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.model.delivery import Settlement
from penstock.model.statement import Program, Rows, Statement
from penstock.ports.follow import Report
from penstock.stores.sql.dialect import Put, Settled
from penstock.stores.sql.settle import settle

_NOBODY: Rows = ()
_WIDTH = 5


def watch(job_id: str, bell: str) -> Program[bool]:
    """False: it has ended, or there is none."""
    return bool((yield Statement("watch", {"id": job_id, "bell": bell})))


def settle_and_hear(owner: int, settlements: Sequence[Settlement], now: int, put: Put) -> Program[Settled]:
    lost = yield from settle(owner, settlements, now, put)
    return Settled(lost, (yield from hear(settlements)))


def hear(settlements: Iterable[Settlement]) -> Program[Rows]:
    """Looks before it deletes: a statement that writes costs more, and nearly always there is nobody."""
    ended = {"seqs": str([each.delivery.seq for each in settlements])}
    if not (yield Statement("anybody_waits", ended)):
        return _NOBODY
    return (yield Statement("heard", ended))


def tell(owner: int, reports: Sequence[Report], now: int) -> Program[None]:
    values: list[object] = []
    for report in reports:
        values += (owner, report.seq, report.fraction, report.note, now)
    if values:
        yield Statement("tell_progress", values=values, width=_WIDTH)
