"""What the run looks like, as lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.cli.demo.killer import Kill
from penstock.cli.demo.meter import Numbers

TITLE = "Penstock demo: jobs whose workers are killed"
STORY = (
    "A web API keeps each new user, and the job that welcomes them, in one SQLite transaction. Two worker processes run the jobs: they "
    "send e-mails to a real mail server, which refuses some. Workers are killed with SIGKILL. At the end everything is counted: nothing "
    "may be lost, and nothing in the database may happen twice."
)


def table(numbers: Numbers, doing: str, keys: bool) -> list[str]:
    """The live screen."""
    return [
        "",
        f"  {'':<24}{'total':>9}{'a second':>12}",
        f"  {'sign-ups acknowledged':<24}{numbers.acknowledged:>9,}{numbers.sign_ups_a_second:>12.1f}",
        f"  {'e-mails delivered':<24}{numbers.delivered:>9,}{numbers.e_mails_a_second:>12.1f}",
        "",
        f"  {'jobs':<10}{_now(numbers)}",
        f"  {'workers':<10}{_workers(numbers)}",
        f"  {'killed':<10}{_killed(numbers.kills)}",
        "",
        f"  {numbers.elapsed:.0f} s   {doing}" if doing else f"  {_clock(numbers)}   {_keys(keys)}",
    ]


def line(numbers: Numbers, doing: str) -> str:
    """The same where nothing can be drawn: one line a second."""
    parts = [
        f"{numbers.elapsed:4.0f} s",
        f"signed up {numbers.acknowledged:<6,}",
        f"e-mails {numbers.delivered:<6,}",
        _now(numbers),
        _killed_briefly(numbers.kills),
        doing,
    ]
    return "  ".join(part for part in parts if part)


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
    if last.back_after is None:
        return f"{len(kills)}   process {last.pid} with {_jobs(last.held)} just now"
    return f"{len(kills)}   process {last.pid} with {_jobs(last.held)}: visible again after {last.back_after * 1000:.0f} ms"


def _killed_briefly(kills: Sequence[Kill]) -> str:
    back = kills[-1].back_after if kills else None
    return f"killed {len(kills)}" + (f" (work back after {back * 1000:.0f} ms)" if back is not None else "")


def _clock(numbers: Numbers) -> str:
    return f"{numbers.elapsed:.0f} s" if numbers.left is None else f"{numbers.elapsed:.0f} s, {numbers.left:.0f} s to go"


def _keys(keys: bool) -> str:
    return "k: kill a worker   q: stop and check the sums" if keys else ""
