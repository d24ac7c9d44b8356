"""The raw driver: the same SQL with the same parameters on a plain `sqlite3` connection.

A script is recorded once, by driving the store's own programs over a copy of the store, and replayed in each round on another
copy: `begin immediate`, the recorded statements, `commit`, and nothing else. No thread, no event loop, no object is made of a
row. Put and transactions are replayed with synchronous = full, claims and settles with normal, as the store does it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from penstock.model.clock import Clock, WallClock
from penstock.model.delivery import Delivery, Settlement
from penstock.model.ids import IdSource
from penstock.model.log import Append, Event, TopicSpec
from penstock.model.message import Message
from penstock.model.outcome import Done
from penstock.model.statement import Program, Rows
from penstock.ports.leases import Enrolment
from penstock.ports.queue import Claim
from penstock.stores.sql import leases
from penstock.stores.sql.executors import drive
from penstock.stores.sql.library import Library
from penstock.stores.sql.settle import settle
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite.claim import claim
from penstock.stores.sqlite.publishing import append, publish
from penstock.stores.sqlite.put import put

T = TypeVar("T")

Step: TypeAlias = tuple[str, Any]
Steps: TypeAlias = Sequence[Step]
"""One transaction."""

BATCH = 256
OWNER = 1
QUEUE = "bench"
TASKS = ("bench.nothing", "bench.together", "bench.register", "bench.moment")
FACTS = TopicSpec("facts")
ACCOUNTS = TopicSpec("accounts", versioned=True)
_BODY = b'{"data":"' + b"x" * 89 + b'"}'


@dataclass
class Script:
    """`before` is replayed without being timed. `count`: how many jobs it is for."""

    count: int
    synced: bool
    before: list[Steps] = field(default_factory=list)
    timed: list[Steps] = field(default_factory=list)

    def replay(self, store: Path) -> float:
        """Seconds."""
        connection = _plain(store)
        _run(connection, self.before)
        connection.execute(f"pragma synchronous = {'full' if self.synced else 'normal'}")
        began = time.perf_counter()
        _run(connection, self.timed)
        seconds = time.perf_counter() - began
        connection.close()
        return seconds


def _run(connection: sqlite3.Connection, transactions: Iterable[Steps]) -> None:
    execute = connection.execute
    for steps in transactions:
        execute("begin immediate")
        for sql, params in steps:
            execute(sql, params).fetchall()
        execute("commit")


def _plain(store: Path) -> sqlite3.Connection:
    """With the settings of the store's own connections; checkpoints as often as the store makes them."""
    connection = connections.connect(str(store))
    connection.execute("pragma wal_autocheckpoint = 8000").fetchall()
    return connection


def script_of_puts(store: Path, count: int, size: int) -> Script:
    """`count` messages, `size` in each transaction."""
    recording = _Recording(store)
    script = Script(count, synced=True)
    for _ in range(count // size):
        script.timed.append(recording.transaction(put(recording.messages(size), recording.clock.now())))
    recording.close()
    return script


def script_of_drain(store: Path, count: int) -> Script:
    """A claim and a settle for each batch, in a transaction of its own each."""
    recording = _Recording(store)
    script = Script(count, synced=False, before=[recording.enrol()])
    for steps, deliveries in recording.claims(count):
        script.timed.append(steps)
        ends = [Settlement(delivery, Done()) for delivery in deliveries]
        script.timed.append(recording.transaction(settle(OWNER, ends, recording.clock.now(), put)))
    recording.close()
    return script


def script_of_transactions(store: Path, count: int) -> Script:
    """A user's row, a follow-up job and the settle in one synced transaction each; claimed before."""
    recording = _Recording(store)
    script = Script(count, synced=True, before=[recording.enrol()])
    held: list[Delivery] = []
    for steps, deliveries in recording.claims(count):
        script.before.append(steps)
        held += deliveries
    for n, delivery in enumerate(held):
        row: Step = ("insert into bench_user (n, name) values (:n, :name)", {"n": n, "name": f"user {n}"})
        script.timed.append([row, *recording.transaction(_follow_up(recording, delivery))])
    recording.close()
    return script


def script_of_publishes(store: Path, count: int, size: int) -> Script:
    """`count` events, `size` in each transaction."""
    recording = _Recording(store)
    script = Script(count, synced=True)
    for _ in range(count // size):
        script.timed.append(recording.transaction(publish(FACTS, recording.events(size), recording.clock.now())))
    recording.close()
    return script


def script_of_appends(store: Path, count: int, size: int) -> Script:
    """`count` events, one each for `size` keys in each transaction."""
    recording = _Recording(store)
    script = Script(count, synced=True)
    for version in range(count // size):
        appends = [Append(ACCOUNTS, f"acc-{n}", recording.events(1), version) for n in range(size)]
        script.timed.append(recording.transaction(append(ACCOUNTS, appends, recording.clock.now())))
    recording.close()
    return script


def _follow_up(recording: _Recording, delivery: Delivery) -> Program[None]:
    now = recording.clock.now()
    yield from put(recording.messages(1), now)
    yield from settle(OWNER, [Settlement(delivery, Done())], now, put)


class _Recording:
    """Drives programs on a store that nobody else has open, and remembers what they executed."""

    def __init__(self, store: Path) -> None:
        self.clock: Clock = WallClock()
        self._library = Library.load("penstock.stores.sqlite")
        self._connection = _plain(store)
        self._connection.execute("pragma synchronous = off")
        self._ids = IdSource(lambda: self.clock.now() // 1000)
        self._steps: list[Step] = []

    def messages(self, count: int) -> list[Message]:
        return [Message(self._ids.next(), QUEUE, TASKS[0], _BODY) for _ in range(count)]

    def events(self, count: int) -> list[Event]:
        return [Event(self._ids.next(), "Happened", _BODY) for _ in range(count)]

    def enrol(self) -> Steps:
        worker = Enrolment(OWNER, "bench", "raw", 0, "", (QUEUE,), TASKS)
        return self.transaction(leases.enrol(worker, self.clock.now()))

    def claims(self, count: int) -> Iterator[tuple[Steps, list[Delivery]]]:
        """Until the queue is empty, which should be after `count`."""
        ask = Claim(OWNER, [(QUEUE, BATCH)], frozenset(TASKS))
        taken = 0
        while True:
            self._steps = []
            claimed = self._drive(claim(ask, self.clock.now()))
            deliveries = [delivery for run in claimed.runs for delivery in run]
            if not deliveries and not claimed.more:
                break
            taken += len(deliveries)
            yield self._steps, deliveries
        if taken != count:
            raise AssertionError(f"recorded {taken} jobs of {count}")

    def transaction(self, program: Program[Any]) -> Steps:
        self._steps = []
        self._drive(program)
        return self._steps

    def _drive(self, program: Program[T]) -> T:
        self._connection.execute("begin immediate")
        result = drive(program, self._library, self._execute)
        self._connection.execute("commit")
        return result

    def _execute(self, sql: str, params: Any) -> Rows:
        self._steps.append((sql, params))
        return self._connection.execute(sql, params).fetchall()

    def close(self) -> None:
        self._connection.close()
