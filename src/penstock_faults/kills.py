"""The kill test: SIGKILL to workers and producers under load, at random moments and at named points; then the sums.

    python -m penstock_faults.kills --kills 200 --seed 1

Prints a JSON verdict; exit 1 if anything was lost, done twice or out of order, or if the run could not have seen it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from penstock_faults import scratch
from penstock_faults.ledger import Ledger, Tail, judge
from penstock_faults.site import Site
from penstock_faults.waiting import conclude, kill_all, wait_for, wait_for_none

WORKER_POINTS = ("claimed", "in_handler", "tx_open", "settle.before_commit")
PRODUCER_POINTS = ("put.before_commit", "put.after_commit")
WORKERS = 3
RATE = 1_500
"""Jobs a second of each of the two producers."""


@dataclass
class Kill:
    pid: int
    role: str
    point: str
    at: int
    """µs of the wall clock."""


@dataclass
class Run:
    """One run: its folder, its processes, and whom it killed."""

    folder: Path
    ledger: Path
    site: Site
    processes: dict[int, tuple[subprocess.Popen[bytes], str]] = field(default_factory=dict)
    kills: list[Kill] = field(default_factory=list)
    patience: float = 120
    """Seconds."""
    unknown: int = 0
    replayed: int = 0
    """Dead letters: chance killed three workers under the same message."""
    rate: int = RATE
    url: str = ""
    """Where they reach the store, if that is not the site itself."""
    prefix: tuple[str, ...] = ()
    """Before each command."""
    _known: Ledger = field(default_factory=Ledger)

    def start(self, role: str, *words: object) -> int:
        where = {"PENSTOCK_STORE": self.url or self.site.url, "LEDGER": str(self.ledger), "STAND": str(self.folder / "stand")}
        where |= {} if self.prefix else {"HARNESS": str(os.getpid())}
        command = [*self.prefix, sys.executable, "-m", "penstock_faults.victim", role, *map(str, words)]
        process = subprocess.Popen(command, env={**os.environ, **where})
        self.processes[process.pid] = (process, role if role != "producer" else f"producer {words[0]}")
        return process.pid

    def kill(self, pid: int, point: str) -> None:
        process, role = self.processes.pop(pid)
        at = time.time_ns() // 1000
        process.send_signal(signal.SIGKILL)
        process.wait()
        (self.folder / "stand" / str(pid)).unlink(missing_ok=True)
        self.kills.append(Kill(pid, role.split()[0], point, at))
        print(f"kill {len(self.kills)}: {role} {pid} at {point}, {state(self.site)}", file=sys.stderr, flush=True)
        self.replace(role)

    def replace(self, role: str) -> None:
        if role == "worker":
            self.start("worker")
            return
        lane = role.split()[1]
        ledger = self.read()
        mine = [job for job in ledger.tried if job.startswith(f"{lane}-")]
        left = [int(job.split("-")[1]) for job in ledger.unknown() if job.startswith(f"{lane}-")]
        self.unknown += len(left)
        following = max((int(job.split("-")[1]) for job in mine), default=0) + 1
        self.start("producer", lane, following, self.rate, *sorted(left))

    def read(self) -> Ledger:
        """What the ledger says by now; always the same object."""
        return self._known.catch_up(self.ledger)

    def pids(self, role: str) -> list[int]:
        return [pid for pid, (_, name) in self.processes.items() if name.split()[0] == role]


def run(kills: int, seed: int, disk: Path, server: str | None = None, patience: float = 120) -> dict[str, object]:
    chance = random.Random(seed)
    with gathered(disk, server, patience) as test:
        began = time.monotonic()
        prepare(test, WORKERS, RATE)
        in_flight = storm(test, kills, chance)
        seconds = time.monotonic() - began
        finish(test)
        return report(test, seconds, in_flight)


@contextmanager
def gathered(disk: Path, server: str | None, patience: float = 120) -> Iterator[Run]:
    """The store on `disk` or on that server, the ledger in memory. Whoever is left is killed."""
    with scratch.disk("kills", disk) as folder, scratch.ledgers("kills", folder) as memory:
        ledger = memory / "ledger"
        ledger.touch()
        (folder / "stand").mkdir()
        test = Run(folder, ledger, Site(folder / "kills.db") if server is None else Site.on(server), patience=patience)
        try:
            yield test
        finally:
            kill_all(process for process, _ in test.processes.values())
            test.site.drop()


def prepare(test: Run, workers: int, rate: int) -> None:
    """Two producers, of so many jobs a second each."""
    test.rate = rate
    for _ in range(workers):
        test.start("worker")
    wait_for(lambda: len(test.read().incarnations) == workers, "the workers to start")
    create_tables(test.site)
    for lane in (1, 2):
        test.start("producer", lane, 1, rate)


def create_tables(site: Site) -> None:
    site.rows(f"create table effects (n integer, key text, place {site.number})")
    site.rows("create table follows (n integer)")
    site.rows("create table heard (n integer)")
    site.rows("create table slots (job text)")


def storm(test: Run, kills: int, chance: random.Random) -> int:
    """Half of the kills at random moments, half at each point in turn. Returns the median of jobs in flight."""
    points = [WORKER_POINTS[n % 4] if n % 5 < 4 else PRODUCER_POINTS[n // 5 % 2] for n in range(kills // 2)]
    plan = points + ["random"] * (kills - len(points))
    chance.shuffle(plan)
    running: list[int] = []
    for point in plan:
        time.sleep(chance.uniform(0.8, 1.3))
        running.append(in_flight(test.site))
        if point == "random":
            test.kill(chance.choice(test.pids(chance.choice(["worker", "worker", "producer"]))), point)
        else:
            kill_at(test, point, chance)
    return sorted(running)[len(running) // 2]


def kill_at(test: Run, point: str, chance: random.Random) -> None:
    pid = chance.choice(test.pids("producer" if point in PRODUCER_POINTS else "worker"))
    tail, order = Tail(test.ledger), test.folder / "stand" / f"{pid}.order"
    order.write_text(point)
    order.rename(test.folder / "stand" / str(pid))
    wait_for(lambda: tail.count(f"STANDS {point} {pid} ") > 0, f"{pid} to stand at {point}")
    test.kill(pid, point)


def finish(test: Run) -> None:
    """Stop producing, settle what is unknown, and let the workers finish."""
    for pid in test.pids("producer"):
        process, _ = test.processes.pop(pid)
        process.kill()
        process.wait()
    left = test.read().unknown()
    if left:
        pid = test.start("once", *left)
        process, _ = test.processes.pop(pid)
        if process.wait(60) != 0:
            raise SystemExit("what was unknown could not be settled")
    wait_for_none(test.site.unfinished, "all work to be done", test.patience)
    test.replayed = replay_the_dead(test)
    wait_for_none(test.site.unfinished, "what was replayed to be done", test.patience)
    with suppress(SystemExit):  # then they are missed, and the verdict says so
        wait_for(lambda: all_heard(test.site), "the last events, which may not have been fed yet, to be heard", test.patience)
    for pid in test.pids("worker"):
        process, _ = test.processes.pop(pid)
        process.terminate()
        if process.wait(30) != 0:
            raise SystemExit(f"worker {pid} did not stop in good order: {process.returncode}")


def all_heard(site: Site) -> bool:
    """But for the events of the versioned topic, which has no subscription."""
    return site.value("select count(*) from heard") >= site.value("select count(*) from penstock_event where version is null")


def replay_the_dead(test: Run) -> int:
    environment = {**os.environ, "PENSTOCK_STORE": test.site.url}
    command = [sys.executable, "-m", "penstock", "dead", "replay", "--all", "--yes", "--json"]
    if not test.site.value("select count(*) from penstock_dead"):
        return 0
    answer = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    return len(json.loads(answer.stdout)["replayed"])


def report(test: Run, seconds: float, in_flight: int) -> dict[str, object]:
    ledger = test.read()
    verdict = judge(ledger, test.site)
    deaths = deaths_by_worker(test.site)
    redelivered: Counter[str] = Counter()
    waits: list[int] = []
    for kill in test.kills:
        if kill.role == "worker":
            redelivered[kill.point] += sum(deaths[incarnation] for incarnation in ledger.incarnations[kill.pid])
            waits += ledger.redelivered_after(kill.pid, kill.at)
    waits.sort()
    again = ledger.begun_again({kill.pid: kill.at for kill in test.kills})
    blind = [point for point in WORKER_POINTS if not redelivered[point]] + ([] if ledger.resolved else ["publishing"]) + verdict.void
    return {
        "kills": len(test.kills),
        "kills_at": dict(sorted(Counter(kill.point for kill in test.kills).items())),
        "jobs_a_second": round(len(ledger.tried) / seconds),
        "in_flight_median": in_flight,
        "redelivered_after_kill_at": dict(sorted(redelivered.items())),
        "unknown_resolved": len(ledger.resolved),
        "unknown_that_had_been_kept": sum(not new for new in ledger.resolved.values()),
        "death_to_redelivery_ms": {p: round(waits[int(len(waits) * q)] / 1000) for p, q in (("p50", 0.5), ("p99", 0.99))} if waits else {},
        "died_three_times_and_replayed": test.replayed,
        **asdict(verdict),
        "begun_again": again,
        "void": blind,
        "ok": verdict.good and not again and not blind,
    }


def deaths_by_worker(site: Site) -> Counter[str]:
    rows = site.rows("select owner, count(*) from penstock_attempt where what = 'died' group by owner")
    deaths: Counter[str] = Counter()
    for owner, count in rows:
        deaths[owner] = count
    return deaths


def in_flight(site: Site) -> int:
    return site.value("select coalesce(sum(running), 0) from penstock_counter")


def state(site: Site) -> str:
    names = ("waiting", "running", "delayed", "dead", "done")
    (found,) = site.rows(f"select {', '.join(f'coalesce(sum({name}), 0)' for name in names)} from penstock_counter")
    return ", ".join(f"{name} {count}" for name, count in zip(names, found, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--disk", type=Path, default=Path.cwd(), help="a folder on a real disk")
    parser.add_argument(
        "--server", help="the URL of a PostgreSQL database; another one is made beside it, and dropped; a pooler may stand before it"
    )
    parser.add_argument("--patience", type=float, default=120, help="seconds in which more of what is left has to be done")
    options = parser.parse_args()
    conclude(run(options.kills, options.seed, options.disk, options.server, options.patience))


if __name__ == "__main__":
    main()
