"""The short form of the errors of a device: `python -m penstock_faults.ioerrors --each 20` is the long one."""

from pathlib import Path

import pytest

from tests.faults.programs import verdict_of


@pytest.mark.timeout(120)
def test_errors_of_the_device_lose_nothing_that_was_acknowledged(strace: Path) -> None:
    found = verdict_of("ioerrors", "--each", "3", "--seed", "7")
    assert found["ok"], found
