"""The short form: `python -m penstock_faults.malformed` is the long one."""

from pathlib import Path
from random import Random

import pytest

from penstock_faults.malformed import effects, otherwise
from penstock_faults.records import fill, kinds
from penstock_faults.site import Site
from tests.faults.programs import verdict_of


@pytest.mark.timeout(120)
def test_what_nobody_can_read_is_set_aside_and_its_neighbours_are_done() -> None:
    check()


@pytest.mark.timeout(120)
def test_on_postgresql_what_nobody_can_read_is_set_aside_and_its_neighbours_are_done(postgres_url: str) -> None:
    check("--server", postgres_url)


def check(*options: str) -> None:
    words = ["--bad", "2000", "--good", "500", "--seed", "7", "--patience", "60", *options]
    found = verdict_of("malformed", *words)
    assert found["ok"], found
    assert (found["malformed"], found["good"]) == (2000, 500)


def test_what_came_to_nothing_is_seen(tmp_path: Path) -> None:
    site = Site.at(tmp_path / "store.db")
    site.rows("create table effects (n integer)")
    made = fill(site, 100, 10, Random(1))
    assert set(otherwise(site, made)) == {"good", *kinds(site)}
    assert len(effects(site, made)) >= 10
