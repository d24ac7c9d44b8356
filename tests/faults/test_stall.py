"""The short form of the disk that stands still: `python -m penstock_faults.stall --stalls 10` is the long one."""

import tempfile

import pytest

from tests.faults.programs import verdict_of


@pytest.mark.timeout(120)
@pytest.mark.parametrize("where", [(), ("--server",)], ids=["a file", "a server"])
def test_nobody_is_dead_because_the_disk_stood_still(disks: None, postgres_url: str, where: tuple[str, ...]) -> None:
    found = verdict_of("stall", "--stalls", "2", "--disk", tempfile.gettempdir(), *where)
    assert found["ok"], found
