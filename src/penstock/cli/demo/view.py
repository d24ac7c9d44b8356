"""What the run looks like, as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock.cli.demo.killer import Kill
from penstock.cli.demo.meter import Making, Numbers

TITLE = "Penstock demo: jobs whose workers are killed"
STORY = (
    "A web API keeps each new account, and the job that welcomes its user, in one SQLite transaction; and each order, and the event that "
    "tells of it. An account is the events that happened to it, and the table of users is made from them. Two worker processes send the "
    "e-mails, to a real mail server which refuses some, hand each order to inventory and to shipping, remove old temporary files, and "
    "make a report in a child process. Workers are killed with SIGKILL. At the end everything is counted: nothing may be lost, and "
    "nothing in the database may happen twice."
)

BAR = 24
"""Characters."""
BRIEFLY: Mapping[str, str] = {"users": "sign-ups acknowledged", "e-mails": "e-mails delivered", "orders": "orders acknowledged"}


def table(numbers: Numbers, doing: str, keys: bool) -> list[str]:
    """The live screen."""
    return [
        "",
        f"  {'':<24}{'total':>9}{'a second':>12}",
        *(f"  {total.name:<24}{total.count:>9,}{total.a_second:>12.1f}" for total in numbers.totals),
        "",
        f"  {'jobs':<10}{_now(numbers)}",
        f"  {'workers':<10}{_workers(numbers)}",
        f"  {'killed':<10}{_killed(numbers.kills)}",
        f"  {'report':<10}{_report(numbers.report)}",
        "",
        f"  {numbers.elapsed:.0f} s   {doing}" if doing else f"  {_clock(numbers)}   {_keys(keys)}",
    ]


def line(numbers: Numbers, doing: str) -> str:
    """The same where nothing can be drawn: one line a second."""
    totals = {total.name: total.count for total in numbers.totals}
    parts = [
        f"{numbers.elapsed:4.0f} s",
        *(f"{word} {totals[name]:<4,}" for word, name in BRIEFLY.items()),
        f"jobs {numbers.waiting + numbers.running + numbers.retrying:<3,}",
        f"dead {numbers.dead:<2,}",
        f"killed {len(numbers.kills)}",
    ]
    below = [f"report {_report(numbers.report)}"] if numbers.report is not None and numbers.report.status == "running" else []
    return "\n        ".join(["  ".join(parts), *below, *([doing] if doing else [])])


def _now(numbers: Numbers) -> str:
    states = (("waiting", numbers.waiting), ("running", numbers.running), ("retrying", numbers.retrying), ("dead letters", numbers.dead))
    return "   ".join(f"{name} {count:<3,}" for name, count in states)


def _workers(numbers: Numbers) -> str:
    alive = [f"process {pid} ({_jobs(running)})" for pid, running in numbers.workers]
    return "   ".join(alive + ([f"{numbers.away} starting"] if numbers.away else []))


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _killed(kills: Sequence[Kill]) -> str:
    if not kills:
        return "0"
    last = kills[-1]
    who = f"process {last.pid}, {', '.join((*last.roles, _jobs(last.held)))}"
    if last.back_after is None:
        return f"{len(kills)}   {who} just now"
    return f"{len(kills)}   {who}: back after {last.back_after * 1000:.0f} ms"


def _report(report: Making | None) -> str:
    if report is None:
        return "nobody has asked for one yet"
    if report.status != "running":
        return report.status
    full = round(report.fraction * BAR)
    return f"[{'#' * full}{'.' * (BAR - full)}] {report.fraction:4.0%}  {report.note}".rstrip()


def _clock(numbers: Numbers) -> str:
    return f"{numbers.elapsed:.0f} s" if numbers.left is None else f"{numbers.elapsed:.0f} s, {numbers.left:.0f} s to go"


def _keys(keys: bool) -> str:
    return "k: kill a worker   q: stop and check the sums" if keys else ""
