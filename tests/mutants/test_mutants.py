"""The suites see what they look for: mutants of this tree, as they were tried, and those of the fault suite, tried now."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

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


def found_by(*programs: str) -> list[Fault]:
    return [fault for fault in FAULTS if fault.program[0] in programs]


class Trials:
    """The first one that a test asks for brings all of that test's, two at a time: most of what a fault program takes is waiting. Not where
    a disk stands still: that program judges by time."""

    def __init__(self, tests: Mapping[str, Sequence[Fault]], server: str) -> None:
        self._tests = tests
        self._server = server
        self._threads = {n: ThreadPoolExecutor(n) for n in (1, 2)}
        self._found: dict[str, Future[dict[str, Any]]] = {}

    def seen(self, fault: Fault) -> object:
        if fault.name not in self._found:
            (together,) = (chosen for chosen in self._tests.values() if fault in chosen)
            threads = self._threads[1 if any(each.program[0] == "stall" for each in together) else 2]
            self._found |= {each.name: threads.submit(try_one, each, each.stores[0], self._server) for each in together}
        return self._found[fault.name].result()["seen"]

    def close(self) -> None:
        for threads in self._threads.values():
            threads.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def trials(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[Trials]:
    tests: dict[str, list[Fault]] = {}
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.path == request.path and "fault" in item.fixturenames:
            fault = item.callspec.params["fault"]
            assert isinstance(fault, Fault)
            tests.setdefault(item.originalname, []).append(fault)
    trials = Trials(tests, postgres_url)
    yield trials
    trials.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in found_by(*NEEDS_ROOT)], ids=lambda fault: fault.name)
def test_the_fault_suite_sees(fault: Fault, trials: Trials) -> None:
    assert trials.seen(fault)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", found_by("power", "stall"), ids=lambda fault: fault.name)
def test_disks_that_are_cut_or_stand_still_see(fault: Fault, disks: None, trials: Trials) -> None:
    assert trials.seen(fault)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", found_by("cuts"), ids=lambda fault: fault.name)
def test_cut_cables_see(fault: Fault, networks: None, trials: Trials) -> None:
    assert trials.seen(fault)
