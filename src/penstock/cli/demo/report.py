"""What the run came to: for people and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from penstock.cli.demo import tally
from penstock.cli.demo.archive import Fact
from penstock.cli.demo.events import UserDeleted, address_after
from penstock.cli.demo.killer import Kill
from penstock.cli.demo.plan import Plan
from penstock.cli.demo.reconcile import Verdict
from penstock.cli.demo.reconcile.signups import Buried, SentAgain
from penstock.cli.demo.sales import Sales
from penstock.cli.demo.show import Ending
from penstock.model.clock import SECOND

SHOWN = 5
"""Rows of a list; the rest is counted."""


def lines(ending: Ending) -> list[str]:
    verdict = ending.verdict
    return [
        "",
        *_kills(ending.kills),
        *_dead_letters(ending),
        *_story(ending),
        *_sales(ending.sales),
        "",
        "The sums, from the files of those who took part, and from SQL:",
        *tally.rows(verdict),
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
        f"with its reason. Of {sums.orders.acknowledged:,} acknowledged orders each moved stock once and was shipped once. The "
        f"{sums.accounts.events:,} events of the accounts, replayed, are the table of users. Nothing in the database happened twice. "
        "An e-mail cannot be taken back: where a worker died between sending it and its commit, it went out again, and the job's "
        "history says so."
    )


def commands(plan: Plan, ending: Ending) -> list[str]:
    """What to look at next, in the folder that is kept."""
    shown = ending.verdict.sent_again[0].job if ending.verdict.sent_again else ending.letters[0].job if ending.letters else None
    return [
        f"Everything is kept in {plan.folder}. Look for yourself:" if plan.url is None else "Everything is kept. Look for yourself:",
        "",
        f"  export PENSTOCK_STORE={shlex.quote(plan.store)}",
        "  penstock dead ls",
        *([f"  penstock jobs show {shown}"] if shown else []),
        "  penstock subscriptions ls",
        "  penstock schedules ls",
    ]


def as_json(plan: Plan, ending: Ending) -> str:
    verdict = ending.verdict
    facts: dict[str, Any] = {
        "ok": verdict.ok,
        "seconds": round(ending.seconds, 1),
        "seed": plan.seed,
        "sums": verdict.sums,
        "kills": ending.kills,
        "killed_by_role": {"worker": len(ending.kills), **_by_role(ending.kills)},
        "sent_again_after_a_kill": verdict.sent_again,
        "dead_letters": ending.letters,
        "replayed": ending.replayed,
        "account": ending.story,
        "report": ending.sales,
        "faults": verdict.faults,
        "folder": str(plan.folder) if plan.keep or not verdict.ok else None,
    }
    return msgspec.json.format(msgspec.json.encode(facts)).decode()


def _kills(kills: Sequence[Kill]) -> list[str]:
    if not kills:
        return []
    back = [kill.back_after * 1000 for kill in kills if kill.back_after is not None]
    roles = _by_role(kills)
    return [
        f"Killed: {len(kills)}, of whom {roles['feeder']} fed subscriptions and {roles['scheduler']} kept the schedules",
        *([f"  what they held was visible again after {min(back):.0f} to {max(back):.0f} ms"] if back else []),
        "",
    ]


def _by_role(kills: Sequence[Kill]) -> dict[str, int]:
    return {role: sum(role in kill.roles for kill in kills) for role in ("feeder", "scheduler")}


def _dead_letters(ending: Ending) -> list[str]:
    letters = ending.letters
    found = [f"Dead letters: {len(letters)}", *(f"  {_letter(letter)}" for letter in letters[:SHOWN]), *_more(len(letters))]
    if ending.replayed is not None:
        found.append(f"  {ending.replayed.address} was one too; it was given a mailbox and replayed: {ending.replayed.status}")
    return found


def _letter(letter: Buried) -> str:
    return f"{letter.address:<24}{letter.reason}"


def _story(ending: Ending) -> list[str]:
    """Replay, state as of a moment, and audit trail of one account."""
    story = ending.story
    if story is None:
        return []
    return [
        "",
        f"One account, {story.user}, as its events tell it:",
        *(f"  {_fact(fact)}" for fact in story.trail[-SHOWN:]),
        f"  replayed: {_address(address_after(fact.event for fact in story.trail))}; "
        f"as of {_moment(story.moment)}: {_address(story.address_then)}",
    ]


def _fact(fact: Fact) -> str:
    address = "" if isinstance(fact.event, UserDeleted) else fact.event.address
    return f"{fact.version:>3}  {_moment(fact.at)}  {fact.by:<11}{type(fact.event).__name__:<14}{address}".rstrip()


def _moment(at: datetime) -> str:
    return at.astimezone().strftime("%H:%M:%S.%f")[:-3]


def _address(address: str | None) -> str:
    return address or "deleted"


def _sales(sales: Sales | None) -> list[str]:
    if sales is None:
        return []
    return [
        "",
        f"The last report, by a child process, when there were {sales.orders} orders:",
        f"  {'product':<10}{'orders':>8}{'pieces':>8}   pieces an order, with 95 % confidence",
        *(f"  {each.product:<10}{each.orders:>8}{each.pieces:>8}   {each.low:.2f} to {each.high:.2f}" for each in sales.lines),
    ]


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
