"""Which test of the conformance suite kills which mutant: `python -m tests.mutants.matrix` makes it, a mutant at a time.

It goes on where it was stopped, and tries again only mutants that have changed; `--again` tries all. The result stands beside this
file, one line a mutant. Exit 1 unless each test kills a mutant and each mutant is killed by two tests.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.mutants.mutant import Mutant, Verdict, catalogue, copy, tried

SECONDS = {"sqlite": 300.0, "postgres": 900.0}
LEAST = 2


class Row(Struct, frozen=True):
    mark: str
    """Of the mutant as it was tried."""
    killed_by: Sequence[str]


class Matrix(Struct):
    tests: Sequence[str]
    """Those that pass on Penstock as it is."""
    mutants: dict[str, Row]

    @classmethod
    def read(cls, store: str) -> Matrix:
        return msgspec.json.decode(path_of(store).read_bytes(), type=cls) if path_of(store).exists() else cls([], {})

    def write(self, store: str) -> None:
        rows = ",\n".join(
            f"  {msgspec.json.encode(name).decode()}: {msgspec.json.encode(row).decode()}" for name, row in self.mutants.items()
        )
        tests = ",\n".join(f"  {msgspec.json.encode(test).decode()}" for test in self.tests)
        path_of(store).write_text(f'{{"tests": [\n{tests}\n ],\n "mutants": {{\n{rows}\n }}\n}}\n')


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
    whole = conformance(store, None)
    if whole.failed:
        sys.exit(f"these fail without a mutant: {', '.join(whole.failed)}")
    matrix.tests = whole.passed
    matrix.mutants = {name: row for name, row in matrix.mutants.items() if name in mutants}
    for name, mutant in mutants.items():
        known = matrix.mutants.get(name)
        if (names and name not in names) or (known is not None and known.mark == mutant.mark and not again):
            continue
        matrix.mutants[name] = Row(mutant.mark, conformance(store, mutant).failed)
        matrix.write(store)
        print(f"{name}: killed by {len(matrix.mutants[name].killed_by)}", flush=True)
    matrix.mutants = {name: matrix.mutants[name] for name in mutants if name in matrix.mutants}
    matrix.write(store)
    return matrix


def conformance(store: str, mutant: Mutant | None) -> Verdict:
    with copy(mutant) as folder:
        return tried(folder, [module_of(store)], SECONDS[store])


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
