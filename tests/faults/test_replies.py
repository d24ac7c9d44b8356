"""The short form of the lost replies: `python -m penstock_faults.replies --losses 200` is the long one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(120)
def test_replies_that_are_lost_or_late_cost_nothing(postgres_url: str) -> None:
    command = [sys.executable, "-m", "penstock_faults.replies", "--server", postgres_url, "--losses", "40", "--seed", "7"]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert run.stdout, run.stderr
    found = json.loads(run.stdout)
    assert found["ok"], run.stdout
