"""The short form of the damaged files: `python -m penstock_faults.corruption --rounds 20` is the long one."""

import pytest

from penstock_faults.corruption import KINDS, judge
from tests.faults.programs import verdict_of


@pytest.mark.timeout(120)
def test_a_damaged_file_is_refused_or_holds_what_was_put() -> None:
    found = verdict_of("corruption", "--rounds", "1", "--seed", "7")
    assert found["ok"], found
    assert found["damages"] == len(KINDS)


def test_what_it_came_to_is_told_apart() -> None:
    def came(*jobs: str, dead: tuple[str, ...] = (), trouble: str = "", endless: str = "", wrong: str = "") -> str:
        got = {job: job != wrong for job in jobs}
        return judge({"got": got, "troubles": [trouble] if trouble else [], "endless": endless}, dead, 3)[0]

    assert came("job-0", "job-1", "job-2") == "whole"
    assert came("job-0", "job-1") == came() == "prefix"
    assert came("job-0", "job-2") == "silent"
    assert came("job-0", "job-1", "job-3") == "silent"
    assert came("job-0", "job-2", dead=("job-1",)) == "noticed"
    assert came("job-0", "job-2", wrong="job-2", trouble="StoreCorrupt: x") == "silent"
    assert came("job-0", trouble="StoreCorrupt: x") == "refused"
    assert came("job-0", trouble="DatabaseError: x") == came("job-0", trouble="StoreError: x") == "nameless"
    assert came("job-0", endless="20 s") == "endless"
