"""A crash at every named point of the code (`ports.signals.POINTS`), one after the other.

    python -m penstock_faults.points --rounds 3 --seed 1 [--server postgresql://…]

Workers and producers under load as in the kill test, with a schedule besides. Whoever comes to the point first
stands still there, says so, and is killed; another one starts. A point that nobody comes to ends the run. Then the sums. Prints a JSON
verdict; exit 1 if anything was lost, done twice or out of order.
"""

from __future__ import annotations

import argparse
import os
import random
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from penstock.ports.signals import POINTS
from penstock_faults.kills import Run, finish, gathered, prepare
from penstock_faults.ledger import Tail, judge
from penstock_faults.waiting import conclude, wait_for

WORKERS, RATE = 2, 60
OF_HANDLERS = ("in_handler", "tx_open")
"""Points of the test's own."""
SOME = 10
"""Acknowledgements between two kills, so that those who are new take part."""


def run(rounds: int, seed: int, disk: Path, server: str | None) -> dict[str, object]:
    chance = random.Random(seed)
    os.environ["EVERYTHING"] = "1"
    with gathered(disk, server) as test:
        prepare(test, WORKERS, RATE)
        for _ in range(rounds):
            order = [*POINTS, *OF_HANDLERS]
            chance.shuffle(order)
            for point in order:
                kill_at(test, point)
        finish(test)
        return report(test, rounds)


def kill_at(test: Run, point: str) -> None:
    """Whoever comes there first."""
    tail = Tail(test.ledger)
    wait_for(lambda: tail.count("ACK ") >= SOME, f"some load before {point}")
    order = test.folder / "stand" / "anybody"
    new = order.with_suffix(".new")
    new.write_text(point)
    new.rename(order)
    wait_for(lambda: tail.count(f"STANDS {point} ") > 0, f"somebody to come to {point}")
    (pid,) = {int(line.split()[2]) for line in tail.lines(f"STANDS {point} ")}
    test.kill(pid, point)


def report(test: Run, rounds: int) -> dict[str, object]:
    verdict = judge(test.read(), test.site)
    wrong = {"slots_twice": twice(test, "select job from slots")}
    seen = {"slots_fired": test.site.value("select count(*) from slots")}
    void = [point for point in POINTS if not sum(kill.point == point for kill in test.kills)]
    void += [name for name, count in seen.items() if not count] + verdict.void
    return {
        "kills": len(test.kills),
        "points": len(POINTS) + len(OF_HANDLERS),
        "rounds": rounds,
        "roles": dict(Counter(kill.role for kill in test.kills)),
        "unknown_resolved": len(test.read().resolved),
        "died_three_times_and_replayed": test.replayed,
        **seen,
        **asdict(verdict),
        **wrong,
        "void": void,
        "ok": verdict.good and not void and not any(wrong.values()),
    }


def twice(test: Run, sql: str) -> list[str]:
    return sorted(what for what, count in Counter(row[0] for row in test.site.rows(sql)).items() if count > 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each point")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--disk", type=Path, default=Path.cwd(), help="a folder on a real disk")
    parser.add_argument("--server", help="URL of a PostgreSQL database, instead of a file")
    options = parser.parse_args()
    conclude(run(options.rounds, options.seed, options.disk, options.server))


if __name__ == "__main__":
    main()
