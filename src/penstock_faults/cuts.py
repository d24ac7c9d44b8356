"""A machine is cut off for longer than its lease, and comes back: its cable is down, no end hears of it. Needs root.

    python -m penstock_faults.cuts --seconds 9 --cuts 3 --seed 1

Two workers and a producer, each on a machine of its own, and a producer beside the server. The cut machine has both a worker and a
producer. Prints a JSON verdict; exit 1 if anything was lost or done twice, if two ran the same at once, if the other one did not take
over within a lease and a bit, or if the cut one did not stop its handlers, or did not come back by itself.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from typing import Any

from penstock_faults.crew import Book, Crew, deaths, gathered, slots, sums
from penstock_faults.member import PERIOD
from penstock_faults.net import LISTEN, Net, network
from penstock_faults.software import server, tool
from penstock_faults.waiting import conclude, wait_for, wait_for_none

LEASE = 3.0
BIT = 3.0
"""Seconds that whoever rescues may be late: a look every 0.25 s, and a machine that is busy."""
SOME = (10, 40)
"""Jobs that begin on a machine before it is cut off, at the least and at the most."""
GIVEN_UP = 9.0
"""Seconds after which a connection has been given up, so that calls have ended without an answer. Others take over before."""
BACK = 20.0
"""Seconds after which what was cut off has to take part again."""
BUSY = {"BUSY": "0.4"}
ALONE = "alone"
LONG = "-long"
"""Ends what such jobs are called."""


def run(seconds: float, cuts: int, seed: int) -> dict[str, object]:
    chance = random.Random(seed)
    rounds = round((seconds + 3) * cuts / PERIOD)
    with network(tool("iproute2"), ALONE, "other") as net, server(None, "--listen", LISTEN) as url, gathered(url) as crew:
        lonely = crew.start("worker", ALONE, LEASE, machine=ALONE, prefix=net.inside(ALONE), environment=BUSY)
        other = crew.start("worker", "other", LEASE, machine="other", prefix=net.inside("other"), environment=BUSY)
        crew.wait_for_workers(2)
        producers = [
            crew.start("producer", "p0", rounds, machine="desk"),
            crew.start("producer", "p1", rounds, machine="desk", prefix=net.inside(ALONE)),
        ]
        lasting = [seconds, *(chance.uniform(LEASE + BIT, seconds) for _ in range(1, cuts))]
        times = [cut_off(net, crew, lonely, each, chance.randint(*SOME)) for each in lasting]
        crew.finish(producers, 120)
        wait_for_none(crew.site.unfinished, "all work to be done", 60)
        crew.stop([lonely, other])
        return report(crew, lonely, times)


def cut_off(net: Net, crew: Crew, lonely: int, seconds: float, some: int) -> tuple[int, int]:
    """When, in µs: while a handler runs there that takes as long as a lease. It goes on when the machine's worker has begun jobs again."""
    begun, longest = count(crew, lonely), count(crew, lonely, LONG)
    wait_for(lambda: count(crew, lonely) > begun + some and count(crew, lonely, LONG) > longest, "some load, and a long job", 20)
    net.cut(ALONE)
    cut = time.monotonic_ns() // 1000
    wait_for(lambda: time.monotonic_ns() // 1000 > cut + seconds * 1e6, "the cut to last", seconds + 10)
    net.mend(ALONE)
    mended = time.monotonic_ns() // 1000
    wait_for(lambda: any(line.pid == lonely and line.at > mended for line in crew.book().of("BEGIN")), "work where the cut was", 60)
    return cut, mended


def count(crew: Crew, pid: int, kind: str = "") -> int:
    return sum(line.pid == pid and line.facts[0].endswith(kind) for line in crew.book().of("BEGIN"))


def report(crew: Crew, lonely: int, times: Sequence[tuple[int, int]]) -> dict[str, object]:
    book = crew.book()
    found = {
        **sums(crew, book),
        "ran_again": book.repeated(deaths(crew.site)),
        **slots(book),
        "rescued_after_s": [after(book, "RESCUED", cut, not_by=lonely) for cut, _ in times],
        "stopped_after_s": [stopped_after(book, lonely, cut, mended) for cut, mended in times],
        "left_running": [left_running(book, lonely, cut) for cut, _ in times],
        "back_after_s": [after(book, "BEGIN", mended, by=lonely) for _, mended in times],
        "unknown": len(book.jobs("UNKNOWN")),
        "refused": sum(int(line.facts[0]) for line in book.of("REFUSED")),
    }
    held = [held_at(book, lonely, cut, mended) for cut, mended in times]
    void = [name for name, value in (("jobs held at the cut", all(held)), ("unknown", found["unknown"])) if not value]
    return {"held_at_the_cut": held, **found, "void": void, "ok": not void and not wrong(found)}


def held_at(book: Book, lonely: int, cut: int, mended: int) -> int:
    return sum(run.pid == lonely and run.begin < cut < (run.end or mended) for runs in book.runs().values() for run in runs)


def after(book: Book, word: str, since: int, by: int | None = None, not_by: int | None = None) -> float:
    """Seconds until the first of these lines."""
    when = (line.at for line in book.of(word) if line.at > since and line.pid != not_by and by in (None, line.pid))
    return round((min(when, default=since + 10**9) - since) / 1e6, 3)


def stopped_after(book: Book, lonely: int, cut: int, mended: int) -> float:
    """Seconds from the cut until the last handler on that machine was told."""
    ends = [line.at for line in book.of("STOPPED") if line.pid == lonely and cut < line.at < mended]
    return round((max(ends, default=cut + 10**9) - cut) / 1e6, 3)


def left_running(book: Book, lonely: int, cut: int) -> list[str]:
    """Jobs of that machine that began before the cut and went on beyond the lease."""
    late = cut + round(LEASE * 1e6)
    mine = ((job, run) for job, runs in book.runs().items() for run in runs if run.pid == lonely and run.begin < late)
    return sorted(job for job, run in mine if run.end is None or late < run.end)


def wrong(found: dict[str, object]) -> list[str]:
    names = ("lost", "effects_twice", "effects_missing", "at_once", "ran_again", "dead", "buried", "slots_twice", "slots_missing")
    broken = [name for name in names if found[name]]
    broken += ["left_running"] if any(list_of(found["left_running"])) else []
    broken += ["corrupt"] if found["corrupt"] != "ok" else []
    limits = {"rescued_after_s": LEASE + BIT, "stopped_after_s": LEASE, "back_after_s": BACK}
    return broken + [name for name, limit in limits.items() if any(each > limit for each in list_of(found[name]))]


def list_of(value: object) -> list[Any]:
    assert isinstance(value, list)
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=9, help="how long the first cut lasts, and each other one at the most")
    parser.add_argument("--cuts", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.seconds < GIVEN_UP:
        parser.error(f"--seconds: at least {GIVEN_UP:g}, in which connections are given up, and others have to take over")
    conclude(run(options.seconds, options.cuts, options.seed))


if __name__ == "__main__":
    main()
