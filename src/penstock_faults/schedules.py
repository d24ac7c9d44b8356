"""The schedules' test: workers with many schedules are killed at named points, while the clock jumps and summer time begins and ends.

    python -m penstock_faults.schedules --schedules 1000 --kills 24 --seed 1

The store's time is a file that this program moves, step by step; after each step it waits until all that is due has run. Prints a
JSON verdict; exit 1 if a slot fired twice or not at all, or other than its `missed` says, or if the run could not have seen it.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from penstock_faults import scratch
from penstock_faults.plan import MINUTE, POLICIES, Planned, jobs, plan
from penstock_faults.site import Site
from penstock_faults.waiting import conclude, kill_all, wait_for

POINTS = ("schedule.before_commit", "schedule.after_commit", "everybody")
WORKERS = 4
HOUR = 60 * MINUTE
BEGIN = datetime(2026, 3, 28, 22, tzinfo=UTC)
"""Three hours before Berlin's clocks go forward."""
REST = datetime(2026, 4, 4, 13, tzinfo=UTC)
"""Three hours before Sydney's go back."""
SPAN = 6 * HOUR
"""µs around each change."""


@dataclass
class Stage:
    """The folder, the clock, and who is alive. `steps`: what the store's time was, step by step."""

    folder: Path
    plan: str
    site: Site
    wall: int = round(BEGIN.timestamp() * 1e6)
    boot: int = HOUR
    steps: list[int] = field(default_factory=list)
    workers: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)

    @property
    def now(self) -> int:
        return self.steps[-1]

    def set_clock(self, wall: int, boot: int) -> None:
        """The store's time never goes back: it waits for the wall clock."""
        self.wall, self.boot = wall, boot
        replace(self.folder / "clock", f"{wall} {boot}")
        self.steps.append(max(wall, self.steps[-1] if self.steps else 0))

    def start(self) -> None:
        places = {name.upper(): str(self.folder / name) for name in ("clock", "ledger", "stand")}
        environment = {**os.environ, **places, "PENSTOCK_STORE": self.site.url, "PLAN": self.plan}
        process = subprocess.Popen([sys.executable, "-m", "penstock_faults.keeper"], env=environment)
        self.workers[process.pid] = process

    def kill(self, pid: int) -> None:
        process = self.workers.pop(pid)
        process.send_signal(signal.SIGKILL)
        process.wait()


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def run(count: int, kills: int, seed: int, disk: Path, server: str | None = None) -> dict[str, object]:
    chance = random.Random(seed)
    with scratch.disk("schedules", disk) as place, scratch.ledgers("schedules", place) as folder:
        stage = Stage(folder, f"{count} {seed}", Site(place / "schedules.db") if server is None else Site.on(server))
        began = time.monotonic()
        try:
            prepare(stage, count)
            for n, (jump, move) in enumerate(timeline(chance)):
                dies = POINTS[stage.kills.total() % len(POINTS)] if stage.kills.total() < kills and n % 2 else None
                step(stage, count, move, jump=jump, dies=dies)
            return {"seconds": round(time.monotonic() - began), **report(stage, plan(count, seed))}
        finally:
            kill_all(stage.workers.values())
            stage.site.drop()


def prepare(stage: Stage, count: int) -> None:
    (stage.folder / "stand").mkdir()
    (stage.folder / "ledger").touch()
    stage.set_clock(stage.wall, stage.boot)
    stage.start()
    wait_for(lambda: "WORKER" in (stage.folder / "ledger").read_text(), "the first worker to start")
    stage.site.rows("create table fired (job text)")
    for _ in range(WORKERS - 1):
        stage.start()
    settle(stage, count)


def timeline(chance: random.Random) -> list[tuple[bool, int]]:
    """What the clock does: (jump, µs). A jump is the wall clock's alone. Some days between the changes pass at once."""
    first = around(chance, BEGIN)
    moves = [*first, (False, round(REST.timestamp() * 1e6) - round(BEGIN.timestamp() * 1e6) - sum(move for _, move in first))]
    return [*moves, *around(chance, REST)]


