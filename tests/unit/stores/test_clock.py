"""Store time: one anchor for a machine, never back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.model.clock import SECOND
from penstock.stores.sql.executors import drive
from penstock.stores.sql.library import Library
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite import migrate
from penstock.stores.sqlite.clock import StoreClock

LIBRARY = Library.load("penstock.stores.sqlite")
HOUR = 3_600 * SECOND


class Machine:
    """A wall clock and a boot clock, set by hand, and the store's file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.boot = 5 * SECOND
        self.wall = 1_700_000_000 * SECOND
        self.name = "first boot"
        self._connection = connection

    def process(self) -> StoreClock:
        clock = StoreClock(lambda: self.wall, lambda: self.boot, self.name)
        self.beat(clock)
        return clock

    def beat(self, clock: StoreClock) -> None:
        drive(clock.anchor(), LIBRARY, connections.runner(self._connection))

    def lead(self, clock: StoreClock) -> None:
        drive(clock.adjust(), LIBRARY, connections.runner(self._connection))

    def pass_time(self, time: int) -> None:
        self.boot += time
        self.wall += time

    def reboot(self, wall: int) -> None:
        self.boot, self.wall, self.name = 0, wall, f"after {self.name}"


@pytest.fixture
def machine(path: Path) -> Iterator[Machine]:
    connection = connections.connect(str(path))
    migrate.migrate(connection)
    yield Machine(connection)
    connection.close()


def test_the_first_one_anchors_at_the_wall_clock(machine: Machine) -> None:
    clock = machine.process()
    assert clock.now() == machine.wall
    machine.pass_time(HOUR)
    assert clock.now() == machine.wall


def test_processes_agree_whatever_the_wall_clock_shows_them(machine: Machine) -> None:
    first = machine.process()
    machine.pass_time(HOUR)
    machine.wall += 7 * SECOND
    second = machine.process()
    assert second.now() == first.now() == machine.wall - 7 * SECOND


def test_forward_at_once(machine: Machine) -> None:
    leader, other = machine.process(), machine.process()
    machine.wall += HOUR
    machine.lead(leader)
    assert leader.now() == machine.wall
    assert other.now() == machine.wall - HOUR
    machine.beat(other)
    assert other.now() == machine.wall


def test_backward_by_standing_still(machine: Machine) -> None:
    leader, other = machine.process(), machine.process()
    before = leader.now()
    machine.wall -= 10 * SECOND
    machine.lead(leader)
    machine.beat(other)
    for _ in range(9):
        machine.pass_time(SECOND)
        assert leader.now() == other.now() == before
    machine.pass_time(2 * SECOND)
    assert leader.now() == other.now() == machine.wall == before + SECOND


def test_a_gentle_slew_moves_nothing(machine: Machine) -> None:
    clock = machine.process()
    machine.wall += 40_000
    machine.lead(clock)
    assert clock.now() == machine.wall - 40_000


def test_a_new_boot_has_its_own_anchor(machine: Machine) -> None:
    machine.process()
    machine.reboot(machine.wall + HOUR)
    assert machine.process().now() == machine.wall


def test_a_boot_with_a_clock_that_was_reset_does_not_go_back(machine: Machine) -> None:
    """A machine without a battery starts in 1970: time stands still where it was last written, until NTP has set the clock."""
    before = machine.process().now()
    machine.reboot(0)
    clock = machine.process()
    assert clock.now() == before
    machine.pass_time(HOUR)
    assert clock.now() == before
    machine.wall = before + HOUR
    machine.lead(clock)
    assert clock.now() == machine.wall


def test_an_adjustment_of_one_leader_is_not_repeated_by_the_next(machine: Machine) -> None:
    first, second = machine.process(), machine.process()
    machine.wall += HOUR
    machine.lead(first)
    machine.beat(second)
    machine.lead(second)
    assert second.now() == first.now() == machine.wall


def test_the_next_leader_goes_on_from_where_the_last_one_stood(machine: Machine) -> None:
    """It has not read the anchor since that was moved."""
    first, second = machine.process(), machine.process()
    before = first.now()
    machine.wall -= HOUR
    machine.lead(first)
    machine.pass_time(SECOND)
    machine.lead(second)
    assert second.now() == before
