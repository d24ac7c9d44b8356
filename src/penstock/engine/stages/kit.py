"""What the stages and the courier share."""

from __future__ import annotations

from msgspec import Struct

from penstock.engine.duty import Duty
from penstock.engine.hooks import Hooks
from penstock.engine.reporter import Reporter
from penstock.engine.settler import Settler
from penstock.engine.stages.verdict import Judge
from penstock.engine.table import Table
from penstock.engine.ties import Ties
from penstock.ports.store import Store


class Kit(Struct, frozen=True):
    """Of one incarnation."""

    store: Store
    state: object
    settler: Settler
    table: Table
    judge: Judge
    hooks: Hooks
    reporter: Reporter
    ties: Ties


def kit_of(duty: Duty, table: Table, settler: Settler) -> Kit:
    judge = Judge(table, duty.store.clock, duty.ties.random)
    reporter = Reporter(duty.store.follow, duty.incarnation, duty.ties)
    hooks = Hooks(duty.program.on_error, duty.ties)
    return Kit(duty.store, duty.program.state, settler, table, judge, hooks, reporter, duty.ties)
