"""What a claim costs, in steps of SQLite's machine: no clock is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from penstock.model.delivery import Settlement
from penstock.model.limit import Limit
from penstock.model.message import Message
from penstock.model.outcome import Done
from penstock.model.statement import Program
from penstock.ports.leases import Enrolment
from penstock.ports.queue import Claim, Claimed
from penstock.stores.sql import leases
from penstock.stores.sql.elsewhere import Search
from penstock.stores.sql.executors import drive
from penstock.stores.sql.library import Library
from penstock.stores.sql.limits import register
from penstock.stores.sql.settle import settle
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite import migrate
from penstock.stores.sqlite.claim import claim
from penstock.stores.sqlite.put import put

T = TypeVar("T")
LIBRARY = Library.load("penstock.stores.sqlite")
CROWD = 20_000
OWNERS = (1, 2)


class Machine:
    """Programs on a bare connection, and how many steps they took."""

    def __init__(self, path: Path) -> None:
        self.connection = connections.connect(str(path))
        migrate.migrate(self.connection)
        self.steps = 0
        self.connection.set_progress_handler(self._step, 1)
        for owner in OWNERS:
            self.run(lambda now, owner=owner: leases.enrol(Enrolment(owner, "app", "w", 1, "here", ("mail",), ("send",)), now))

    def run(self, make: Callable[[int], Program[T]]) -> T:
        self.steps = 0
        self.connection.execute("begin immediate")
        result = drive(make(1), LIBRARY, connections.runner(self.connection))
        self.connection.execute("commit")
        return result

    def put(self, count: int, key: str | None = None, prefix: str = "m") -> None:
        messages = [Message(f"{prefix}{n}", "mail", "send", b"{}", key=key) for n in range(count)]
        self.run(lambda now: put(messages, now))

    def claim(self, owner: int = 2, tasks: frozenset[str] = frozenset({"send"})) -> Claimed:
        return self.run(lambda now: claim(Claim(owner, [("mail", 10)], tasks), now))

    def _step(self) -> int:
        self.steps += 1
        return 0


@pytest.fixture
def machine(path: Path) -> Iterator[Machine]:
    machine = Machine(path)
    yield machine
    machine.connection.close()


def cost_of_a_claim(machine: Machine) -> int:
    """Of one message that can run."""
    machine.put(1, prefix=f"probe {machine.connection.total_changes} ")
    (run,) = machine.claim().runs
    steps = machine.steps
    machine.run(lambda now: settle(2, [Settlement(run[0], Done())], now, put))
    return steps


def meet_the_crowd(machine: Machine, **claim: Any) -> int:
    """Until a claim says that there is no more; the steps it took."""
    steps = 0
    while machine.claim(**claim).more:
        steps += machine.steps
    return steps


def test_a_crowd_of_a_busy_key_is_met_once(machine: Machine) -> None:
    alone = cost_of_a_claim(machine)
    machine.put(1, key="crowd", prefix="head ")
    machine.claim(owner=1)
    machine.put(CROWD, key="crowd")
    assert meet_the_crowd(machine) < CROWD * 200
    assert cost_of_a_claim(machine) < alone + 100


def test_freeing_a_crowded_key_moves_one_message(machine: Machine) -> None:
    machine.put(1, key="crowd", prefix="head ")
    (run,) = machine.claim(owner=1).runs
    machine.put(CROWD, key="crowd")
    meet_the_crowd(machine)
    machine.run(lambda now: settle(1, [Settlement(run[0], Done())], now, put))
    assert machine.steps < 1_000
    (run,) = machine.claim().runs
    assert machine.steps < 5_000
    assert len(run) == 10


def test_unknown_tasks_are_met_once(machine: Machine) -> None:
    alone = cost_of_a_claim(machine)
    machine.put(CROWD)
    other = frozenset({"another task"})
    assert meet_the_crowd(machine, tasks=other) < CROWD * 200
    machine.claim(tasks=other)
    assert machine.steps < alone + 100


def test_taking_unknown_tasks_back_costs_what_is_taken(machine: Machine) -> None:
    """The first worker of a new release does not pay for all that waits for it with each claim."""
    machine.put(CROWD)
    meet_the_crowd(machine, tasks=frozenset({"another task"}))
    assert sum(map(len, machine.claim().runs)) == 10
    assert machine.steps < 10_000


def test_a_claim_from_a_deep_queue_costs_what_it_takes(machine: Machine) -> None:
    machine.put(10)
    machine.claim()
    shallow = machine.steps
    machine.put(CROWD, prefix="deep ")
    machine.claim()
    assert machine.steps < shallow * 2 + 1_000


def test_a_queue_at_its_limit_costs_the_same_whatever_waits(machine: Machine) -> None:
    machine.run(lambda now: register("app", [Limit("mail", 3, "1/d")]))
    machine.put(10)
    assert len(machine.claim().runs) == 1
    machine.claim()
    few = machine.steps
    machine.put(CROWD, prefix="deep ")
    assert machine.claim().runs == []
    assert machine.steps < few + 100


def test_limits_of_other_queues_cost_a_claim_next_to_nothing(machine: Machine) -> None:
    alone = cost_of_a_claim(machine)
    machine.run(lambda now: register("app", [Limit(f"q{n}", 3, "1/d") for n in range(10)]))
    assert cost_of_a_claim(machine) < alone + 300


def test_a_probe_of_a_full_store_touches_a_row_a_table(machine: Machine) -> None:
    machine.put(CROWD)
    machine.steps = 0
    machine.connection.execute(LIBRARY["touch"]).fetchall()
    assert machine.steps < 500


def test_a_look_into_other_queues_costs_the_same_whatever_waits_there(machine: Machine) -> None:
    worker = Enrolment(3, "app", "w", 1, "here", ("other",), ("another task",))
    machine.run(lambda now: leases.leave(1, now, put))
    machine.run(lambda now: leases.leave(2, now, put))
    machine.run(lambda now: leases.enrol(worker, now))
    search = Search(worker)
    machine.put(CROWD)
    for _ in range(3):
        assert machine.run(lambda now: search.look()) == []
        assert machine.steps < 15_000


def test_a_put_behind_a_deep_queue_costs_what_it_puts(machine: Machine) -> None:
    machine.put(1, prefix="first ")
    shallow = machine.steps
    machine.put(CROWD)
    machine.put(1, prefix="last ")
    assert machine.steps < shallow + 100
