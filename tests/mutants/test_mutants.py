"""The suites see what they look for: mutants of this tree, as they were tried, and those of the fault suite, tried now."""

import pytest

from tests.mutants.faults import NEEDS_ROOT, Fault, faults, troubles, try_one
from tests.mutants.matrix import LEAST, Matrix, Row, alive, idle
from tests.mutants.mutant import SOURCE, Mutant, catalogue

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


def test_a_void_verdict_catches_nothing() -> None:
    assert troubles({"void": ["nobody died"], "lost": [], "corrupt": "ok", "floor": {"missed": 0}, "ok": False}) == []
    assert troubles({"lost": ["a"], "corrupt": "no", "floor": {"missed": 2}, "ok": False}) == ["lost", "corrupt", "floor missed"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [each for each in FAULTS if each.program[0] not in NEEDS_ROOT], ids=lambda fault: fault.name)
def test_the_fault_suite_sees(fault: Fault, postgres_url: str) -> None:
    assert try_one(fault, fault.stores[0], postgres_url)["seen"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [each for each in FAULTS if each.program[0] in ("power", "stall")], ids=lambda fault: fault.name)
def test_disks_that_are_cut_or_stand_still_see(fault: Fault, disks: None, postgres_url: str) -> None:
    assert try_one(fault, fault.stores[0], postgres_url)["seen"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [each for each in FAULTS if each.program[0] == "cuts"], ids=lambda fault: fault.name)
def test_cut_cables_see(fault: Fault, networks: None, postgres_url: str) -> None:
    assert try_one(fault, fault.stores[0], postgres_url)["seen"]
