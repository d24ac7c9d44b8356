"""Holds what others saw, in files of their own, against what the database holds. Pure functions of the evidence."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from penstock.cli.demo.reconcile import accounts, files, orders, reports, signups


class Evidence(Struct, frozen=True):
    sign_ups: signups.Evidence
    orders: orders.Evidence
    accounts: accounts.Evidence
    files: files.Evidence
    reports: reports.Evidence
    unfinished: int
    """Jobs that still wait or run, and events that no subscription was given."""


class Sums(Struct, frozen=True):
    sign_ups: signups.Sums
    orders: orders.Sums
    accounts: accounts.Sums
    files: files.Sums
    reports: reports.Sums
    unfinished: int


class Verdict(Struct, frozen=True):
    sums: Sums
    sent_again: tuple[signups.SentAgain, ...]
    faults: tuple[str, ...]
    """What does not add up, in words; empty: everything does."""

    @property
    def ok(self) -> bool:
        return not self.faults


def reconcile(evidence: Evidence) -> Verdict:
    sign_ups = signups.reconcile(evidence.sign_ups)
    ordered = orders.reconcile(evidence.orders)
    kept = accounts.reconcile(evidence.accounts)
    shelf = files.reconcile(evidence.files)
    reported = reports.reconcile(evidence.reports)
    return Verdict(
        sums=Sums(sign_ups.sums, ordered.sums, kept.sums, shelf.sums, reported.sums, evidence.unfinished),
        sent_again=sign_ups.sent_again,
        faults=(*_still_here(evidence), *sign_ups.faults, *ordered.faults, *kept.faults, *shelf.faults, *reported.faults),
    )


def _still_here(evidence: Evidence) -> Iterable[str]:
    if evidence.unfinished:
        yield f"not finished: {evidence.unfinished} jobs still wait or run"
