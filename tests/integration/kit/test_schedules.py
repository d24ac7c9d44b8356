"""Schedules in a test: every slot fires at its time, and what was missed is decided as in production."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from penstock import App, testing
from penstock.testing import Kit

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


def shop(ran: list[tuple[str, datetime]], kits: list[Kit]) -> App:
    app = App("sqlite:////nowhere/shop.db", name="shop")

    @app.task()
    async def note(what: str) -> None:
        ran.append((what, kits[0].now))

    app.schedule(note.bind("nightly"), name="nightly", cron="0 3 * * *", tz="Europe/Berlin")
    app.schedule(note.bind("six hours"), name="often", every=timedelta(hours=6), missed="skip")
    app.schedule(note.bind("daily, all"), name="daily", cron="30 12 * * *", missed="all")
    return app


async def test_a_week_of_slots_each_at_its_time() -> None:
    ran, kits = list[tuple[str, datetime]](), list[Kit]()
    async with testing.run(shop(ran, kits), start=MONDAY) as kit:
        kits.append(kit)
        await kit.advance("7d")
    nights = [at for what, at in ran if what == "nightly"]
    assert nights == [MONDAY + timedelta(days=n, hours=2) for n in range(7)]
    assert [at for what, at in ran if what == "daily, all"] == [MONDAY + timedelta(days=n, hours=12.5) for n in range(7)]
    often = [at for what, at in ran if what == "six hours"]
    assert len(often) == 28 and {later - at for at, later in pairwise(often)} == {timedelta(hours=6)}
    assert [at for _, at in ran] == sorted(at for _, at in ran)


async def test_what_was_missed_while_no_worker_was_up() -> None:
    ran, kits = list[tuple[str, datetime]](), list[Kit]()
    async with testing.run(shop(ran, kits), start=MONDAY) as kit:
        kits.append(kit)
        await kit.drain()
        kit.skip("2d")
        await kit.drain()
        assert sorted(what for what, _ in ran if what != "six hours") == ["daily, all", "daily, all", "nightly"]


@pytest.mark.parametrize("point", ["schedule.before_commit", "schedule.after_commit"])
async def test_a_slot_fires_once_whoever_crashes(point: str) -> None:
    ran, kits = list[tuple[str, datetime]](), list[Kit]()
    async with testing.run(shop(ran, kits), start=MONDAY) as kit:
        kits.append(kit)
        await kit.drain()
        kit.crash_at(point)
        await kit.advance("1d")
    assert [what for what, _ in ran].count("nightly") == 1


async def test_a_schedule_that_this_machine_does_not_understand_stops_no_other() -> None:
    ran, kits = list[tuple[str, datetime]](), list[Kit]()
    async with testing.run(shop(ran, kits), start=MONDAY) as kit:
        kits.append(kit)
        await kit.drain()
        with closing(sqlite3.connect(kit.path)) as connection, connection:
            (known,) = connection.execute("select definition from penstock_schedule where name = 'nightly'").fetchone()
            foreign = known.replace(b"Europe/Berlin", b"Mars/Olympus2")
            assert foreign != known
            connection.execute("update penstock_schedule set definition = ? where name = 'nightly'", (foreign,))
        await kit.advance("2d", timeout=10)
    assert [at for what, at in ran if what == "six hours"] == [MONDAY + timedelta(hours=6 * n) for n in range(1, 9)]
    assert "nightly" not in {what for what, _ in ran}
