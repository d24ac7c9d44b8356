"""The suites see what they look for: mutants of this tree, as they were tried, and those of the fault suite, tried now."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from tests.mutants.faults import NEEDS_ROOT, Fault, faults, troubles, try_one
from tests.mutants.matrix import LEAST, Matrix, Row, alive, idle, module_of
from tests.mutants.mutant import ROOT, SOURCE, Mutant, catalogue, short

FAULTS = faults()


@pytest.mark.parametrize("mutant", [*catalogue().values(), *FAULTS], ids=lambda mutant: mutant.name)
def test_it_changes_one_line_of_this_tree(mutant: Mutant) -> None:
    text = (SOURCE / mutant.file).read_text()
    changed = mutant.applied(text)
    assert sum(before != after for before, after in zip(text.splitlines(), changed.splitlines(), strict=True)) == 1


def test_a_matrix_with_a_hole_is_seen() -> None:
    rows = {"seen": Row("1", ["a", "b"]), "hardly seen": Row("2", ["b"] * (LEAST - 1))}
    matrix = Matrix(["a", "b", "c"], rows)
    assert (idle(matrix), alive(matrix)) == (["c"], ["hardly seen"])


def test_what_is_known_is_tried_on_new_tests_only() -> None:
    mutants = catalogue()
    one, other, *_ = mutants
    known = {one: Row(mutants[one].mark, ["a", "gone"]), other: Row("another", ["a", "b"]), "no more": Row("1", ["a"])}
    matrix = Matrix(["a", "b", "gone"], known)
    matrix.fit(mutants, ["a", "b", "c"])
    assert matrix == Matrix(["a", "b", "c"], {one: Row(mutants[one].mark, ["a"], ["c"])})


def test_the_matrix_is_of_this_tree_and_has_no_hole() -> None:
    """Every mutant as it is now was tried by every test that there is; `python -m tests.mutants.matrix` does it."""
    matrix, mutants = Matrix.read("sqlite"), catalogue("sqlite")
    assert {name: row.mark for name, row in matrix.mutants.items()} == {name: mutant.mark for name, mutant in mutants.items()}
    assert {name for name, row in matrix.mutants.items() if row.untried} == set()
    assert sorted(matrix.tests) == sorted(collected("sqlite"))
    assert (idle(matrix), alive(matrix)) == ([], [])


def collected(store: str) -> list[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider", module_of(store)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    return [short(line) for line in said.splitlines() if "::" in line]


def test_a_void_verdict_catches_nothing() -> None:
    assert troubles({"void": ["nobody died"], "lost": [], "corrupt": "ok", "floor": {"missed": 0}, "ok": False}) == []
    assert troubles({"lost": ["a"], "corrupt": "no", "floor": {"missed": 2}, "ok": False}) == ["lost", "corrupt", "floor missed"]


class Trial(NamedTuple):
    fault: Fault
    store: str

    def __str__(self) -> str:
        return f"{self.fault.name}, {self.store}"


def found_by(*programs: str) -> list[Trial]:
    return [Trial(fault, store) for fault in FAULTS if fault.program[0] in programs for store in fault.stores]


WITHOUT_ROOT = found_by(*({fault.program[0] for fault in FAULTS} - {*NEEDS_ROOT}))


class Trials:
    """The first one that a test asks for brings all of that test's, two at a time: most of what a fault program takes is waiting. Not where
    a disk stands still: that program judges by time."""

    def __init__(self, tests: Mapping[str, Sequence[Trial]], server: str) -> None:
        self._tests = tests
        self._server = server
        self._threads = {n: ThreadPoolExecutor(n) for n in (1, 2)}
        self._found: dict[str, Future[dict[str, Any]]] = {}

    def seen(self, trial: Trial) -> object:
        if str(trial) not in self._found:
            (together,) = (chosen for chosen in self._tests.values() if trial in chosen)
            threads = self._threads[1 if any(each.fault.program[0] == "stall" for each in together) else 2]
            self._found |= {str(each): threads.submit(try_one, each.fault, each.store, self._server) for each in together}
        return self._found[str(trial)].result()["seen"]

    def close(self) -> None:
        for threads in self._threads.values():
            threads.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def trials(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[Trials]:
    tests: dict[str, list[Trial]] = {}
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.path == request.path and "trial" in item.fixturenames:
            trial = item.callspec.params["trial"]
            assert isinstance(trial, Trial)
            tests.setdefault(item.originalname, []).append(trial)
    trials = Trials(tests, postgres_url)
    yield trials
    trials.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("trial", WITHOUT_ROOT, ids=str)
def test_the_fault_suite_sees(trial: Trial, trials: Trials) -> None:
    assert trials.seen(trial)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("trial", found_by("power", "stall"), ids=str)
def test_disks_that_are_cut_or_stand_still_see(trial: Trial, disks: None, trials: Trials) -> None:
    assert trials.seen(trial)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("trial", found_by("cuts"), ids=str)
def test_cut_cables_see(trial: Trial, networks: None, trials: Trials) -> None:
    assert trials.seen(trial)