def around(chance: random.Random, begin: datetime) -> list[tuple[bool, int]]:
    """Through the hours around a change of time, with a jump of an hour forward and one back."""
    moves: list[tuple[bool, int]] = []
    passed = 0
    while passed < SPAN:
        move = chance.choice((1, 1, 7, 20, 30)) * MINUTE + chance.randrange(60) * 1_000_000
        moves.append((False, move))
        passed += move
    moves.insert(len(moves) // 3, (True, HOUR))
    moves.insert(2 * len(moves) // 3, (True, -HOUR))
    return moves


def step(stage: Stage, count: int, move: int, *, jump: bool, dies: str | None) -> None:
    """Move the clock, let die who is to die, and wait until all that is due has run."""
    if dies == "everybody":
        for pid in list(stage.workers):
            stage.kill(pid)
    elif dies is not None:
        replace(stage.folder / "stand" / "order", dies)
    before = ledger(stage).count("STANDS")
    stage.set_clock(stage.wall + move, stage.boot + (0 if jump else move))
    if dies == "everybody":
        stage.kills[dies] += 1
    elif dies is not None:
        kill_who_stands(stage, dies, before)
    while len(stage.workers) < WORKERS:
        stage.start()
    settle(stage, count)


def kill_who_stands(stage: Stage, point: str, before: int) -> None:
    """Where nothing is due, nobody comes to the point: the order is taken back, unless somebody has just taken it."""
    order = stage.folder / "stand" / "order"
    wait_for(lambda: not order.exists() or nothing_is_due(stage), f"somebody to come to {point}")
    try:
        order.unlink()
    except FileNotFoundError:
        wait_for(lambda: ledger(stage).count("STANDS") > before, f"somebody to stand at {point}")
        stage.kill(int(ledger(stage).split("STANDS")[-1].split()[1]))
        stage.kills[point] += 1


def ledger(stage: Stage) -> str:
    return (stage.folder / "ledger").read_text()


def nothing_is_due(stage: Stage) -> bool:
    return in_time(stage) and not stage.site.value(f"select count(*) from penstock_schedule where next <= {stage.now}")


def in_time(stage: Stage) -> bool:
    """The leader has followed the wall clock, also where the store's time stands still. A server's clock is followed by everybody."""
    if stage.site.server:
        return True
    found = f"shift + {stage.boot} = {stage.wall} and max(floor, {stage.wall}) = {stage.now}"
    return stage.site.value(f"select {found} from penstock_clock") == 1


def settle(stage: Stage, count: int) -> None:
    done = "select coalesce(sum(waiting + delayed + running), 0) from penstock_counter"
    ahead = f"select count(*) from penstock_schedule where live and next > {stage.now}"
    wait_for(
        lambda: in_time(stage) and stage.site.value(ahead) == count and stage.site.value(done) == 0,
        "all that is due to have run",
        60,
    )


def report(stage: Stage, planned: list[Planned]) -> dict[str, object]:
    expected = {each.name: set(jobs(each, stage.steps)) for each in planned}
    fired = Counter(row[0] for row in stage.site.rows("select job from fired"))
    dead, corrupt = stage.site.value("select count(*) from penstock_dead"), stage.site.soundness()
    verdict = judge(set().union(*expected.values()), fired)
    policies = by_policy(planned, fired)
    slots = sum(len(each.slots(stage.steps[0], stage.now, stage.steps[0])) for each in planned)
    void = [point for point in POINTS if not stage.kills[point]] + [policy for policy in POLICIES if not policies[policy]]
    return {
        "schedules": len(planned),
        "steps": len(stage.steps),
        "slots": slots,
        "fired": fired.total(),
        "fired_by_policy": policies,
        "kills_at": dict(stage.kills),
        **verdict,
        "dead": dead,
        "corrupt": corrupt,
        "void": void,
        "ok": not (any(verdict.values()) or dead or void) and corrupt == "ok",
    }


def by_policy(planned: Iterable[Planned], fired: Counter[str]) -> dict[str, int]:
    """How often something of each policy fired."""
    policies = {each.name: each.missed for each in planned}
    found = Counter(policies.get(job.partition("@")[0]) for job in fired.elements())
    return {policy: found[policy] for policy in POLICIES}


def judge(expected: set[str], fired: Counter[str]) -> dict[str, list[str]]:
    return {
        "twice": sorted(job for job, times in fired.items() if times > 1),
        "lost": sorted(expected - fired.keys()),
        "too_many": sorted(fired.keys() - expected),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--schedules", type=int, default=1_000)
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--disk", type=Path, default=Path.cwd(), help="a folder on a real disk")
    parser.add_argument("--server", help="URL of a PostgreSQL database, instead of a file")
    options = parser.parse_args()
    conclude(run(options.schedules, options.kills, options.seed, options.disk, options.server))


if __name__ == "__main__":
    main()
