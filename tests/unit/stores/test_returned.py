"""Programs decide by what a write returned: with two writers, what was found before may be another's by then."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from penstock.model.delivery import Delivery, Settlement
from penstock.model.message import Message, Options, Placed
from penstock.model.outcome import Dead, Done
from penstock.model.statement import Program, Rows
from penstock.model.unique import Hold
from penstock.ports.leases import Enrolment, Rescued
from penstock.ports.queue import Claim
from penstock.stores.sql import ends, leases, watching
from penstock.stores.sql.executors import drive
from penstock.stores.sql.library import Library
from penstock.stores.sql.settle import settle
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite import migrate
from penstock.stores.sqlite.claim import claim
from penstock.stores.sqlite.put import put

T = TypeVar("T")
LIBRARY = Library.load("penstock.stores.sqlite")


class Beside:
    """A connection on which another program runs just before a statement of this one: PostgreSQL allows it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connections.runner(connection)

    def drive(self, program: Program[T]) -> T:
        return drive(program, LIBRARY, self._run)

    def during(self, statement: str, other: Callable[[], object], program: Program[T]) -> T:
        meddlers = [other]

        def run(sql: str, params: Any) -> Rows:
            if sql == LIBRARY[statement] and meddlers:
                meddlers.pop()()
            return self._run(sql, params)

        return drive(program, LIBRARY, run)

    def put(self, *names: str, **more: Any) -> None:
        self.drive(put([Message(name, "mail", "send", b"{}", **more) for name in names], 1))

    def claim(self, owner: int = 1, now: int = 1) -> list[Delivery]:
        claimed = self.drive(claim(Claim(owner, [("mail", 10)], frozenset({"send"})), now))
        return [each for run in claimed.runs for each in run]

    def end(self, held: list[Delivery], outcome: Done | Dead) -> list[int]:
        return self.drive(settle(1, [Settlement(each, outcome) for each in held], 1, put))

    def bury(self, *names: str) -> None:
        self.put(*names)
        self.end(self.claim(), Dead("rejected"))


@pytest.fixture
def beside(path: Path) -> Iterator[Beside]:
    connection = connections.connect(str(path))
    migrate.migrate(connection)
    beside = Beside(connection)
    for owner in (1, 2):
        beside.drive(leases.enrol(Enrolment(owner, "app", "w", 1, "here", ("mail",), ("send",)), 1))
    yield beside
    connection.close()


def test_two_replays_of_a_letter_run_it_once(beside: Beside) -> None:
    beside.bury("a", "b")
    assert beside.during("unbury", lambda: beside.drive(ends.replay(["a"], 1)), ends.replay(["a", "b"], 1)) == ["b"]
    assert [each.job_id for each in beside.claim()] == ["a", "b"]


def test_a_letter_that_was_just_replayed_is_not_discarded(beside: Beside) -> None:
    beside.bury("a")
    assert beside.during("unbury", lambda: beside.drive(ends.replay(["a"], 1)), ends.discard(["a"], 1)) == []


def test_what_comes_due_beside_a_replay_is_not_brought_twice(beside: Beside) -> None:
    beside.put("a", due=5)
    assert beside.during("leave_later", lambda: beside.claim(now=5), ends.replay(["a"], 5)) == []
    assert beside.claim() == []


@pytest.mark.parametrize("key", [None, "k"])
def test_a_cancel_beside_a_claim_asks_its_worker(beside: Beside, key: str | None) -> None:
    """With a key: the claim comes before the cancel seizes it; after that nobody leases the message."""
    beside.put("a", "b", key=key)
    assert beside.during("seize_key" if key else "take_from_ready", beside.claim, ends.cancel("a", 1)) is None
    assert beside.drive(ends.cancel("a", 1)) == "requested"


def test_a_cancel_of_a_key_wakes_what_waits_behind(beside: Beside) -> None:
    beside.put("a", "b", key="k")
    assert beside.drive(ends.cancel("a", 1)) == "cancelled"
    assert [each.job_id for each in beside.claim()] == ["b"]


