"""The short form of the crashes at every point: `python -m penstock_faults.points --rounds 3` is the long one."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import penstock
from penstock.ports.signals import POINTS
from tests.faults.programs import verdict_of

SOURCES = [path.read_text() for path in Path(penstock.__file__).parent.rglob("*.py")]


@pytest.mark.timeout(200)
def test_a_crash_anywhere_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    check("--disk", str(tmp_path))


@pytest.mark.timeout(200)
def test_on_postgresql_a_crash_anywhere_loses_nothing_and_does_nothing_twice(tmp_path: Path, postgres_url: str) -> None:
    check("--disk", str(tmp_path), "--server", postgres_url)


def check(*options: str) -> None:
    found = verdict_of("points", "--rounds", "1", "--seed", "7", *options)
    assert found["ok"], found
    assert found["kills"] == found["points"]


def test_no_point_of_the_source_is_forgotten() -> None:
    assert set(named()) == set(POINTS)


def named() -> Iterator[str]:
    """What the source says that it reaches. `{point}` stands for what an operation is called, and for no other thing."""
    operations = {name for text in SOURCES for name in re.findall(r'\bpoint *= *"(\w+)"', text)}
    for text in SOURCES:
        for name in re.findall(r'\breach\(f?"([^"]+)"\)', text):
            yield from [name.replace("{point}", operation) for operation in sorted(operations)] if "{point}" in name else [name]
