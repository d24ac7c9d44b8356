"""The short form of the power cuts: `python -m penstock_faults.power --cuts 300` is the long one."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

CUTS = 20


@pytest.mark.timeout(300)
def test_power_cuts_lose_nothing_of_a_file(disks: None) -> None:
    found = cut(CUTS, 11)
    assert found["ok"], found
    assert found["acknowledged"] > 100 * CUTS


@pytest.mark.timeout(300)
def test_power_cuts_lose_nothing_of_a_server(disks: None, postgres_url: str) -> None:
    found = cut(CUTS, 12, "--server")
    assert found["ok"], found
    assert found["acknowledged"] > 100 * CUTS


@pytest.mark.timeout(300)
def test_power_cuts_of_a_server_lose_nothing_of_those_who_live_on(disks: None, postgres_url: str) -> None:
    found = cut(CUTS, 14, "--server", "--survivors")
    assert found["ok"], found
    assert found["acknowledged"] > 100 * CUTS


@pytest.mark.timeout(120)
@pytest.mark.parametrize("where", [(), ("--server",)])
def test_that_nobody_syncs_is_seen(disks: None, postgres_url: str, where: Sequence[str]) -> None:
    """This test's own eyes: processes may crash, and power may not fail."""
    found = cut(4, 13, "--durability", "process", *where)
    assert found["ok"], found
    assert found["lost_after_a_cut"]


def cut(cuts: int, seed: int, *options: str) -> dict[str, Any]:
    """Not in pytest's own folder: a server started by root cannot enter it."""
    command = [
        sys.executable,
        "-m",
        "penstock_faults.power",
        "--cuts",
        str(cuts),
        "--seed",
        str(seed),
        "--disk",
        tempfile.gettempdir(),
        *options,
    ]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert run.stdout, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found