def test_what_was_claimed_beside_its_expiry_runs(beside: Beside) -> None:
    beside.put("a", expires=5)
    held: list[Delivery] = []
    assert beside.during("take_from_ready", lambda: held.extend(beside.claim()), ends.expire(10, 5)) == 0
    assert [each.job_id for each in held] == ["a"]
    assert beside.end(held, Done()) == []


def test_a_rescue_leaves_what_a_settle_has_just_ended(beside: Beside) -> None:
    beside.put("a", "b")
    held = beside.claim()
    rescued = beside.during("release_all", lambda: beside.end(held[:1], Done()), leases.rescue(1, 0, 1, put))
    assert rescued == Rescued(1, released=1, dead=0)
    assert [each.job_id for each in beside.claim(owner=2)] == ["b"]


def test_two_that_want_to_lead_are_not_both_told_so(beside: Beside) -> None:
    def lead(owner: int, now: int) -> Program[bool]:
        return leases.lead("maintenance", owner, 10, now)

    assert beside.during("lead", lambda: beside.drive(lead(2, 1)), lead(1, 1)) is False
    assert beside.drive(lead(1, 11)) is True


def unique(name: str, hold: Hold) -> Message:
    return Message(name, "mail", "send", b"{}", options=msgspec.json.encode(Options(unique=hold)), unique=hold)


def test_who_comes_beside_the_taking_of_a_name_gets_its_holder(beside: Beside) -> None:
    hold = Hold("send/n")
    assert beside.during("last_seq", lambda: beside.drive(put([unique("b", hold)], 1)), put([unique("a", hold)], 1)) == [Placed("a")]
    assert beside.drive(put([unique("c", hold)], 1)) == [Placed("a", created=False)]
    assert [each.job_id for each in beside.claim()] == ["a"]


def test_a_name_that_went_to_another_is_not_let_go(beside: Beside) -> None:
    """Its holder was cancelled, and another job took it, while a settle of the old one is under way."""
    hold = Hold("send/n", "start")
    beside.drive(put([unique("a", hold)], 1))
    held = beside.claim()
    beside.drive(put([unique("b", hold)], 1))
    beside.end(held, Done())
    assert beside.drive(put([unique("c", hold)], 1)) == [Placed("b", created=False)]


def test_who_ends_a_job_by_a_clock_that_is_behind_lets_go_of_its_name(beside: Beside) -> None:
    hold = Hold("send/n")
    beside.drive(put([unique("a", hold)], 100))
    beside.end(beside.claim(now=100), Done())
    assert beside.drive(put([unique("b", hold)], 2)) == [Placed("b")]


def test_a_replay_beside_a_put_gives_the_name_to_one(beside: Beside) -> None:
    hold = Hold("send/n")
    beside.drive(put([unique("a", hold)], 1))
    beside.end(beside.claim(), Dead("rejected"))
    taken: list[Placed] = []
    assert beside.during("keep_unique", lambda: taken.extend(beside.drive(put([unique("b", hold)], 1))), ends.replay(["a"], 1)) == []
    assert taken == [Placed("b")]
    assert beside.drive(ends.replay(["a"], 1)) == []
    beside.end(beside.claim(), Done())
    assert beside.drive(ends.replay(["a"], 1)) == ["a"]


def test_an_end_beside_somebody_who_begins_to_wait_is_not_missed(beside: Beside) -> None:
    """Either the settle finds his row, or he finds the end."""
    beside.put("a")
    held = beside.claim()
    settlements = [Settlement(each, Done()) for each in held]
    assert beside.drive(watching.watch("a", "ear-1"))
    beside.end(held, Done())
    assert [tuple(row) for row in beside.drive(watching.hear(settlements))] == [("a", "ear-1")]
    assert beside.drive(watching.hear(settlements)) == ()
    assert beside.drive(watching.watch("a", "ear-2")) is False
