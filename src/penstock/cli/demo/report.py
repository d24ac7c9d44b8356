"""What the run came to: for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from penstock.cli.demo.plan import Plan
from penstock.cli.demo.reconcile import Verdict, orders, signups
from penstock.cli.demo.reconcile.signups import Buried, SentAgain
from penstock.cli.demo.show import Ending
from penstock.model.clock import SECOND

SHOWN = 5
"""Rows of a list; the rest is counted."""
Row: TypeAlias = tuple[str, int, bool | None, str]
"""Name, count, whether it is right (None: nothing to hold it against), a note."""


def lines(ending: Ending) -> list[str]:
    verdict = ending.verdict
    return [
        "",
        *_dead_letters(ending),
        "",
        "The sums, from the visitors' own file, the mail server's, and SQL:",
        "",
        *_sums(verdict),
        *_again(verdict.sent_again),
        *_faults(verdict),
        "",
    ]


def proof(ending: Ending) -> str:
    sums = ending.verdict.sums
    if not ending.verdict.ok:
        return "THE SUMS DIFFER: see above. The files are kept."
    return (
        f"What it proved: {_killed(len(ending.kills))} in {ending.seconds:.0f} s. "
        f"Of {sums.sign_ups.acknowledged:,} acknowledged sign-ups none was lost: each was welcomed once, or stands in the dead letters "
        f"with its reason. Of {sums.orders.acknowledged:,} acknowledged orders each moved stock once and was shipped once. Nothing in "
        "the database happened twice. An e-mail cannot be taken back: where a worker died between sending it and "
        "its commit, it went out again, and the job's history says so."
    )


def commands(plan: Plan, ending: Ending) -> list[str]:
    """What to look at next, in the folder that is kept."""
    shown = ending.verdict.sent_again[0].job if ending.verdict.sent_again else ending.letters[0].job if ending.letters else None
    return [
        f"Everything is kept in {plan.folder}. Look for yourself:",
        "",
        f"  export PENSTOCK_STORE={plan.store}",
        "  penstock dead ls",
        *([f"  penstock jobs show {shown}"] if shown else []),
    ]


def as_json(plan: Plan, ending: Ending) -> str:
    verdict = ending.verdict
    facts: dict[str, Any] = {
        "ok": verdict.ok,
        "seconds": round(ending.seconds, 1),
        "seed": plan.seed,
        "sums": verdict.sums,
        "kills": ending.kills,
        "sent_again_after_a_kill": verdict.sent_again,
        "dead_letters": ending.letters,
        "replayed": ending.replayed,
        "faults": verdict.faults,
        "folder": str(plan.folder) if plan.keep or not verdict.ok else None,
    }
    return msgspec.json.format(msgspec.json.encode(facts)).decode()


def _dead_letters(ending: Ending) -> list[str]:
    letters = ending.letters
    found = [f"Dead letters: {len(letters)}", *(f"  {_letter(letter)}" for letter in letters[:SHOWN]), *_more(len(letters))]
    if ending.replayed is not None:
        found.append(f"  {ending.replayed.address} was one too; it was given a mailbox and replayed: {ending.replayed.status}")
    return found


def _letter(letter: Buried) -> str:
    return f"{letter.address:<24}{letter.reason}"


def _sums(verdict: Verdict) -> list[str]:
    sums = verdict.sums
    return [_row(*row) for row in [*_sign_ups(sums.sign_ups, len(verdict.sent_again)), *_orders(sums.orders)]]


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


def _unknown(count: int) -> str:
    return f"{count} without a reply" if count else ""


def _row(name: str, count: int, right: bool | None, note: str) -> str:
    mark = "" if right is None else "ok" if right else "WRONG"
    return f"  {name:<28}{count:>8,}  {mark:<6}{note}".rstrip()


def _again(sent: Sequence[SentAgain]) -> list[str]:
    if not sent:
        return []
    return [
        "",
        "Sent again after a kill (job, address, time between the two e-mails):",
        *(f"  {_times(one)}" for one in sent[:SHOWN]),
        *_more(len(sent)),
    ]


def _times(one: SentAgain) -> str:
    return f"{one.job}  {one.address:<26}{(one.again - one.sent) / SECOND:.2f} s"


def _faults(verdict: Verdict) -> list[str]:
    if verdict.ok:
        return []
    return ["", "What does not add up:", *(f"  {fault}" for fault in verdict.faults[:20]), *_more(len(verdict.faults), 20)]


def _more(count: int, shown: int = SHOWN) -> list[str]:
    return [f"  and {count - shown} more"] if count > shown else []


def _killed(count: int) -> str:
    match count:
        case 0:
            return "no worker was killed (try k, or --kills 3)"
        case 1:
            return "1 worker was killed with SIGKILL"
        case _:
            return f"{count} workers were killed with SIGKILL"
