"""The short form of the errors of a device: `python -m penstock_faults.ioerrors --each 20` is the long one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(120)
def test_errors_of_the_device_lose_nothing_that_was_acknowledged(strace: Path) -> None:
    command = [sys.executable, "-m", "penstock_faults.ioerrors", "--each", "3", "--seed", "7"]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert run.stdout, run.stderr
    found = json.loads(run.stdout)
    assert found["ok"], run.stdout
