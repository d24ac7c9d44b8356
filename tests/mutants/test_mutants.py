"""The suites see what they look for: mutants of this tree, as they were tried, and those of the fault suite, tried now."""

import subprocess
import sys
from typing import NamedTuple

import pytest

from tests.mutants.faults import NEEDS_ROOT, Fault, faults, seen, troubles, try_one
from tests.mutants.matrix import LEAST, Matrix, Row, alive, idle, module_of, rest
from tests.mutants.mutant import ROOT, SOURCE, Mutant, Verdict, catalogue, short

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


def test_what_there_was_no_time_for_is_tried_again() -> None:
    assert rest(["a", "b", "c"], Verdict(["a"], ["b"], cut=True)) == ["c"]
    assert rest(["a", "b", "c"], Verdict(["a"], ["b"], cut=False)) == []


def test_a_verdict_catches_what_the_fault_does_and_nothing_else() -> None:
    wanted = ("lost", "corrupt", "floor missed", "twice")
    assert troubles({"void": ["nobody died"], "lost": [], "corrupt": "ok", "floor": {"missed": 0}, "late": 3, "ok": False}, wanted) == []
    assert troubles({"lost": ["a"], "corrupt": "no", "floor": {"missed": 2}, "ok": False}, wanted) == ["lost", "corrupt", "floor missed"]


def test_to_take_too_long_catches_nothing_unless_that_is_the_fault() -> None:
    run = subprocess.CompletedProcess([], 1, "", "waited 20 s for it to be rescued")
    assert seen(run, ("lost",)) == []
    assert seen(run, ("lost", "waited 20 s for it")) == ["waited 20 s for it to be rescued"]
    with pytest.raises(RuntimeError, match="it said nothing"):
        seen(subprocess.CompletedProcess([], 1, "", "Traceback"), ("lost",))


class Trial(NamedTuple):
    fault: Fault
    store: str

    def __str__(self) -> str:
        return f"{self.fault.name}, {self.store}"


def found_by(*programs: str) -> list[Trial]:
    return [Trial(fault, store) for fault in FAULTS if fault.program[0] in programs for store in fault.stores]


WITHOUT_ROOT = found_by(*({fault.program[0] for fault in FAULTS} - {*NEEDS_ROOT}))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("trial", WITHOUT_ROOT, ids=str)
def test_the_fault_suite_sees(trial: Trial, postgres_url: str) -> None:
    found = try_one(trial.fault, trial.store, postgres_url)
    assert found["seen"], found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("trial", found_by("power", "stall"), ids=str)
def test_disks_that_are_cut_or_stand_still_see(trial: Trial, postgres_url: str, disks: None) -> None:
    found = try_one(trial.fault, trial.store, postgres_url)
    assert found["seen"], found


@pytest.mark.alone
@pytest.mark.timeout(300)
@pytest.mark.parametrize("trial", found_by("cuts"), ids=str)
def test_cut_cables_see(trial: Trial, postgres_url: str, networks: None) -> None:
    found = try_one(trial.fault, trial.store, postgres_url)
    assert found["seen"], found
