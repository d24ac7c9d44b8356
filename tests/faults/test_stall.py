"""The short form of the disk that stands still: `python -m penstock_faults.stall --stalls 10` is the long one."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest


@pytest.mark.timeout(120)
@pytest.mark.parametrize("where", [(), ("--server",)], ids=["a file", "a server"])
def test_nobody_is_dead_because_the_disk_stood_still(disks: None, postgres_url: str, where: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "penstock_faults.stall", "--stalls", "2", "--disk", tempfile.gettempdir(), *where]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert run.stdout, run.stderr
    assert json.loads(run.stdout)["ok"], run.stdout
