"""Members of a test on many machines: started, killed and stopped; and what their ledger says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from penstock.model.delivery import FATAL_DEATHS
from penstock_faults import scratch
from penstock_faults.site import Site
from penstock_faults.waiting import kill_all, wait_for

SLACK = 0.1
"""Seconds by which a time in the ledger may be early: what is between the server's clock and a line."""


class Line(NamedTuple):
    """`at`: µs of the monotonic clock, which all members share."""

    word: str
    facts: tuple[str, ...]
    pid: int
    at: int


class Run(NamedTuple):
    """Of a handler. `end` None: it never said how it ended."""

    pid: int
    begin: int
    end: int | None
    how: str = ""


@dataclass
class Book:
    """What the members said."""

    lines: Sequence[Line]
    killed: Mapping[int, int] = field(default_factory=dict)
    """When, by pid."""
    stopped: frozenset[int] = frozenset()
    """Those that stood still for longer than a lease: when they go on they may end what is another's by then."""

    @classmethod
    def read(cls, path: Path, killed: Mapping[int, int], stopped: frozenset[int] = frozenset()) -> Book:
        lines = (line.split(" ") for line in path.read_text().splitlines())
        return cls([Line(word, tuple(facts), int(pid), int(at)) for word, *facts, pid, at in lines], killed, stopped)

    def of(self, word: str) -> Iterator[Line]:
        return (line for line in self.lines if line.word == word)

    def jobs(self, word: str) -> set[str]:
        return {line.facts[0] for line in self.of(word)}

    def rounds(self) -> int:
        """Of all producers: each acknowledges a plain job in every one."""
        return sum(job.endswith("-plain") for job in self.jobs("ACK"))

    def runs(self) -> dict[str, list[Run]]:
        """By job, in the order in which they began."""
        found: defaultdict[str, list[Run]] = defaultdict(list)
        for line in self.lines:
            if line.word == "BEGIN":
                found[line.facts[0]].append(Run(line.pid, line.at, self.killed.get(line.pid)))
            elif line.word in ("END", "STOPPED", "FAILED"):
                mine = found[line.facts[0]]
                last = max(n for n, run in enumerate(mine) if run.pid == line.pid)
                mine[last] = mine[last]._replace(end=line.at, how=line.word)
        return dict(found)

    def overlapping(self) -> list[str]:
        """Jobs of which a run began before another one was over."""
        broken: list[str] = []
        for job, runs in self.runs().items():
            well = [run for run in runs if run.pid not in self.stopped]
            if any(first.end is None or first.end > second.begin for first, second in pairwise(well)):
                broken.append(job)
        return broken

    def repeated(self, deaths: Mapping[str, int]) -> list[str]:
        """Jobs that ran to their end more often than workers died before they had settled them."""
        ends = Counter(line.facts[0] for line in self.of("END"))
        return sorted(job for job, count in ends.items() if count > 1 + deaths.get(job, 0))


