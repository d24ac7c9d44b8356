"""A disk that is full: while producers and workers use a store on a small one, it is filled up, and freed again. Needs root.

    python -m penstock_faults.full --fills 20 --seed 1 [--server]

The store is a file; with `--server`, a database of a PostgreSQL server, whose tables lie there and whose log does not: without room for
its log a server ends.

A fill lasts until some calls were refused. Then, and at the end, all that was acknowledged has to be there, and nothing of what was
refused; what had been refused is put again under the same id, and everything is done once there is room. Prints a JSON verdict; exit
1 if anything was lost, done twice or refused without its name, or if the run could not have seen it.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path

import psycopg

from penstock import errors
from penstock_faults.disk import cramped
from penstock_faults.kills import Run, finish, gathered, prepare
from penstock_faults.ledger import Tail, judge
from penstock_faults.power import Losses, wait_for_load
from penstock_faults.software import server
from penstock_faults.waiting import conclude, wait_for

MEBIBYTES = 64
WORKERS, RATE = 2, 300
SOME = (100, 400)
"""Acknowledgements between two fills, at the least and at the most."""
ENOUGH = (20, 200)
"""Refused calls that end a fill."""


class Ballast:
    def __init__(self, disk: Path) -> None:
        self._path = disk / "ballast"

    def fill(self) -> bool:
        """What is free is taken, also what was freed since the last time. Always true."""
        with self._path.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(b"\0" * 4096) == 4096:
                pass
        return True

    def drop(self) -> None:
        self._path.unlink(missing_ok=True)


def run(fills: int, seed: int, *, on_server: bool) -> dict[str, object]:
    chance = random.Random(seed)
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="penstock-full-", dir=place) as folder,
        cramped(Path(folder), MEBIBYTES) as disk,
        served(disk) if on_server else nullcontext() as url,
        gathered(disk if url is None else Path(folder), url) as test,
    ):
        prepare(test, WORKERS, RATE)
        losses, slowest = storm(test, Ballast(disk), fills, chance)
        ended = [f"{role} {process.returncode}" for process, role in test.processes.values() if process.poll() is not None]
        finish(test)
        return report(test, losses, ended, {"fills": fills, "slowest_to_go_on_s": round(slowest, 2)})


@contextmanager
def served(disk: Path) -> Iterator[str]:
    """A server on which new databases lie on that disk."""
    with server() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            ((folder,),) = connection.execute("select current_setting('data_directory')").fetchall()
            owner = Path(folder).stat()
            disk.parent.chmod(0o755)
            tables = disk / "tables"
            tables.mkdir()
            for place in (disk, tables):
                os.chown(place, owner.st_uid, owner.st_gid)
            connection.execute(f"create tablespace cramped location '{tables}'".encode())
            connection.execute("alter database template1 set tablespace cramped")
        yield url


def storm(test: Run, ballast: Ballast, fills: int, chance: random.Random) -> tuple[Losses, float]:
    losses, slowest = Losses(), 0.0
    for number in range(fills):
        wait_for_load(test, chance.randint(*SOME))
        tail, enough = Tail(test.ledger), chance.randint(*ENOUGH)
        try:
            wait_for(lambda: ballast.fill() and tail.count("REFUSED StoreFull ") >= enough, "calls to be refused", 60)  # noqa: B023
            losses.look(test)
        finally:
            ballast.drop()
        freed = time.monotonic()
        wait_for_load(test, 1)
        slowest = max(slowest, time.monotonic() - freed)
        print(f"fill {number + 1} of {fills}: lost {len(losses.lost)}, {losses.broken or 'sound'}", file=sys.stderr, flush=True)
    return losses, slowest


def report(test: Run, losses: Losses, ended: list[str], facts: dict[str, object]) -> dict[str, object]:
    lines = [line.split(" ") for line in test.ledger.read_text().splitlines()]
    refused = Counter(line[1] for line in lines if line[0] == "REFUSED")
    troubles = Counter(line[1] for line in lines if line[0] == "TROUBLE")
    verdict = judge(test.read(), test.site)
    wrong = {
        "lost_while_full": sorted(losses.lost),
        "broken_while_full": losses.broken,
        "there_though_refused": there_though_refused(lines),
        "untyped": untyped([*refused, *troubles]),
        "ended_early": ended,
        "died": test.replayed,
    }
    met = {"producers": refused, **({} if test.site.server else {"workers": troubles})}  # these may find room in pages of a server's
    void = [name for name, counts in met.items() if not counts["StoreFull"]] + verdict.void
    counted = {"refused": dict(refused), "troubles": dict(troubles), **wrong, **asdict(verdict)}
    return {**facts, **counted, "void": void, "ok": verdict.good and not void and not any(wrong.values())}


def there_though_refused(lines: Iterable[list[str]]) -> list[str]:
    """Jobs that were there when they were put again, though nobody had said anything but that the disk is full."""
    told: dict[str, set[str]] = {}
    known: set[str] = set()
    for word, *facts in lines:
        if word == "REFUSED":
            told.setdefault(facts[1], set()).add(facts[0])
        elif word == "ACK" and facts[1] == "0":
            known.add(facts[0])
    return sorted(job for job in known if told.get(job) == {"StoreFull"})


def untyped(names: Iterable[str]) -> list[str]:
    """Errors that are none of Penstock's."""
    return sorted(set(names) - vars(errors).keys())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server", action="store_true", help="on PostgreSQL")
    options = parser.parse_args()
    conclude(run(options.fills, options.seed, on_server=options.server))


if __name__ == "__main__":
    main()
