"""The short form of the test of cut cables: `python -m penstock_faults.cuts` is the long one."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from penstock_faults.crew import Book, Line
from penstock_faults.cuts import after, left_running, stopped_after, wrong
from penstock_faults.net import network
from penstock_faults.software import tool
from tests.faults.programs import verdict_of

SECOND = 1_000_000


@pytest.mark.alone
@pytest.mark.timeout(200)
def test_a_machine_that_is_cut_off_beyond_its_lease(networks: None) -> None:
    found = verdict_of("cuts", "--seconds", "9", "--cuts", "1")
    assert not wrong(found), found
    assert not found["void"], found
    assert found["ok"]


def test_a_machine_has_a_network_of_its_own_and_keeps_no_file_system_of_others_busy(networks: None) -> None:
    """With mounts of its own it would hold a disk whose power another test cuts."""

    def spaces() -> list[str]:
        with network(tool("iproute2"), "far") as net:
            command = [*net.inside("far"), "readlink", "/proc/self/ns/mnt", "/proc/self/ns/net"]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    with ThreadPoolExecutor(1) as thread:  # it is moved to the server's network
        mounts, net = thread.submit(spaces).result()
    assert mounts == str(Path("/proc/self/ns/mnt").readlink())
    assert net != str(Path("/proc/self/ns/net").readlink())


def line(word: str, job: str, pid: int, at: float) -> Line:
    return Line(word, (job,), pid, round(at * SECOND))


def test_a_handler_that_goes_on_beyond_the_lease_is_seen() -> None:
    begun = line("BEGIN", "a", 1, 1)
    on, told = Book([begun, line("END", "a", 1, 8)]), Book([begun, line("STOPPED", "a", 1, 4)])
    cut, mended = 2 * SECOND, 20 * SECOND
    assert (left_running(on, 1, cut), left_running(told, 1, cut)) == (["a"], [])
    assert (stopped_after(told, 1, cut, mended), stopped_after(on, 1, cut, mended)) == (2.0, 1000.0)


def test_who_comes_too_late_is_seen() -> None:
    book = Book([line("RESCUED", "x", 1, 3), line("RESCUED", "x", 2, 5)])
    assert (after(book, "RESCUED", 2 * SECOND, not_by=1), after(book, "RESCUED", 2 * SECOND, by=1)) == (3.0, 1.0)
    fine: dict[str, object] = {"rescued_after_s": [4.0], "stopped_after_s": [2.1], "back_after_s": [3.0], "left_running": [[]]}
    sums = dict.fromkeys(("lost", "effects_missing", "at_once", "ran_again", "slots_missing"), ())
    counts = dict.fromkeys(("effects_twice", "dead", "buried", "slots_twice"), 0)
    assert wrong({**fine, **sums, **counts, "corrupt": "ok"}) == []
    worse = {"rescued_after_s": [12.0], "back_after_s": [3.0, 1000.0], "left_running": [[], ["a"]], "corrupt": "no", "effects_twice": 1}
    assert set(wrong({**fine, **sums, **counts, **worse})) == set(worse)
