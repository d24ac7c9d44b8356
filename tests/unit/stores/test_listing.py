"""What it costs to look for some jobs among many, in steps of SQLite's machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.model.job import JobFilter, JobList
from penstock.model.message import Message
from penstock.stores.sql.listing import ALL, Page, list_jobs
from penstock.stores.sqlite.put import put
from tests.unit.stores.test_cost import CROWD, Machine

DEPTH = 1_000
A_JOB = 100
"""Steps that looking at one may take."""


@pytest.fixture
def machine(path: Path) -> Iterator[Machine]:
    machine = Machine(path)
    yield machine
    machine.connection.close()


def look(machine: Machine, where: JobFilter, depth: int = DEPTH) -> JobList:
    return machine.run(lambda now: list_jobs(where, Page(50, ALL, depth)))


def put_one(machine: Machine, name: str, queue: str, due: int | None = None) -> None:
    machine.run(lambda now: put([Message(name, queue, "send", b"{}", due=due)], now))


@pytest.mark.parametrize("where", [JobFilter(key="k"), JobFilter(status="waiting", key="k"), JobFilter(queue="no such queue")])
def test_a_look_for_nothing_ends(machine: Machine, where: JobFilter) -> None:
    machine.put(CROWD)
    assert look(machine, where) == JobList([], DEPTH)
    assert machine.steps < DEPTH * A_JOB


def test_the_newest_are_found_at_once(machine: Machine) -> None:
    machine.put(CROWD)
    assert [job.id for job in look(machine, JobFilter()).jobs] == [f"m{n}" for n in range(CROWD - 1, CROWD - 51, -1)]
    assert machine.steps < DEPTH * A_JOB


def test_a_state_begins_at_its_own_table(machine: Machine) -> None:
    """Old ones, below a crowd in another state."""
    put_one(machine, "delayed", "mail", due=99)
    machine.put(CROWD)
    for status in ("delayed", "retrying", "running", "dead", "done"):
        found = look(machine, JobFilter(status=status))  # type: ignore[arg-type]
        assert found == JobList(found.jobs)
        assert [job.id for job in found.jobs] == ["delayed"] * (status == "delayed")
        assert machine.steps < 5_000


def test_what_waits_in_one_queue_does_not_hide_behind_another(machine: Machine) -> None:
    put_one(machine, "old", "aaa")
    machine.put(CROWD)
    assert [job.id for job in look(machine, JobFilter(status="waiting", queue="aaa")).jobs] == ["old"]
    assert machine.steps < 5_000
