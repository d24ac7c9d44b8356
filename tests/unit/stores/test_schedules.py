"""What the calendar's tables keep, and how long."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from penstock.model.schedule import Schedule, Template, Timing
from penstock.observe.signals import Signals
from penstock.ports.leases import Enrolment
from penstock.stores.sqlite.store import SqliteStore

RELEASES = 50


def release(n: int) -> Schedule:
    return Schedule("tick", Timing(cron="0 3 * * *"), "once", Template("shop.tick", "shop.default", str(n).encode()))


async def start(store: SqliteStore, incarnation: int, schedule: Schedule) -> None:
    await store.leases.enrol(Enrolment(incarnation, "shop", f"worker-{incarnation}", 1, "here", (), ()))
    await store.schedules.declare(incarnation, "shop", [schedule])


def kept(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("select generation from penstock_definition order by 1")]


async def test_old_definitions_are_forgotten_but_not_those_in_use(store: SqliteStore, path: Path) -> None:
    await start(store, 1, release(1))
    for n in range(2, RELEASES + 1):
        await start(store, n, release(n))
        await store.leases.leave(n)
    await store.schedules.review()
    assert kept(path) == [1, *range(RELEASES - 20, RELEASES + 1)]
    (view,) = await store.schedules.views()
    assert view.schedule == release(1), "the only one that a live worker declares"


async def test_declaring_the_same_again_adds_nothing(store: SqliteStore, path: Path) -> None:
    for n in range(1, 5):
        await start(store, n, release(7))
    assert kept(path) == [1]


async def test_a_firing_is_one_commit_that_can_be_watched(path: Path) -> None:
    """Where it is killed, it either was or was not: faults are injected at these points."""
    reached: list[str] = []
    store = SqliteStore(str(path), signals=Signals(reached.append))
    await store.open()
    try:
        await start(store, 1, release(1))
        await store.schedules.fire([])
    finally:
        await store.close()
    assert [point for point in reached if point.startswith("schedule")] == ["schedule.before_commit", "schedule.after_commit"]


@pytest.mark.parametrize("words", ["a", "a@b", "schedule:a@b"])
async def test_a_pause_of_one_is_no_pause_of_another(store: SqliteStore, words: str) -> None:
    await start(store, 1, release(1))
    await store.settings.write(f"schedule:tick@{words}", "paused", "true", "an operator")
    (view,) = await store.schedules.views()
    assert not view.paused
