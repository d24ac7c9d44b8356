"""A file that is damaged: bits that flip, pages that are gone, files that are cut short, deleted, or older than they should be.

    python -m penstock_faults.corruption --rounds 20 --seed 1

Of a store that was closed in good order, and of one whose process was killed, with its log beside it. Each copy is damaged in one way,
and read to its end by a process that knows nothing of that. It may be refused, with an error that has a name; or be whole; or hold the
first so many of what was put, in the order of the commits; or hold jobs that are found to be undecodable. Else it is wrong and nobody
said so: `silent`. SQLite has no checksums of pages, so a bit that flips in the middle of a text is not seen by anybody: that is counted,
and allowed where pages themselves are damaged or a log is not the file's own. Prints a JSON verdict; exit 1 if it was not allowed, or if
a process died, came to no end, or raised what has no name.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock import errors
from penstock_faults.waiting import conclude

NAME = "store.db"
OLD, COPIED, LOGGED = 100, 50, 150
"""Jobs whose log is kept as an older one; that are copied into the file, too; and that are in the log alone."""
TIMEOUT = 60
NAMES = vars(errors).keys() - {"PenstockError", "StoreError"}
"""Of errors that say what is to be done."""
FINE = frozenset({"refused", "whole", "prefix", "noticed"})
SILENT = FINE | {"silent"}

Damage = Callable[[Path, random.Random], None]
"""To a folder."""


@dataclass(frozen=True)
class Kind:
    """`base`: closed or killed. `allowed`: what it may come to."""

    base: str
    damage: Damage
    allowed: Set[str] = FINE


def flip(file: str, first: int = 0, last: int | None = None) -> Damage:
    """One bit, of these bytes."""

    def damage(folder: Path, chance: random.Random) -> None:
        path = folder / file
        content = bytearray(path.read_bytes())
        at = chance.randrange(first, min(last or len(content), len(content)))
        content[at] ^= 1 << chance.randrange(8)
        path.write_bytes(content)

    return damage


def cut_short(file: str) -> Damage:
    def damage(folder: Path, chance: random.Random) -> None:
        os.truncate(folder / file, chance.randrange((folder / file).stat().st_size))

    return damage


def delete(file: str) -> Damage:
    return lambda folder, _: (folder / file).unlink()


def empty_page(folder: Path, chance: random.Random) -> None:
    """A write that never reached the disk."""
    content = bytearray((folder / NAME).read_bytes())
    page = chance.randrange(1, len(content) // 4096)
    content[page * 4096 : (page + 1) * 4096] = bytes(4096)
    (folder / NAME).write_bytes(content)


def older_log(folder: Path, _: random.Random) -> None:
    (folder / f"{NAME}-shm").unlink(missing_ok=True)
    shutil.copy(folder / "older", folder / f"{NAME}-wal")


KINDS: Mapping[str, Kind] = {
    "nothing, closed": Kind("closed", lambda _folder, _chance: None, {"whole"}),
    "nothing, killed": Kind("killed", lambda _folder, _chance: None, {"whole"}),
    "a bit of the header": Kind("closed", flip(NAME, 0, 100)),
    "a bit of a page": Kind("closed", flip(NAME, 100), SILENT),
    "a bit of a page, with a log": Kind("killed", flip(NAME, 100), SILENT),
    "an empty page": Kind("closed", empty_page, SILENT),
    "the file cut short": Kind("closed", cut_short(NAME)),
    "the file cut short, with a log": Kind("killed", cut_short(NAME), SILENT),
    "a bit of the log": Kind("killed", flip(f"{NAME}-wal", 32)),
    "a bit of the log's header": Kind("killed", flip(f"{NAME}-wal", 0, 32)),
    "the log cut short": Kind("killed", cut_short(f"{NAME}-wal")),
    "no log": Kind("killed", delete(f"{NAME}-wal"), {"prefix"}),
    "no index of the log": Kind("killed", delete(f"{NAME}-shm"), {"whole"}),
    "a bit of the index of the log": Kind("killed", flip(f"{NAME}-shm"), {"whole"}),
    "an older log, closed": Kind("closed", older_log, SILENT),
    "an older log, killed": Kind("killed", older_log, SILENT),
}


class Maker:
    """Of the two stores that are damaged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(command("make"), env=environment(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def put(self, count: int) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{count}\n".encode())
        self._process.stdin.flush()
        if not self._process.stdout.readline().startswith(b"MADE"):
            raise SystemExit("the store could not be made")

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def close(self) -> None:
        self._process.communicate()
        if self._process.returncode:
            raise SystemExit("the store could not be closed")


def run(rounds: int, seed: int, only: Sequence[str]) -> dict[str, object]:
    chance = random.Random(seed)
    found: dict[str, Counter[str]] = defaultdict(Counter)
    wrong: list[str] = []
    unseen = 0
    with tempfile.TemporaryDirectory(prefix="penstock-corruption-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        count = make(Path(place))
        for number in range(rounds):
            for name in [name for name in KINDS if not only or name in only]:
                kind, folder = KINDS[name], Path(place, "damaged")
                shutil.copytree(Path(place, kind.base), folder)
                kind.damage(folder, chance)
                sound = soundness(folder)
                came, why = read(folder, count)
                found[name][came] += 1
                unseen += came == "silent" and sound == "ok"
                wrong += [f"round {number + 1}, {name}: {came}: {why}"] if came not in kind.allowed else []
                print(f"round {number + 1}, {name}: {came} {why[:200]}", file=sys.stderr, flush=True)
                shutil.rmtree(folder)
    return {
        "damages": sum(counts.total() for counts in found.values()),
        "jobs": count,
        "came_to": {name: dict(counts) for name, counts in found.items()},
        "silent": sum(counts["silent"] for counts in found.values()),
        "silent_and_sound_to_sqlite": unseen,
        "wrong": wrong,
        "ok": not wrong and bool(found),
    }


def make(place: Path) -> int:
    """`closed` and `killed`, each with an older log to put there. Half of what `killed` has is in its log alone."""
    closed, killed, folder = place / "closed", place / "killed", place / "made"
    folder.mkdir()
    maker = Maker(folder)
    maker.put(OLD)
    shutil.copy(folder / f"{NAME}-wal", folder / "older")
    maker.put(COPIED)
    with closing(sqlite3.connect(folder / NAME)) as connection:  # not the last one that closes the file
        connection.execute("pragma wal_checkpoint(truncate)").fetchall()
    maker.put(LOGGED)
    maker.kill()
    shutil.copytree(folder, killed)
    shutil.copytree(folder, closed)
    Maker(closed).close()
    if (closed / f"{NAME}-wal").exists():
        raise SystemExit("a store that was closed has a log")
    return OLD + COPIED + LOGGED


def soundness(folder: Path) -> str:
    """What `pragma integrity_check` says of a copy."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        try:
            with closing(sqlite3.connect(Path(copy, NAME))) as connection:
                return str(connection.execute("pragma integrity_check").fetchone()[0])
        except sqlite3.Error as error:
            return str(error)


def read(folder: Path, count: int) -> tuple[str, str]:
    """What it came to, and why."""
    try:
        done = subprocess.run(command("read"), env=environment(folder), capture_output=True, text=True, check=False, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return "endless", f"its process did not end within {TIMEOUT} s"
    if done.returncode or not done.stdout:
        return "died", f"{done.returncode} {done.stderr[-300:]}"
    return judge(json.loads(done.stdout), undecodable(folder), count)


def undecodable(folder: Path) -> Sequence[str]:
    """Dead letters, as far as they can be read."""
    try:
        with closing(sqlite3.connect(folder / NAME, timeout=10)) as connection:
            sql = "select m.id from penstock_dead d join penstock_message m on m.seq = d.seq"
            return [str(row[0]) for row in connection.execute(sql)]
    except sqlite3.Error:
        return []


def judge(seen: Mapping[str, Any], dead: Sequence[str], count: int) -> tuple[str, str]:
    got: Mapping[str, bool] = seen["got"]
    troubles: Sequence[str] = seen["troubles"]
    wrong = sorted(job for job, right in got.items() if not right)
    if wrong:
        return "silent", f"not what was put: {wrong[:5]}"
    if nameless := [trouble for trouble in troubles if trouble.partition(":")[0] not in NAMES]:
        return "nameless", nameless[0]
    if troubles:
        return "refused", troubles[0]
    if seen["endless"]:
        return "endless", seen["endless"]
    wanted = {f"job-{n}" for n in range(count)}
    if got.keys() == wanted:
        return "whole", ""
    if not dead and got.keys() == {f"job-{n}" for n in range(len(got))}:
        return "prefix", f"{len(got)} of {count}"
    if got.keys() <= wanted and len(got) + len(dead) == count:
        return "noticed", f"dead letters: {dead[:5]}"
    return "silent", f"missing: {sorted(wanted - got.keys() - set(dead))[:5]}"


def command(role: str) -> list[str]:
    return [sys.executable, "-m", "penstock_faults.reading", role]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PENSTOCK_STORE": f"sqlite:///{folder / NAME}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="how often each kind of damage is done")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", default=[], metavar="KIND", help="; ".join(KINDS))
    options = parser.parse_args()
    conclude(run(options.rounds, options.seed, options.only))


if __name__ == "__main__":
    main()
