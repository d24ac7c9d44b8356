"""The short form of the damaged files: `python -m penstock_faults.corruption --rounds 20` is the long one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from penstock_faults.corruption import KINDS, judge


@pytest.mark.timeout(120)
def test_a_damaged_file_is_refused_or_holds_what_was_put() -> None:
    command = [sys.executable, "-m", "penstock_faults.corruption", "--rounds", "1", "--seed", "7"]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert run.stdout, run.stderr
    found = json.loads(run.stdout)
    assert found["ok"], run.stdout
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
    assert came("job-0", trouble="DatabaseError: x") == "nameless"
    assert came("job-0", endless="20 s") == "endless"
