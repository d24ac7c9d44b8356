"""The short form of the full disk: `python -m penstock_faults.full --fills 20` is the long one."""

from typing import Any

import pytest

from penstock_faults.full import there_though_refused, untyped
from tests.faults.programs import verdict_of


@pytest.mark.timeout(120)
def test_a_full_disk_loses_nothing_and_everything_goes_on(disks: None) -> None:
    assert check("--fills", "4")["acknowledged"] > 400


@pytest.mark.timeout(180)
def test_on_postgresql_a_full_disk_loses_nothing_and_everything_goes_on(disks: None, postgres_url: str) -> None:
    assert check("--fills", "2", "--server")["acknowledged"] > 200


def check(*options: str) -> dict[str, Any]:
    found = verdict_of("full", "--seed", "7", *options)
    assert found["ok"], found
    return found


def test_a_job_that_is_there_though_it_was_refused_is_seen() -> None:
    def there(*lines: str) -> list[str]:
        return there_though_refused([line.split(" ") for line in lines])

    assert there("REFUSED StoreFull a 1 1", "ACK a 0 1 1") == ["a"]
    assert there("REFUSED StoreFull a 1 1", "ACK a 1 1 1") == []
    assert there("REFUSED StoreFull a 1 1", "REFUSED PublishUnknown a 1 1", "ACK a 0 1 1") == []


def test_an_error_that_is_nobodys_is_seen() -> None:
    assert untyped(["StoreFull", "PublishUnknown"]) == []
    assert untyped(["StoreFull", "OperationalError"]) == ["OperationalError"]
