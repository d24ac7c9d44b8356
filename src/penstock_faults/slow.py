"""Slow handlers, and workers that stop in good order under load.

    python -m penstock_faults.slow --stops 20 --seed 1 [--server postgresql://…]

Handlers run for one and for three leases, block the event loop for more than one, keep a processor busy in a thread, do not ask
whether they should stop, and will not be cancelled. Meanwhile workers are told to stop, by SIGTERM, at random points, and others start.
Nobody may be declared dead, and no attempt may be used up. Prints a JSON verdict; exit 1 if anything was lost, or ran again though it had
not been stopped, or if the run could not have seen it.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from penstock_faults.crew import Book, Crew, gathered, sums
from penstock_faults.member import PERIOD
from penstock_faults.slowed import LOOSE, TASKS
from penstock_faults.waiting import conclude, wait_for, wait_for_none

WORKERS = 2
BETWEEN = (0.2, 1.0)
"""Seconds between two stops."""
LONGEST = 10.0
"""Seconds that a stop may take: what cannot be stopped ends before its process does."""
A_STOP = 1.6
"""Seconds of load for each stop."""


class Stop(NamedTuple):
    """`at`: µs, when it was told; `took`: seconds."""

    pid: int
    at: int
    took: float


def run(stops: int, seed: int, server: str | None) -> dict[str, object]:
    chance = random.Random(seed)
    with gathered(server, "penstock_faults.slowed") as crew:
        workers: list[int] = []
        for _ in range(WORKERS):
            hire(crew, workers)
        producer = crew.start("producer", "p0", round((stops + 1) * A_STOP / PERIOD), machine="desk")
        told = [stop_one(crew, workers, chance) for _ in range(stops)]
        crew.finish([producer], 60)
        wait_for_none(crew.site.unfinished, "all work to be done", 60)
        crew.stop(workers)
        return report(crew, told)


def hire(crew: Crew, workers: list[int]) -> None:
    crew.hired += 1
    workers.append(crew.start("worker", f"w{crew.hired}", machine=f"machine-{crew.hired}"))
    crew.wait_for_workers(crew.hired)


def stop_one(crew: Crew, workers: list[int], chance: random.Random) -> Stop:
    """While another one starts; so it is never the last."""
    until = time.monotonic() + chance.uniform(*BETWEEN)
    wait_for(lambda: time.monotonic() > until, "a moment")
    pid = workers.pop(chance.randrange(len(workers)))
    at = time.monotonic_ns() // 1000
    crew.stop([pid])
    took = time.monotonic_ns() / 1e9 - at / 1e6
    hire(crew, workers)
    return Stop(pid, at, round(took, 3))


def report(crew: Crew, stops: Sequence[Stop]) -> dict[str, object]:
    book = crew.book()
    runs = Counter(job.rpartition("-")[2] for job, each in book.runs().items() for _ in each)
    found = {
        **{name: value for name, value in sums(crew, book).items() if name != "at_once"},
        "ran_again": ran_again(book),
        "attempts_used_up": [row[0] for row in crew.site.rows(_USED_UP)],
        "failed_or_died": crew.site.value("select count(*) from penstock_attempt where what in ('failed', 'died', 'dead')"),
        "declared_dead": sorted(line.facts[0] for line in book.of("RESCUED")),
        "refused": sum(int(line.facts[0]) for line in book.of("REFUSED")),
        "late_to_stop": [stop.took for stop in stops if stop.took > LONGEST],
    }
    facts = {
        "stops": len(stops),
        "slowest_stop_s": max((stop.took for stop in stops), default=0),
        "runs": dict(sorted(runs.items())),
        "running_when_told": sum(running_at(book, stop) for stop in stops),
        "stopped": sum(each.how == "STOPPED" for mine in book.runs().values() for each in mine),
        "troubles": dict(Counter(line.facts[1] for line in book.of("TROUBLE"))),
    }
    void = [kind for kind in TASKS if not runs[kind]] + [name for name in ("running_when_told", "stopped") if not facts[name]]
    return {**facts, **found, "void": void, "ok": not void and not wrong(found)}


_USED_UP = "select m.id from penstock_message m join penstock_finished f on f.seq = m.seq where f.attempt <> 1 or m.deaths <> 0"


def ran_again(book: Book) -> list[str]:
    """Jobs that can be stopped, and ran again though an earlier run had not been stopped by then."""
    found: list[str] = []
    for job, runs in book.runs().items():
        if job.rpartition("-")[2] in LOOSE:
            continue
        if any(first.how != "STOPPED" or first.end is None or first.end > second.begin for first, second in pairwise(runs)):
            found.append(job)
    return sorted(found)


def running_at(book: Book, stop: Stop) -> int:
    return sum(
        run.pid == stop.pid and run.begin < stop.at and (run.end is None or run.end > stop.at)
        for runs in book.runs().values()
        for run in runs
    )


def wrong(found: dict[str, object]) -> list[str]:
    names = ("lost", "effects_twice", "effects_missing", "ran_again", "attempts_used_up", "failed_or_died", "declared_dead", "refused")
    broken = [name for name in (*names, "late_to_stop", "dead") if found[name]]
    return broken + (["corrupt"] if found["corrupt"] != "ok" else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stops", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server", help="URL of a PostgreSQL database, instead of a file")
    options = parser.parse_args()
    conclude(run(options.stops, options.seed, options.server))


if __name__ == "__main__":
    main()
