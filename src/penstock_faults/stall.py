"""A disk that stands still for longer than a lease, and goes on: nobody can write meanwhile, and nobody is dead. Needs root.

    python -m penstock_faults.stall --stalls 10 --seed 1 [--server]

Workers of three machines, and a producer, use a store on a file system that is frozen (`fsfreeze`): a file, or a PostgreSQL server.
Prints a JSON verdict; exit 1 if anything was lost, done twice or run by two at once, if a worker was declared dead or a job's attempt
was used up, or if the run could not have seen it.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from penstock_faults.crew import Crew, gathered, sums
from penstock_faults.disk import spinning
from penstock_faults.member import PERIOD
from penstock_faults.power import no_server, served
from penstock_faults.waiting import conclude, wait_for, wait_for_none

WORKERS, LEASE = 3, 2.0
STALL = (1.25 * LEASE, 2 * LEASE)
"""Seconds, at the least and at the most."""
BETWEEN = (20, 60)
"""Rounds of the producer from one stall to the next, at the least and at the most."""


def run(stalls: int, seed: int, *, on_server: bool, place: Path) -> dict[str, object]:
    chance = random.Random(seed)
    planned = [(chance.randint(*BETWEEN), chance.uniform(*STALL)) for _ in range(stalls)]
    with tempfile.TemporaryDirectory(prefix="penstock-stall-", dir=place, ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with (
            spinning(Path(folder)) as disk,
            served(disk) if on_server else no_server() as server,
            gathered(server.url if server else None, disk=disk.root) as crew,
        ):
            workers = [crew.start("worker", f"w{n}", LEASE, machine=f"machine-{n}") for n in range(WORKERS)]
            crew.wait_for_workers(WORKERS)
            rounds = round(sum(between + seconds / PERIOD for between, seconds in planned)) + BETWEEN[1]
            producer = crew.start("producer", "p0", rounds, machine="desk")
            for between, seconds in planned:
                crew.wait_for_rounds(crew.book().rounds() + between, 60)
                with disk.frozen():
                    until = time.monotonic() + seconds
                    wait_for(lambda: time.monotonic() > until, "the stall to last")  # noqa: B023
            crew.finish([producer], 60)
            wait_for_none(crew.site.unfinished, "all work to be done", 60)
            crew.stop(workers)
            return report(crew, stalls)


def report(crew: Crew, stalls: int) -> dict[str, object]:
    book = crew.book()
    found = {
        **sums(crew, book),
        "declared_dead": sorted(line.facts[0] for line in book.of("RESCUED")),
        "attempts_used_up": crew.site.value("select count(*) from penstock_message where deaths <> 0"),
        "refused": sum(int(line.facts[0]) for line in book.of("REFUSED")),
    }
    told = [line.at for line in book.of("ACK")]
    still = sum(later - earlier >= LEASE * 1e6 for earlier, later in pairwise(told))
    void = [] if still >= stalls else [f"nothing was acknowledged for a lease {still} times only"]
    wrong = [name for name, value in found.items() if value and name not in ("acknowledged", "effects", "corrupt")]
    return {
        "stalls": stalls,
        "stopped": len(book.jobs("STOPPED")),
        **found,
        "void": void,
        "ok": not void and not wrong and found["corrupt"] == "ok",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stalls", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server", action="store_true", help="on PostgreSQL")
    parser.add_argument("--disk", type=Path, default=Path.cwd(), help="a folder on a real disk, for the file that the other one is in")
    options = parser.parse_args()
    conclude(run(options.stalls, options.seed, on_server=options.server, place=options.disk))


if __name__ == "__main__":
    main()
