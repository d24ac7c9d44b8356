"""A device that reports errors: writes and syncs of a producer or a worker fail, the n-th of a kind, some, or all from there on (`strace`).

    python -m penstock_faults.ioerrors --each 20 --seed 1

Each such process is at a file of its own; beside it are others who meet no errors. It may go on, or stop with an error that has a name.
Then it is killed, and whoever looks finds all that was acknowledged; what was unknown is put again under the same id, and everything is
done, once. Prints a JSON verdict; exit 1 if not so, or if the run could not have seen it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from penstock_faults.full import untyped
from penstock_faults.kills import Run, create_tables, finish, gathered
from penstock_faults.ledger import Tail, judge
from penstock_faults.power import Losses
from penstock_faults.software import tool
from penstock_faults.waiting import conclude, wait_for

FIRST = {"fdatasync": 60, "pwrite64": 400, "fdatasync,fsync,pwrite64": 400}
"""Calls, and the last one that may be the first to fail."""
SELDOM = 6
"""A worker syncs and writes so much less often."""
RATE = 300
ENOUGH, MISHAPS = 200, {"producer": 60, "worker": 20}
"""Jobs that were acknowledged or done, or errors that were told, after which it is over. A worker waits after each, longer and longer."""


@dataclass
class Found:
    refused: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    injected: int = 0
    acknowledged: int = 0
    wrong: list[str] = field(default_factory=list)


def run(each: int, seed: int) -> dict[str, object]:
    chance, found, strace = random.Random(seed), Found(), tool("strace")
    for number in range(each):
        for role in ("producer", "worker"):
            calls = list(FIRST)[number % len(FIRST)]
            last = FIRST[calls] if role == "producer" else FIRST[calls] // SELDOM
            when = f"{chance.randint(1, last)}{chance.choice(['', '+', f'+{chance.randint(2, 50)}'])}"
            injected = one(found, role, [strace, "-f", "-qq", "--seccomp-bpf", *injection(calls, when)])
            found.injected += injected
            what = f"{number + 1} of {each}, {role}, {calls}, {when}"
            print(f"{what}: {injected} errors, {len(found.wrong)} wrong", file=sys.stderr, flush=True)
    return report(found, each)


def injection(calls: str, when: str) -> Sequence[str]:
    return ("-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO:when={when}")


def one(found: Found, role: str, strace: Sequence[str]) -> int:
    """How many errors it met."""
    with tempfile.TemporaryDirectory(prefix="penstock-ioerrors-") as folder, gathered(Path(folder), None, patience=60) as test:
        trace, said = Path(folder, "trace"), Path(folder, "said")
        test.rate = RATE
        pid = begin(test, role, ["sh", "-c", 'exec "$@" 2> "$0"', str(said), *strace, "-o", str(trace)])
        process, _ = test.processes[pid]
        tail, word = Tail(test.ledger), "ACK 2-" if role == "producer" else "END "
        wait_for(
            lambda: (
                process.poll() is not None or tail.count(word) >= ENOUGH or tail.count("REFUSED") + tail.count("TROUBLE") >= MISHAPS[role]
            ),
            f"a {role} to meet errors",
            60,
        )
        found.ends[f"{role} {'went on' if process.poll() is None else 'ended'}"] += 1
        if process.poll() is not None and not last_line(said).startswith("penstock.errors."):
            found.wrong.append(f"{role} ended: {last_line(said)}")
        end(test, pid)
        if role == "worker":
            another = test.start("worker")
            wait_for(lambda: another in test.read().incarnations, "another worker to start")
        check(test, found, role)
        return trace.read_text().count("(INJECTED)")


def begin(test: Run, role: str, prefix: Sequence[str]) -> int:
    """The one that meets errors, once the file is there. A worker has it to itself, a producer has a worker beside it."""
    other = test.start("worker")
    wait_for(lambda: bool(test.read().incarnations), "a worker to start")
    create_tables(test.site)
    if role == "worker":
        end(test, other)
        test.start("producer", 1, 1, RATE)
    test.prefix = tuple(prefix)
    pid = test.start(role, *(() if role == "worker" else (2, 1, RATE)))
    test.prefix = ()
    return pid


def end(test: Run, pid: int) -> None:
    """At once. What strace began dies with it."""
    process, _ = test.processes.pop(pid)
    process.kill()
    process.wait()


def last_line(said: Path) -> str:
    return (said.read_text().splitlines() or ["nothing"])[-1]


def check(test: Run, found: Found, role: str) -> None:
    """By those who met no errors."""
    losses = Losses()
    for pid in test.pids("producer"):
        end(test, pid)
    losses.look(test)
    finish(test)
    verdict = judge(test.read(), test.site)
    lines = [line.split(" ") for line in test.ledger.read_text().splitlines()]
    found.refused.update(line[1] for line in lines if line[0] == "REFUSED")
    found.troubles.update(line[1] for line in lines if line[0] == "TROUBLE")
    found.acknowledged += verdict.acknowledged
    if losses.lost or losses.broken or not verdict.good:
        found.wrong.append(f"{role}: lost {sorted(losses.lost)[:5]} {losses.broken} {verdict}")


def report(found: Found, each: int) -> dict[str, object]:
    nameless = untyped([*found.refused, *found.troubles])
    void = [name for name, count in (("errors", found.injected), ("acknowledged", found.acknowledged)) if not count]
    void += [] if found.refused or found.troubles else ["errors that were told"]
    return {
        "processes": 2 * each,
        "errors_injected": found.injected,
        "acknowledged": found.acknowledged,
        "ends": dict(found.ends),
        "refused": dict(found.refused),
        "troubles": dict(found.troubles),
        "untyped": nameless,
        "wrong": found.wrong,
        "void": void,
        "ok": not (void or nameless or found.wrong),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=20, help="producers, and workers, that meet errors")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    conclude(run(options.each, options.seed))


if __name__ == "__main__":
    main()
