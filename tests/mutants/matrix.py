"""Which test of the conformance suite kills which mutant: `python -m tests.mutants.matrix` makes it, a mutant at a time.

It goes on where it was stopped: it tries mutants that are new or have changed, and new tests on all others; `--again` tries all. The
result stands beside this file, one line a mutant. Exit 1 unless each test kills a mutant and each mutant is killed by two tests.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.mutants.mutant import Mutant, Verdict, catalogue, copy, tried

SECONDS = {"sqlite": 300.0, "postgres": 900.0}
LEAST = 2
AT_ONCE = 2
"""Mutants that are tried side by side: half of what a test does is waiting for a disk."""


class Row(Struct, frozen=True, omit_defaults=True):
    mark: str
    """Of the mutant as it was tried."""
    killed_by: Sequence[str]
    untried: Sequence[str] = ()
    """Tests that came later, and those for which there was no time."""


class Matrix(Struct):
    tests: Sequence[str]
    """Those that pass on Penstock as it is."""
    mutants: dict[str, Row]

    @classmethod
    def read(cls, store: str) -> Matrix:
        return msgspec.json.decode(path_of(store).read_bytes(), type=cls) if path_of(store).exists() else cls([], {})

    def fit(self, mutants: Mapping[str, Mutant], tests: Sequence[str]) -> None:
        """What is known of those that there are now, with these tests."""
        new = [test for test in tests if test not in {*self.tests}]
        self.tests = tests
        self.mutants = {
            name: Row(row.mark, kept(row.killed_by, tests), kept([*row.untried, *new], tests))
            for name, row in self.mutants.items()
            if name in mutants and row.mark == mutants[name].mark
        }

    def write(self, store: str) -> None:
        rows = ",\n".join(
            f"  {msgspec.json.encode(name).decode()}: {msgspec.json.encode(row).decode()}" for name, row in self.mutants.items()
        )
        tests = ",\n".join(f"  {msgspec.json.encode(test).decode()}" for test in self.tests)
        path_of(store).write_text(f'{{"tests": [\n{tests}\n ],\n "mutants": {{\n{rows}\n }}\n}}\n')


def kept(some: Sequence[str], tests: Collection[str]) -> list[str]:
    return [test for test in some if test in tests]


def path_of(store: str) -> Path:
    return Path(__file__).with_name(f"matrix-{store}.json")


def module_of(store: str) -> str:
    """The suite itself, and not what else is asked of that store."""
    return f"tests/conformance/test_{store}.py::Test{store.title()}"


def idle(matrix: Matrix) -> list[str]:
    """Tests that kill no mutant."""
    killers = {test for row in matrix.mutants.values() for test in row.killed_by}
    return [test for test in matrix.tests if test not in killers]


def alive(matrix: Matrix) -> list[str]:
    """Mutants that fewer than two tests kill."""
    return [name for name, row in matrix.mutants.items() if len(row.killed_by) < LEAST]


def only_bluntly(matrix: Matrix, most: int = 60) -> list[str]:
    """Tests that kill none but mutants that break most of all."""
    killers = Counter(test for row in matrix.mutants.values() if len(row.killed_by) <= most for test in row.killed_by)
    return [test for test in matrix.tests if not killers[test]]


def try_all(store: str, mutants: Mapping[str, Mutant], names: Sequence[str], *, again: bool) -> Matrix:
    matrix = Matrix.read(store)
    whole = conformance(store, None, ())
    if whole.failed:
        sys.exit(f"these fail without a mutant: {', '.join(whole.failed)}")
    if whole.cut:
        sys.exit(f"without a mutant it takes longer than {SECONDS[store]:g} s")
    matrix.fit(mutants, whole.passed)
    known = matrix.mutants
    wanted = [name for name in names or mutants if again or name not in known or known[name].untried]
    threads = ThreadPoolExecutor(AT_ONCE)
    try:
        trials = {threads.submit(trial_of, store, mutants[name], None if again else known.get(name), matrix.tests): name for name in wanted}
        for trial in as_completed(trials):
            known[trials[trial]] = trial.result()
            matrix.write(store)
            print(f"{trials[trial]}: killed by {len(trial.result().killed_by)}", flush=True)
    finally:
        threads.shutdown(cancel_futures=True)
    matrix.mutants = {name: known[name] for name in mutants if name in known}
    matrix.write(store)
    return matrix


def trial_of(store: str, mutant: Mutant, known: Row | None, tests: Sequence[str]) -> Row:
    """By what it has not been tried by yet, as often as the time is over before some of it has begun."""
    killed, untried = (list(known.killed_by), known.untried) if known is not None else ([], tests)
    while untried:
        found = conformance(store, mutant, untried)
        killed += found.failed
        if len(untried) == len(untried := rest(untried, found)):
            raise RuntimeError(f"{mutant.name}: {untried[0]} takes longer than {SECONDS[store]:g} s")
    return Row(mutant.mark, killed)


def rest(tests: Sequence[str], found: Verdict) -> Sequence[str]:
    """Those of which nothing is known, since the time was over."""
    return [test for test in tests if found.cut and test not in {*found.passed, *found.failed}]


def conformance(store: str, mutant: Mutant | None, tests: Sequence[str]) -> Verdict:
    """`tests`: some; none named: all."""
    with copy(mutant) as folder:
        return tried(folder, [f"{module_of(store)}::{test}" for test in tests] or [module_of(store)], SECONDS[store])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=sorted(SECONDS), default="sqlite")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this mutant, though others are not tried yet")
    parser.add_argument("--again", action="store_true", help="try what is known, too")
    options = parser.parse_args()
    matrix = try_all(options.store, catalogue(options.store), options.only, again=options.again)
    for title, names in (("kills nothing", idle(matrix)), ("kills only the blunt", only_bluntly(matrix)), ("lives", alive(matrix))):
        for name in names:
            print(f"{title}: {name}")
    print(f"{len(matrix.mutants)} mutants, {len(matrix.tests)} tests on {options.store}")
    sys.exit(1 if idle(matrix) or alive(matrix) else 0)


if __name__ == "__main__":
    main()
