"""Power cuts: everything that runs dies in the middle of its load, and its disk with it; then it starts again. Needs root.

    python -m penstock_faults.power --cuts 300 --seed 1 [--server [--survivors]]

The store lies on a disk of its own (`disk`), the ledger elsewhere. After each cut every acknowledged job has to be in the store, and
every committed one done; at the end every one is done, and every effect is there once. Without `--server` the store is a file, with it
a PostgreSQL server whose data lies on that disk. With `--survivors` only the server dies: workers and producers go on when it is back,
with what they hold and no longer have. `--durability process` says to the victims not to sync: then the test has to find losses, and
fails if it does not. Prints a JSON verdict; exit 1 if anything was lost, done twice, out of order or broken, or if the run could not
have seen it.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from penstock_faults import scratch
from penstock_faults.disk import Disk, spinning
from penstock_faults.kills import Run, create_tables, finish, in_flight
from penstock_faults.ledger import Tail, judge
from penstock_faults.site import Site
from penstock_faults.software import services
from penstock_faults.waiting import conclude, kill_all, wait_for

WORKERS, LANES = 2, (1, 2)
RATE = 300
"""Jobs a second of each producer."""
MANY = 20
"""So many cuts have met a put that was under way."""
SOME = (150, 600)
"""Acknowledgements between two cuts, at the least and at the most."""


LOCKED = 0.7
"""Seconds after which it is because somebody stands still with the lock that the others do not go on."""


@dataclass
class Losses:
    """What each cut cost."""

    lost: set[str] = field(default_factory=set)
    cuts_that_lost: int = 0
    broken: list[str] = field(default_factory=list)
    worst: int = 0
    in_flight: list[int] = field(default_factory=list[int])
    """Jobs that were running at each cut."""
    forgot: int = 0
    """Cuts after which the disk had forgotten what nobody had synced."""

    def look(self, test: Run) -> None:
        """All that was acknowledged by now has to be there, and all that was committed has to be done."""
        ledger = test.read()  # before the store, where somebody may be at work
        kept = {row[0] for row in test.site.rows("select id from penstock_message")}
        ended = {row[0] for row in test.site.rows("select m.id from penstock_message m join penstock_finished f on f.seq = m.seq")}
        missing = (set(ledger.acknowledged) - kept) | (ledger.committed - ended)
        missing -= self.lost
        self.lost |= missing
        self.cuts_that_lost += bool(missing)
        self.worst = max(self.worst, len(missing))
        if (found := test.site.soundness()) != "ok":
            self.broken.append(found)


class Server:
    """PostgreSQL, whose data lies on the disk."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._folder = disk.root / "postgres"
        self.url = services("start", "postgres", "--checksums", "--dir", self._folder)
        self._settle()

    def _settle(self) -> None:
        """How the server was started stands in a file that it does not sync; a configuration would be on the disk for long."""
        self._disk.flush()
        self.master = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])

    @property
    def family(self) -> Sequence[int]:
        """Complete once the first one stands still, and has no more children."""
        return [self.master, *_children(self.master)]

    def die(self) -> None:
        """Its processes: they can write nothing any more."""
        family = self.family
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(_state(pid) for pid in family), "the server's processes to end")

    def start(self) -> None:
        """The number of its old process is nobody's after a loss of power; here it may be a process that nobody has waited for."""
        (self._folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        services("crash", "postgres", "--dir", self._folder)
        self._settle()

    def stop(self) -> None:
        services("stop", "postgres", "--dir", self._folder)


def run(cuts: int, seed: int, place: Path, durability: str, *, on_server: bool, survivors: bool) -> dict[str, object]:
    chance = random.Random(seed)
    os.environ |= {"DURABILITY": durability, "WITNESS": "1"}
    with scratch.disk("power", place) as folder, scratch.ledgers("power", folder) as memory:
        folder.chmod(0o755)
        with spinning(folder) as disk, served(disk) if on_server else no_server() as server:
            test = begin(folder, memory, disk, server)
            try:
                losses, seconds = storm(test, disk, server, cuts, chance, survivors=survivors)
                finish(test)
                return report(test, losses, cuts, seconds, durability)
            finally:
                kill_all(process for process, _ in test.processes.values())


def begin(folder: Path, memory: Path, disk: Disk, server: Server | None) -> Run:
    ledger = memory / "ledger"
    ledger.touch()
    (folder / "stand").mkdir()
    test = Run(folder, ledger, Site(disk.root / "power.db") if server is None else Site.on(server.url))
    test.start("worker")
    wait_for_workers(test)
    create_tables(test.site)
    disk.flush()
    for _ in range(WORKERS - 1):
        test.start("worker")
    wait_for_workers(test)  # one that starts while no server is there ends
    for lane in LANES:
        test.start("producer", lane, 1, RATE)
    return test


def storm(test: Run, disk: Disk, server: Server | None, cuts: int, chance: random.Random, *, survivors: bool) -> tuple[Losses, float]:
    losses = Losses()
    began = time.monotonic()
    for number in range(cuts):
        wait_for_load(test, chance.randint(*SOME))
        hush(test, number % 3)
        losses.in_flight.append(in_flight(test.site))
        cut(test, disk, server, survivors=survivors)
        losses.forgot += disk.forgot
        (test.folder / "stand" / "quiet").unlink(missing_ok=True)
        losses.look(test)
        print(f"cut {number + 1} of {cuts}: lost {len(losses.lost)}, {losses.broken or 'sound'}", file=sys.stderr, flush=True)
        if not survivors:
            for _ in range(WORKERS):
                test.replace("worker")
            for lane in LANES:
                test.replace(f"producer {lane}")
            wait_for_workers(test)
    return losses, time.monotonic() - began


def wait_for_workers(test: Run) -> None:
    wait_for(lambda: test.read().incarnations.keys() >= set(test.pids("worker")), "all workers to start")


def wait_for_load(test: Run, some: int) -> None:
    tail = Tail(test.ledger)
    wait_for(lambda: tail.count("ACK ") >= some, "some load", 60)


def hush(test: Run, whom: int) -> None:
    """Nobody syncs for others: producers stand still while workers end a few transactions more, or workers stand still while producers
    put some more jobs, and publish nothing. 0: all go on."""
    if whom == 1:
        let_others_go_on(test, "producer", lambda tail: tail.count("COMMITTED ") >= 3 or not test.site.unfinished(), "some transactions")
    elif whom == 2:
        (test.folder / "stand" / "quiet").touch()
        let_others_go_on(test, "worker", lambda tail: tail.count("ACK ") >= 50, "some jobs")


def let_others_go_on(test: Run, role: str, enough: Callable[[Tail], bool], what: str) -> None:
    """Whoever stands still does not with the lock of the file, which all need who write."""
    pids = test.pids(role)

    def stand() -> bool:
        freeze(pids)
        tail = Tail(test.ledger)
        with suppress(SystemExit):
            wait_for(lambda: enough(tail), what, LOCKED)
            return True
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        return False

    wait_for(stand, f"{what}, while no {role} stands with the lock", 60)


def cut(test: Run, disk: Disk, server: Server | None, *, survivors: bool) -> None:
    if server is not None:
        freeze([server.master])
        freeze(server.family)
    if not survivors:
        freeze(test.processes)
    disk.cut()
    if not survivors:
        kill_all(process for process, _ in test.processes.values())
        test.processes.clear()
    if server is not None:
        server.die()
    disk.unmount()
    disk.mount()
    if server is not None:
        server.start()
    for pid in test.processes:
        os.kill(pid, signal.SIGCONT)


def report(test: Run, losses: Losses, cuts: int, seconds: float, durability: str) -> dict[str, object]:
    verdict = judge(test.read(), test.site)
    wanted = verdict.good and not losses.lost if durability == "power" else bool(losses.lost)
    void = list(verdict.void) if durability == "power" else []  # where all is lost, nothing is left to be judged
    void += ["a disk forgot nothing"] if losses.forgot < cuts else []
    void += [] if any(losses.in_flight) else ["nothing was running"]
    unknown = bool(test.read().resolved) or "\nREFUSED " in test.ledger.read_text()
    void += [] if unknown or cuts < MANY else ["no put was under way"]
    return {
        "cuts": cuts,
        "durability": durability,
        "seconds_a_cut": round(seconds / cuts, 2),
        "in_flight_median": round(median(losses.in_flight)),
        "unknown_resolved": len(test.read().resolved),
        "died_three_times_and_replayed": test.replayed,
        "lost_after_a_cut": len(losses.lost),
        "cuts_that_lost": losses.cuts_that_lost,
        "worst_cut": losses.worst,
        "broken_after_a_cut": losses.broken,
        **{name: len(value) if isinstance(value, list) else value for name, value in asdict(verdict).items()},
        "bound_95_percent": round(3 / cuts, 4),
        "void": void,
        "ok": wanted and not losses.broken and not void,
    }


def freeze(pids: Iterable[int]) -> None:
    """All at once, as a loss of power would; whatever was under way in the kernel is over then."""
    chosen = list(pids)
    for pid in chosen:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: not "".join(map(_state, chosen)).replace("T", ""), "all to stand still")


