"""Whoever keeps house is killed, or stands still for longer than its lease and goes on: others take over, nothing is done twice.

    python -m penstock_faults.leaders --changes 10 --seed 1 [--server postgresql://…]

Three workers of one file, or of one PostgreSQL server, a schedule that fires every second, a producer. Each worker has a run-time folder
of its own, as on a machine or in a container of its own: a lock does not show the others that it lives. Prints a JSON verdict; exit 1
if a slot was missed or fired twice, if anything was lost or done twice, or if nobody led within a lease and a bit.

Who is stopped has a handler with `tx` under way. On a server its transaction is open; on a file it has not begun, since it would keep
all others from writing, and nobody could be declared dead.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import time
from contextlib import suppress

from penstock_faults.crew import Crew, deaths, gathered, slots, sums
from penstock_faults.ledger import Tail
from penstock_faults.member import PERIOD
from penstock_faults.waiting import conclude, wait_for, wait_for_none

LEASE = 3.0
BIT = 3.0
"""Seconds that whoever takes over may be late: it asks every third of a lease, and a machine may be busy."""
WORKERS = 3
LEADS = 1.0
"""Seconds that somebody leads, at the most, before it is killed or stopped."""
BUSY = 0.2
"""Seconds that a handler takes."""
LED = "select owner from penstock_lease where role = 'maintenance'"


def run(server: str | None, changes: int, seed: int) -> dict[str, object]:
    """As many are killed as are stopped."""
    chance = random.Random(seed)
    ways = [("killed", "stopped")[n % 2] for n in range(changes)]
    chance.shuffle(ways)
    with gathered(server) as crew:
        if server is None:
            os.environ["LATE"] = "1"
        workers = [hire(crew) for _ in range(WORKERS)]
        crew.wait_for_workers(WORKERS)
        producer = crew.start("producer", "p0", round(changes * (LEASE + LEADS + 1) / PERIOD), machine="desk")
        waits: dict[str, list[float]] = {"killed": [], "stopped": []}
        for how in ways:
            somebody_leads(crew, workers)
            crew.wait_for_rounds(crew.book().rounds() + chance.uniform(0, LEADS / PERIOD), 20)
            pid = somebody_leads(crew, workers)
            waits[how].append(kill(crew, workers, pid) if how == "killed" else stop(crew, pid))
        crew.finish([producer], 120)
        wait_for_none(crew.site.unfinished, "all work to be done", 60)
        if server is not None:
            wait_for(lambda: crew.site.value("select count(*) from penstock_delta") == 0, "the counters to be folded", 20)
        crew.stop(workers)
        return report(crew, waits)


def hire(crew: Crew) -> int:
    crew.hired += 1
    return crew.start("worker", f"w{crew.hired}", LEASE, machine=f"machine-{crew.hired}", environment={"BUSY": str(BUSY)})


def leader(crew: Crew) -> int:
    """Its pid; 0: nobody."""
    owners = {line.facts[0]: line.pid for line in crew.book().of("WORKER")}
    return next((owners.get(f"{owner:016x}", 0) for (owner,) in crew.site.rows(LED)), 0)


def somebody_leads(crew: Crew, workers: list[int]) -> int:
    found: list[int] = []

    def one_of_them() -> bool:
        found.append(leader(crew))
        return found[-1] in workers

    wait_for(one_of_them, "somebody to lead")
    return found[-1]


def kill(crew: Crew, workers: list[int], pid: int) -> float:
    """Seconds until another one leads."""
    workers.remove(pid)
    crew.kill(pid)
    workers.append(hire(crew))
    return until_another_leads(crew, pid)


def stop(crew: Crew, pid: int) -> float:
    """It goes on when another one leads and it has been declared dead, with jobs in its hands that it does not own any more."""
    crew.stopped.add(pid)
    lives = [line.facts[0] for line in crew.book().of("WORKER") if line.pid == pid]
    wait_for(lambda: stands(crew, pid), "it to have a handler with `tx` under way", 20)
    try:
        waited = until_another_leads(crew, pid)
        wait_for(lambda: lives[-1] in crew.book().jobs("RESCUED"), "it to be rescued", 20)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: lives_of(crew, pid) > len(lives), "it to find out, and to begin anew", 20)
    return waited


def stands(crew: Crew, pid: int) -> bool:
    """Stopped while a handler of its has a `tx`, which it will want to commit, and others can go on; else it goes on."""

    def has_one() -> bool:
        """On a server it will have written by now, so that all that is left is to commit. No job is taken whose worker died before: three
        deaths make it poison."""
        written = time.monotonic_ns() // 1000 - round(BUSY / 2 * 1e6)
        runs = (runs for job, runs in crew.book().runs().items() if job.endswith("-effect"))
        return any(first.pid == pid and first.end is None and first.begin < written for first, *again in runs if not again)

    if not has_one():
        return False
    os.kill(pid, signal.SIGSTOP)
    if has_one() and others_go_on(crew):
        return True
    os.kill(pid, signal.SIGCONT)
    return False


def others_go_on(crew: Crew) -> bool:
    """Who stands does not stand with the lock that all who write need."""
    tail = Tail(crew.ledger)
    with suppress(SystemExit):
        wait_for(lambda: tail.count("ACK ") > 0, "anybody to be answered", LEASE / 3)
        return True
    return False


def until_another_leads(crew: Crew, pid: int) -> float:
    began = time.monotonic()
    wait_for(lambda: leader(crew) not in (0, pid), "another one to lead", 20)
    return round(time.monotonic() - began, 3)


def lives_of(crew: Crew, pid: int) -> int:
    return sum(line.pid == pid for line in crew.book().of("WORKER"))


def report(crew: Crew, waits: dict[str, list[float]]) -> dict[str, object]:
    book = crew.book()
    found = {
        **sums(crew, book),
        "ran_again": book.repeated(deaths(crew.site)),
        **slots(book),
        "led_again_after_s": waits,
        "rescues": len(list(book.of("RESCUED"))),
        "refused": sum(int(line.facts[0]) for line in book.of("REFUSED")),
    }
    void = [name for name in ("slots", "effects", "rescues") if not found[name]] + [how for how, each in waits.items() if not each]
    late = [wait for each in waits.values() for wait in each if wait > LEASE + BIT]
    return {**found, "void": void, "ok": not (void or late or wrong(found))}


def wrong(found: dict[str, object]) -> list[str]:
    names = ("lost", "effects_twice", "effects_missing", "at_once", "ran_again", "dead", "slots_twice", "slots_missing")
    return [name for name in names if found[name]] + (["corrupt"] if found["corrupt"] != "ok" else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", help="URL of a PostgreSQL database; default: a file")
    parser.add_argument("--changes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    conclude(run(options.server, options.changes, options.seed))


if __name__ == "__main__":
    main()
