"""The short form: `python -m penstock_faults.poison` is the long one."""

import pytest

from tests.faults.programs import verdict_of


@pytest.mark.timeout(300)
def test_poison_is_buried_and_its_neighbours_are_done() -> None:
    check()


@pytest.mark.timeout(300)
def test_on_postgresql_poison_is_buried_and_its_neighbours_are_done(postgres_url: str) -> None:
    check("--server", postgres_url)


def check(*options: str) -> None:
    found = verdict_of("poison", "--each", "1", "--good", "1000", *options)
    assert found["ok"], found
    assert (found["poison"], found["done"]) == (found["kinds"], 1000)
    assert found["kinds"] >= 8