@contextmanager
def served(disk: Disk) -> Iterator[Server]:
    server = Server(disk)
    try:
        yield server
    finally:
        with suppress(SystemExit):
            server.stop()


@contextmanager
def no_server() -> Iterator[None]:
    yield None


def _children(pid: int) -> Iterable[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                yield int(stat.parent.name)


def _state(pid: int) -> str:
    """One letter for each of its threads; those of the dead have none."""
    letters = ""
    for stat in Path("/proc").glob(f"{pid}/task/*/stat"):
        with suppress(OSError):
            letters += stat.read_text().rpartition(")")[2].split()[0]
    return letters.replace("Z", "").replace("X", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cuts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--disk", type=Path, default=Path.cwd(), help="a folder on a real disk, for the file that the other one is in")
    parser.add_argument("--server", action="store_true", help="on PostgreSQL")
    parser.add_argument("--survivors", action="store_true", help="only the server's machine dies, and who uses it lives on")
    parser.add_argument("--durability", choices=["power", "process"], default="power")
    options = parser.parse_args()
    if options.survivors and not options.server:
        parser.error("--survivors: a file dies with who uses it; give --server, too")
    how = {"on_server": options.server, "survivors": options.survivors}
    conclude(run(options.cuts, options.seed, options.disk, options.durability, **how))


if __name__ == "__main__":
    main()