@dataclass
class Crew:
    folder: Path
    site: Site
    true: int = field(default_factory=lambda: (time.time_ns() - time.monotonic_ns()) // 1000)
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    killed: dict[int, int] = field(default_factory=dict)
    stopped: set[int] = field(default_factory=set)
    hired: int = 0
    program: str = "penstock_faults.member"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger"

    def start(self, *words: object, machine: str, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> int:
        """`machine`: who is on one sees each other's proofs of life."""
        runtime = self.folder / machine
        runtime.mkdir(mode=0o700, exist_ok=True)
        ours = {"PENSTOCK_STORE": self.site.url, "LEDGER": str(self.ledger), "TRUE": str(self.true), "XDG_RUNTIME_DIR": str(runtime)}
        command = [*prefix, sys.executable, "-m", self.program, *map(str, words)]
        process = subprocess.Popen(command, env={**os.environ, **ours, **(environment or {})})
        self.processes[process.pid] = process
        return process.pid

    def kill(self, pid: int) -> None:
        process = self.processes.pop(pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.killed[pid] = time.monotonic_ns() // 1000

    def book(self) -> Book:
        return Book.read(self.ledger, self.killed, frozenset(self.stopped))

    def wait_for_workers(self, count: int) -> None:
        wait_for(lambda: len(list(self.book().of("WORKER"))) >= count, f"{count} workers to start")

    def wait_for_rounds(self, count: float, patience: float) -> None:
        wait_for(lambda: self.book().rounds() >= count, "some load", patience)

    def finish(self, pids: Iterable[int], patience: float = 30) -> None:
        """They end by themselves."""
        for pid in pids:
            code = self.processes.pop(pid).wait(patience)
            if code != 0:
                raise SystemExit(f"{pid} did not end in good order: {code}")

    def stop(self, pids: Iterable[int]) -> None:
        chosen = list(pids)
        for pid in chosen:
            self.processes[pid].terminate()
        self.finish(chosen)


@contextmanager
def gathered(server: str | None, program: str = "penstock_faults.member", disk: Path | None = None) -> Iterator[Crew]:
    """On a database of that server, or on a file, which may lie on that disk; the ledger in memory."""
    with scratch.disk("crew", disk) as place, scratch.ledgers("crew", place) as folder:
        site = Site.at(place / "crew.db") if server is None else Site.on(server)
        crew = Crew(folder, site, program=program)
        crew.ledger.touch()
        site.rows("create table effects (job text)")
        try:
            yield crew
        finally:
            kill_all(crew.processes.values())
            site.drop()


def sums(crew: Crew, book: Book) -> dict[str, object]:
    """What no fault may change."""
    done = {row[0] for row in crew.site.rows("select m.id from penstock_message m join penstock_finished f on f.seq = m.seq")}
    effects = [row[0] for row in crew.site.rows("select job from effects")]
    excused = buried(crew.site, book) - set(effects)
    wanted = {job for job in book.jobs("ACK") if job.endswith("-effect")}
    return {
        "acknowledged": len(book.jobs("ACK")),
        "lost": sorted(book.jobs("ACK") - done - excused),
        "effects": len(effects),
        "effects_twice": len(effects) - len(set(effects)),
        "effects_missing": sorted(wanted - set(effects) - excused),
        "at_once": book.overlapping(),
        "buried": len(excused),
        "dead": crew.site.value("select count(*) from penstock_dead") - len(excused),
        "corrupt": crew.site.soundness(),
    }


def slots(book: Book) -> dict[str, object]:
    """Of the schedule that fires every second: each slot by one job."""
    found: dict[str, tuple[int, int]] = {}
    for line in book.of("SLOT"):
        found.setdefault(line.facts[0], (int(line.facts[1]), line.at))
    due = sorted(slot for slot, _ in found.values())
    between = {round((later - slot) / 1e6, 3) for slot, later in pairwise(due)}
    ran = [at - slot for slot, at in found.values()]
    return {
        "slots": len(due),
        "slots_twice": len(due) - len(set(due)),
        "slots_missing": sorted(between - {1.0}),
        "slot_earliest_s": round(min(ran, default=0) / 1e6, 3),
        "slot_latest_s": round(max(ran, default=0) / 1e6, 3),
    }


def deaths(site: Site) -> dict[str, int]:
    """How often each job's worker was declared dead."""
    sql = "select m.id, count(*) from penstock_attempt a join penstock_message m on m.seq = a.seq where a.what = 'died' group by m.id"
    return {row[0]: row[1] for row in site.rows(sql)}


def buried(site: Site, book: Book) -> set[str]:
    """Dead letters under which we have killed, or stopped, three workers, and that have no result: so has poison to end."""
    ours = {line.facts[0] for line in book.of("WORKER") if line.facts and line.pid in {*book.killed, *book.stopped}}
    died = "select m.id, a.owner from penstock_dead d join penstock_message m on m.seq = d.seq join penstock_attempt a on a.seq = d.seq"
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for job, owner in site.rows(f"{died} where a.what = 'died' and d.reason like 'its worker died %'"):
        owners[job].add(owner)
    return {job for job, each in owners.items() if len(each & ours) >= FATAL_DEATHS} - book.jobs("RESULT")
