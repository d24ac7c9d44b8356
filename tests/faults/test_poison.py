"""The short form: `python -m penstock_faults.poison` is the long one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(300)
def test_poison_is_buried_and_its_neighbours_are_done() -> None:
    check()


@pytest.mark.timeout(300)
def test_on_postgresql_poison_is_buried_and_its_neighbours_are_done(postgres_url: str) -> None:
    check("--server", postgres_url)


def check(*options: str) -> None:
    command = [sys.executable, "-m", "penstock_faults.poison", "--each", "1", "--good", "1000", *options]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert run.stdout, run.stderr
    found = json.loads(run.stdout)
    assert found["ok"], run.stdout
    assert (found["poison"], found["done"]) == (found["kinds"], 1000)
    assert found["kinds"] >= 8
