"""Reports: each one that was asked for is there, and knows the orders that had been acknowledged by then, and none that never were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from penstock.cli.demo.ledger import OrderAcknowledged, OrderCall, ReportAsked
from penstock.cli.demo.reconcile.burial import Letter, causeless
from penstock.cli.demo.sales import Sales


class Evidence(Struct, frozen=True):
    asked: Sequence[ReportAsked]
    calls: Sequence[OrderCall]
    orders: int
    """At the end."""
    results: Mapping[str, Sales]
    """By job."""
    buried: Sequence[Letter[str]] = ()
    """Jobs that are dead letters."""

    @property
    def last(self) -> Sales | None:
        found = [self.results[each.job] for each in self.asked if each.job in self.results]
        return found[-1] if found else None


class Sums(Struct, frozen=True):
    asked: int
    done: int
    dead_letters: int
    wrong: int


class Verdict(Struct, frozen=True):
    sums: Sums
    faults: tuple[str, ...]


def reconcile(evidence: Evidence) -> Verdict:
    ended = {*evidence.results, *(letter.of for letter in evidence.buried)}
    missing = [f"report missing: job {each.job}" for each in evidence.asked if each.job not in ended]
    wrong = [f"report wrong: {what}" for what in _wrong(evidence)]
    sums = Sums(len(evidence.asked), len(evidence.results), len(evidence.buried), len(wrong))
    return Verdict(sums, (*missing, *wrong, *causeless("the reports", evidence.buried)))


def _wrong(evidence: Evidence) -> Iterable[str]:
    for each in evidence.asked:
        sales = evidence.results.get(each.job)
        if sales is None:
            continue
        known = sum(isinstance(call, OrderAcknowledged) and call.at <= each.at for call in evidence.calls)
        if not known <= sales.orders <= evidence.orders:
            yield f"job {each.job} knows {sales.orders} orders, not between {known} acknowledged and {evidence.orders} at the end"
        if sum(line.orders for line in sales.lines) != sales.orders:
            yield f"job {each.job}: its lines are not its {sales.orders} orders"
