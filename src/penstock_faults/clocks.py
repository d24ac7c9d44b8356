"""Machines whose clocks are 30 s apart: workers and producers of one PostgreSQL server, each behind libfaketime.

    python -m penstock_faults.clocks --server postgresql://… --seconds 60 --kills 20 --seed 1

Three workers and three producers, at +30 s, 0 and -30 s; each worker on a machine of its own, so that a dead one is found by its
lease. Workers are killed meanwhile. Prints a JSON verdict; exit 1 if anything ran twice, was lost, or came at the wrong time.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Sequence
from itertools import pairwise

from penstock_faults.crew import SLACK, Book, Crew, buried, deaths, gathered, slots, sums
from penstock_faults.member import AGAIN, PERIOD, RATE, STALE
from penstock_faults.software import tool
from penstock_faults.waiting import conclude, wait_for_none

SKEWS = (30, 0, -30)
LEASE = 3.0
LATE = 15.0
"""Seconds after its time in which something has to happen: half of what clocks are off, and time enough for a machine that is busy."""


def skewed(library: str, seconds: int) -> dict[str, str]:
    if not seconds:
        return {}
    return {"LD_PRELOAD": library, "FAKETIME": f"{seconds:+}", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}


def run(server: str, seconds: float, kills: int, seed: int) -> dict[str, object]:
    chance = random.Random(seed)
    library, rounds = tool("faketime"), round(seconds / PERIOD)
    with gathered(server) as crew:
        workers = {hire(crew, library, skew): skew for skew in SKEWS}
        crew.wait_for_workers(len(SKEWS))
        producers = [
            crew.start("producer", f"p{n}", rounds, machine="desk", environment=skewed(library, skew)) for n, skew in enumerate(SKEWS)
        ]
        for n, skew in enumerate(victims(kills, chance)):
            crew.wait_for_rounds(len(SKEWS) * rounds * (n + chance.uniform(0.2, 0.8)) / kills, 60 + seconds)
            victim = next(pid for pid, each in workers.items() if each == skew)
            del workers[victim]
            crew.kill(victim)
            workers[hire(crew, library, skew)] = skew
        crew.finish(producers, 60 + seconds)
        wait_for_none(crew.site.unfinished, "all work to be done", 60)
        crew.stop(workers)
        return report(crew, kills)


def victims(kills: int, chance: random.Random) -> Sequence[int]:
    """Each clock as often as the others."""
    found = [skew for _ in range(0, kills, len(SKEWS)) for skew in chance.sample(SKEWS, len(SKEWS))]
    return found[:kills]


def hire(crew: Crew, library: str, skew: int) -> int:
    name = f"w{skew:+}"
    crew.hired = crew.hired + 1
    return crew.start("worker", name, LEASE, machine=f"machine-{crew.hired}", environment=skewed(library, skew))


def report(crew: Crew, kills: int) -> dict[str, object]:
    book = crew.book()
    found = {
        **sums(crew, book),
        "ran_again": book.repeated(deaths(crew.site)),
        **timing(book),
        **slots(book),
        **expiry(crew, book),
        "rate_excess": rate_excess([line.at for line in book.of("BEGIN") if line.facts[0].endswith("-limited")]),
        "results_missing": sorted(asked(book) - book.jobs("RESULT") - buried(crew.site, book)),
        "rescues": len(list(book.of("RESCUED"))),
        "rescue_latest_s": rescue_latest(book),
    }
    void = unseen(book, found, kills)
    return {**found, "void": void, "ok": not void and not wrong(found)}


def timing(book: Book) -> dict[str, object]:
    """How far from their times jobs with a delay, an instant or a retry began; seconds."""
    due = {line.facts[0]: int(line.facts[2]) for line in book.of("TRY") if line.facts[1] in ("delay", "at", "short", "plain")}
    runs = book.runs()
    first = {job: (each[0].begin - due[job]) / 1e6 for job, each in runs.items() if job in due}
    late = {job: wait for job, wait in first.items() if job.endswith(("delay", "at"))}
    retried = [(each[1].begin - (each[0].end or 0)) / 1e6 - AGAIN for each in runs.values() if len(each) == 2 and each[0].how == "FAILED"]
    return {
        "delayed": len(late),
        "delayed_earliest_s": round(min(late.values(), default=0), 3),
        "delayed_latest_s": round(max(late.values(), default=0), 3),
        "begun_latest_s": round(max(first.values(), default=0), 3),
        "retried": len(retried),
        "retried_earliest_s": round(min(retried, default=0), 3),
        "retried_latest_s": round(max(retried, default=0), 3),
    }


def expiry(crew: Crew, book: Book) -> dict[str, object]:
    """Those that nobody takes expire in their time; those that may wait for less than the clocks are apart do not."""
    stale = {line.facts[0]: line.at for line in book.of("TRY") if line.facts[1] == "stale"}
    rows = crew.site.rows("select m.id, f.ended, f.outcome from penstock_message m join penstock_finished f on f.seq = m.seq")
    after = [(at - crew.true - stale[job]) / 1e6 - STALE for job, at, _ in rows if job in stale]
    return {
        "expired": len(after),
        "expired_wrongly": sorted(job for job, _, how in rows if (how == "expired") is not (job in stale)),
        "expired_earliest_s": round(min(after, default=0), 3),
        "expired_latest_s": round(max(after, default=0), 3),
    }


def rate_excess(begins: Iterable[int]) -> float:
    """The most that began in any length of time beyond what the rate and its burst allow."""
    worst, level, last = 0.0, 0.0, None
    for at in sorted(begins):
        level = max(0.0, level - (at - (at if last is None else last)) / 1e6 * RATE) + 1
        worst, last = max(worst, level), at
    return round(worst - RATE / 10, 1)


def asked(book: Book) -> set[str]:
    """Jobs whose producer waits for the result."""
    return {job for job in book.jobs("ACK") if job.endswith("-plain") and int(job.split("-")[1]) % 10 == 0}


def rescue_latest(book: Book) -> float:
    """Seconds from a kill until what ran then began again."""
    waits = [
        (second.begin - book.killed[first.pid]) / 1e6
        for runs in book.runs().values()
        for first, second in pairwise(runs)
        if first.pid in book.killed and not first.how
    ]
    return round(max(waits, default=0), 3)


def wrong(found: dict[str, object]) -> list[str]:
    nothing = ("lost", "effects_twice", "effects_missing", "at_once", "ran_again", "dead", "slots_twice", "slots_missing")
    broken = [name for name in (*nothing, "expired_wrongly", "results_missing") if found[name]]
    broken += [name for name, value in found.items() if name.endswith("_earliest_s") and float(str(value)) < -SLACK]
    broken += [name for name, value in found.items() if name.endswith("_latest_s") and float(str(value)) > LATE]
    broken += ["rate_excess"] if float(str(found["rate_excess"])) > RATE / 2 else []
    return broken + (["corrupt"] if found["corrupt"] != "ok" else [])


def unseen(book: Book, found: dict[str, object], kills: int) -> list[str]:
    """What the run cannot have shown."""
    seen = {round(int(line.facts[1]) / 1e6) for word in ("WORKER", "PRODUCER") for line in book.of(word)}
    void = [f"a clock {skew} s off" for skew in SKEWS if skew not in seen]
    void += [name for name in ("delayed", "retried", "slots", "expired", "effects") if not found[name]]
    return void + (["rescues"] if kills and not found["rescue_latest_s"] else [])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True, help="URL of a PostgreSQL database")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    conclude(run(options.server, options.seconds, options.kills, options.seed))


if __name__ == "__main__":
    main()
