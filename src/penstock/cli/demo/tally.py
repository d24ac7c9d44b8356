"""The sums, a row each: what was counted, and whether it is right."""

from __future__ import annotations

from typing import TypeAlias

from penstock.cli.demo.reconcile import Verdict, accounts, files, orders, reports, signups

Row: TypeAlias = tuple[str, int, bool | None, str]
"""Name, count, whether it is right (None: nothing to hold it against), a note."""


def rows(verdict: Verdict) -> list[str]:
    sums = verdict.sums
    groups = (
        _sign_ups(sums.sign_ups, len(verdict.sent_again)),
        _orders(sums.orders),
        _accounts(sums.accounts),
        _files(sums.files),
        _reports(sums.reports),
    )
    return [line for group in groups for line in ("", *(_row(*row) for row in group))]


def _sign_ups(sums: signups.Sums, again: int) -> list[Row]:
    return [
        ("sign-ups tried", sums.tried, None, _unknown(sums.unknown)),
        ("sign-ups acknowledged", sums.acknowledged, None, ""),
        ("users", sums.users, sums.acknowledged <= sums.users <= sums.tried, "between the two"),
        ("  welcomed", sums.welcomed, None, ""),
        ("  dead letters", sums.dead_letters, None, ""),
        ("  lost", sums.lost, sums.lost == 0, "neither welcomed nor dead letter"),
        ("  effects twice", sums.effects_twice, sums.effects_twice == 0, "a second row in welcomed"),
        ("e-mails", sums.e_mails, None, ""),
        ("  sent again after a kill", again, None, "as the job's history says"),
        ("  twice, unexplained", sums.e_mails_twice_unexplained, sums.e_mails_twice_unexplained == 0, ""),
        ("welcomed without an e-mail", sums.welcomed_without_e_mail, sums.welcomed_without_e_mail == 0, ""),
    ]


def _orders(sums: orders.Sums) -> list[Row]:
    return [
        ("orders tried", sums.tried, None, _unknown(sums.unknown)),
        ("orders acknowledged", sums.acknowledged, None, ""),
        ("orders", sums.orders, sums.acknowledged <= sums.orders <= sums.tried, "between the two"),
        ("  events in the topic", sums.events, sums.events == sums.orders, "as many"),
        ("  stock moves", sums.moves, None, ""),
        ("  shipments", sums.shipments, None, ""),
        ("  dead letters", sums.dead_letters, None, "of either"),
        ("  missing", sums.missing, sums.missing == 0, "no event, not moved or not shipped"),
        ("  twice", sums.twice, sums.twice == 0, "a second row"),
        ("  out of order", sums.out_of_order, sums.out_of_order == 0, "a product's moves"),
    ]


def _accounts(sums: accounts.Sums) -> list[Row]:
    changes = sums.updated + sums.deleted
    return [
        ("changes tried", sums.tried, None, _unknown(sums.unknown)),
        ("changes acknowledged", sums.acknowledged, None, ""),
        ("changes of accounts", changes, sums.acknowledged <= changes <= sums.tried, f"between the two; {sums.deleted} deleted"),
        ("events of accounts", sums.events, None, ""),
        ("  users, replayed", sums.replayed, None, ""),
        ("  users in the table", sums.users, None, ""),
        ("  dead letters", sums.dead_letters, None, ""),
        ("  differences", sums.differences, sums.differences == 0, "between replay and table"),
    ]


def _files(sums: files.Sums) -> list[Row]:
    ended = sums.removed + sums.removed_untold + sums.left
    return [
        ("temporary files written", sums.written, sums.written == ended, "removed and left, together"),
        ("  removed", sums.removed, None, "by a schedule, when they were old"),
        ("  removed untold", sums.removed_untold, None, "its worker was killed at it"),
        ("  left", sums.left, None, ""),
        ("  lost", sums.lost, sums.lost == 0, "gone, and nobody removed them"),
        ("  twice", sums.twice, sums.twice == 0, "a second removal"),
        ("  too young", sums.too_young, sums.too_young == 0, ""),
    ]


def _reports(sums: reports.Sums) -> list[Row]:
    return [
        ("reports asked for", sums.asked, sums.asked == sums.done + sums.dead_letters, ""),
        ("  done", sums.done, None, "in a child process"),
        ("  dead letters", sums.dead_letters, None, ""),
        ("  wrong", sums.wrong, sums.wrong == 0, "other orders than there were"),
    ]


def _unknown(count: int) -> str:
    return f"{count} without a reply" if count else ""


def _row(name: str, count: int, right: bool | None, note: str) -> str:
    mark = "" if right is None else "ok" if right else "WRONG"
    return f"  {name:<28}{count:>8,}  {mark:<6}{note}".rstrip()
