"""Wall clocks that jump, by an hour and by a day, forward and back, while workers and producers are at work (libfaketime).

    python -m penstock_faults.jumps --jumps 20 --seed 1 [--server postgresql://…]

On a file all processes are on one machine, and share its clock; on a server each worker has one of its own, the server another, which is
right. No handler may run before its time, and none twice; no lease may be over because of a clock; a slot of a schedule is one job. On a
file store time goes forward with the clock, so what waits for its time is due by then, and stands still while the clock is behind: so
only jobs between two jumps are looked at. Prints a JSON verdict; exit 1 if not so, or if the run could not have seen it.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from penstock_faults.crew import SLACK, Book, Crew, gathered, slots, sums
from penstock_faults.member import AGAIN, PERIOD
from penstock_faults.software import tool
from penstock_faults.waiting import conclude, wait_for, wait_for_none

HOUR, DAY = 3_600, 86_400
STEPS = (HOUR, -HOUR, DAY, -DAY)
WORKERS, LEASE = 3, 4.0
BETWEEN = (1.0, 4.0)
"""Seconds between two jumps."""
FOLLOWS = 3.0
"""Seconds in which the leader has seen that the clock was set: it looks every third of a lease, and libfaketime once a second."""


@dataclass
class Clock:
    """Of one machine: a file, which libfaketime reads once a second."""

    file: Path
    offset: int = 0
    forward: list[int] = field(default_factory=list)
    """When it was set forward, in µs of the monotonic clock."""

    def set(self, offset: int) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(f"{offset:+d}\n")
        new.rename(self.file)
        if offset > self.offset:
            self.forward.append(time.monotonic_ns() // 1000)
        self.offset = offset

    def environment(self, library: str) -> dict[str, str]:
        still = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
        return {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_CACHE_DURATION": "1", **still}


def run(jumps: int, seed: int, server: str | None) -> dict[str, object]:
    library, chance = tool("faketime"), random.Random(seed)
    rounds = round(jumps * sum(BETWEEN) / 2 / PERIOD)
    with gathered(server) as crew:
        clocks = [Clock(crew.folder / f"clock-{n}") for n in range(WORKERS if server else 1)]
        for clock in clocks:
            clock.set(0)
        workers = [hire(crew, library, clocks[n % len(clocks)], n) for n in range(WORKERS)]
        crew.wait_for_workers(WORKERS)
        where = clocks[0].environment(library)
        producers = [crew.start("producer", f"p{n}", rounds, machine="desk", environment=where) for n in range(2 if server else 1)]
        for _ in range(jumps):
            jump(chance.choice(clocks), chance)
        crew.finish(producers, 60)
        for clock in clocks:
            clock.set((jumps + 1) * DAY)  # ahead of wherever it was, so that nothing waits for it
        wait_for_none(crew.site.unfinished, "all work to be done", 60)
        crew.stop(workers)
        return report(crew, clocks, jumps)


def hire(crew: Crew, library: str, clock: Clock, number: int) -> int:
    """On a file nobody is on a machine of his own."""
    machine = f"machine-{number}" if crew.site.server else "machine"
    environment = {**clock.environment(library), "MISSED": "all" if crew.site.server else "once"}
    return crew.start("worker", f"w{number}", LEASE, machine=machine, environment=environment)


def jump(clock: Clock, chance: random.Random) -> None:
    until = time.monotonic() + chance.uniform(*BETWEEN)
    wait_for(lambda: time.monotonic() > until, "a moment")
    clock.set(clock.offset + chance.choice(STEPS))


def report(crew: Crew, clocks: Sequence[Clock], jumps: int) -> dict[str, object]:
    book = crew.book()
    file = not crew.site.server
    moved = [at for clock in clocks for at in clock.forward] if file else []
    waits = early(book, moved)
    fired = slots(book)
    found = {
        **sums(crew, book),
        "lost": lost(crew, book),
        "ran_again": book.repeated({}),
        "early": {job: wait for job, wait in waits.items() if wait < -SLACK},
        "slots_twice": fired["slots_twice"],
        "slots_missing": [] if file else fired["slots_missing"],
        "expired_wrongly": [] if file else expired_wrongly(crew, book),
        "declared_dead": sorted(line.facts[0] for line in book.of("RESCUED")),
        "began_anew": len(list(book.of("WORKER"))) - WORKERS,
        "refused": sum(int(line.facts[0]) for line in book.of("REFUSED")),
    }
    facts = {
        "jumps": jumps,
        "farthest_h": round(max((abs(int(line.facts[0])) for line in book.of("CLOCK")), default=0) / 3.6e9),
        "waited_for_their_time": len(waits),
        "slots": fired["slots"],
    }
    void = [name for name in ("farthest_h", "waited_for_their_time", "slots") if not facts[name]]
    void += [] if found["effects"] else ["effects"]
    return {**facts, **found, "void": void, "ok": not void and not wrong(found)}


def lost(crew: Crew, book: Book) -> list[str]:
    """On a file a day ahead is a day later: the history is over. So what ran to its end counts, and what may end by itself does not."""
    done = {row[0] for row in crew.site.rows("select m.id from penstock_message m join penstock_finished f on f.seq = m.seq")}
    short = set() if crew.site.server else {job for job in book.jobs("ACK") if job.endswith(("-short", "-stale"))}
    ended = set() if crew.site.server else book.jobs("END")
    return sorted(book.jobs("ACK") - done - short - ended)


def early(book: Book, moved: Sequence[int]) -> dict[str, float]:
    """Seconds from the time of each job that had to wait for one until it began; of retries, too. Only of those that no jump concerns."""
    due = {line.facts[0]: (line.at, int(line.facts[2])) for line in book.of("TRY") if line.facts[1] == "delay"}
    found: dict[str, float] = {}
    for job, runs in book.runs().items():
        if job in due and still(moved, due[job][0], runs[0].begin):
            found[job] = round((runs[0].begin - due[job][1]) / 1e6, 3)
        elif len(runs) == 2 and runs[0].how == "FAILED" and still(moved, runs[0].begin, runs[1].begin):
            found[job] = round((runs[1].begin - (runs[0].end or 0)) / 1e6 - AGAIN, 3)
    return found


def still(moved: Sequence[int], since: int, until: int) -> bool:
    """Store time did not go faster than time."""
    return not any(since - FOLLOWS * 1e6 < at < until for at in moved)


def expired_wrongly(crew: Crew, book: Book) -> list[str]:
    """By the server's clock there was time for all but those that nobody takes."""
    stale = {line.facts[0] for line in book.of("TRY") if line.facts[1] == "stale"}
    rows = crew.site.rows("select m.id, f.outcome from penstock_message m join penstock_finished f on f.seq = m.seq")
    return sorted(job for job, how in rows if (how == "expired") is not (job in stale))


def wrong(found: dict[str, object]) -> list[str]:
    names = ("lost", "effects_twice", "effects_missing", "at_once", "ran_again", "dead", "early", "slots_twice", "slots_missing")
    more = ("buried", "expired_wrongly", "declared_dead", "began_anew", "refused")
    return [name for name in (*names, *more) if found[name]] + (["corrupt"] if found["corrupt"] != "ok" else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jumps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server", help="URL of a PostgreSQL database, instead of a file")
    options = parser.parse_args()
    conclude(run(options.jumps, options.seed, options.server))


if __name__ == "__main__":
    main()
