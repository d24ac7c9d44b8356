"""Ten kinds of poison among good messages: those that raise, that end no way at all, and that take their worker with them.

    python -m penstock_faults.poison --each 5 --good 10000 --seed 1 [--server postgresql://…]

Two workers, started again when they die. Each poison has to end as a dead letter, after as many runs as it may have, and each good
message is done, once, without a dead letter. Prints a JSON verdict; exit 1 if not so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from penstock_faults import scratch
from penstock_faults.site import Site
from penstock_faults.waiting import conclude, kill_all, wait_for_none

WORKERS = 2
TASKS = {
    **dict.fromkeys(("raises", "escapes", "exits", "recurses", "swallows memory"), "failing"),
    "deadlocks": "deadlocked",
    **dict.fromkeys(("leaves", "crashes", "is killed", "spins"), "killing"),
}
"""Kinds of poison, and the tasks that have them: `poisoned`."""
ATTEMPTS = 3
RUNS = {"failing": range(ATTEMPTS, 7), "deadlocked": range(ATTEMPTS, 7), "killing": range(1, 4)}
"""A worker that dies beside it does not count as an attempt, and begins it again. But as a death: a killer may run less often."""
REASONS = {"failing": f"failed {ATTEMPTS} times", "deadlocked": f"failed {ATTEMPTS} times", "killing": "its worker died 3 times under it"}


class Ward:
    """The workers, and a store."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.site = site
        self.ledger = folder / "ledger"
        self.ledger.touch()
        self.workers: list[subprocess.Popen[bytes]] = []
        self.died = 0

    def start(self) -> None:
        environment = {**os.environ, "PENSTOCK_STORE": self.site.url, "LEDGER": str(self.ledger)}
        command = [sys.executable, "-m", "penstock_faults.poisoned"]
        self.workers.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))

    def left(self, aside: int = 0) -> int:
        """What is to be done, but for so many that nobody knows; and one more while a worker is not up. Whoever died is replaced."""
        for worker in [each for each in self.workers if each.poll() is not None]:
            self.workers.remove(worker)
            self.died += 1
            self.start()
        return self.site.unfinished() - aside + (not self.up() >= {worker.pid for worker in self.workers})

    def up(self) -> set[int]:
        """Of those who ever were: one may die of its first job before it can say so."""
        return {int(line.split(" ")[2]) for line in self.ledger.read_text().splitlines() if line.startswith("WORKER ")}

    def stop(self) -> list[int]:
        """How those ended that are left."""
        for worker in self.workers:
            worker.terminate()
        return [worker.wait(30) for worker in self.workers]


def run(each: int, good: int, seed: int, server: str | None, patience: float) -> dict[str, object]:
    with scratch.disk("poison") as place, scratch.ledgers("poison", place) as folder:
        site = Site(place / "poison.db") if server is None else Site.on(server)
        ward = Ward(folder, site)
        try:
            put(site, each, good, seed)
            began = time.monotonic()
            for _ in range(WORKERS):
                ward.start()
            wait_for_none(ward.left, "all work to be done", patience)
            seconds = time.monotonic() - began
            return report(ward, each, good, seconds, ward.stop())
        finally:
            kill_all(ward.workers)
            site.drop()


def put(site: Site, each: int, good: int, seed: int) -> None:
    code = f"import asyncio; from penstock_faults.poisoned import put; asyncio.run(put({good}, {each}, {seed}))"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PENSTOCK_STORE": site.url}, check=True)
    site.rows("create table effects (n integer)")


def report(ward: Ward, each: int, good: int, seconds: float, left: list[int]) -> dict[str, object]:
    site = ward.site
    lines = [line.split(" ") for line in ward.ledger.read_text().splitlines()]
    runs = Counter(line[-2] for line in lines if line[0] == "RUN")
    rows = site.rows("select m.id, d.reason from penstock_dead d join penstock_message m on m.seq = d.seq")
    letters: dict[str, str] = {row[0]: row[1] for row in rows}
    done = site.value("select count(*) from penstock_finished where outcome = 'done'")
    effects = Counter(row[0] for row in site.rows("select n from effects"))
    poison = {id_of(kind, n): kind for kind in TASKS for n in range(each)}
    wrong = {
        "not_dead": sorted(set(poison) - set(letters)),
        "good_and_dead": sorted(set(letters) - set(poison)),
        "runs": {job: runs[job] for job, kind in poison.items() if runs[job] not in RUNS[TASKS[kind]]},
        "reasons": {job: letters[job] for job, kind in poison.items() if job in letters and REASONS[TASKS[kind]] not in letters[job]},
        "good_missing": sorted(set(range(good)) - set(effects)),
        "good_twice": sorted(n for n, count in effects.items() if count > 1),
        "stopped_badly": [code for code in left if code],
        "soundness": [found for found in [site.soundness()] if found != "ok"],
    }
    void = [] if ward.died >= each * 3 else [f"only {ward.died} workers died"]
    facts = {
        "kinds": len(TASKS),
        "poison": len(poison),
        "good": good,
        "done": done,
        "workers_died": ward.died,
        "seconds": round(seconds, 1),
    }
    return {**facts, **wrong, "void": void, "ok": not void and not any(wrong.values())}


def id_of(kind: str, number: int) -> str:
    return f"poison-{kind.replace(' ', '_')}-{number}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=5, help="messages of each kind")
    parser.add_argument("--good", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server", help="URL of a PostgreSQL database, instead of a file")
    parser.add_argument("--patience", type=float, default=240, help="seconds in which more has to be done")
    options = parser.parse_args()
    if options.good < options.each * len(TASKS):
        parser.error(f"--good: at least as many as are poison, {options.each * len(TASKS)}")
    conclude(run(options.each, options.good, options.seed, options.server, options.patience))


if __name__ == "__main__":
    main()
