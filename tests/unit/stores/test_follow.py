"""Who waits for the end of a job: his socket, and what becomes of it when nobody can tell him."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from penstock.model.delivery import Delivery, Settlement
from penstock.model.message import Message
from penstock.model.outcome import Done, Failed, Failure
from penstock.stores.sql.operations import Settle
from penstock.stores.sqlite.doorbell import Ringer
from penstock.stores.sqlite.follow import Ear
from penstock.stores.sqlite.store import SqliteStore

PATIENCE = 10


def ears(path: Path) -> list[str]:
    return [ear.name for ear in Path(f"{path}-penstock").glob("ear-*")]


def dead_ear(folder: Path) -> Path:
    """Its process died without taking it down."""
    ear = folder / "ear-dead"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(ear))
    return ear


async def test_nobody_has_a_socket_before_he_waits(store: SqliteStore, path: Path, message: Message) -> None:
    await store.queue.put([message])
    assert ears(path) == []
    async with store.follow.watch("a"), store.follow.watch("a"):
        assert len(ears(path)) == 1
    await store.close()
    assert ears(path) == []


async def test_the_answer_may_come_before_that_of_the_writer(store: SqliteStore, path: Path) -> None:
    ear, ringer = Ear(Path(f"{path}-penstock")), Ringer(Path(f"{path}-penstock"))
    with ear.expecting("a") as told, ear.expecting("b") as other:
        ringer.tell([("a", ear.name)])
        await asyncio.wait_for(told.wait(), PATIENCE)
        assert not other.is_set()
        ringer.tell([(f"x{n}", ear.name) for n in range(500)] + [("b", ear.name)])
        await asyncio.wait_for(other.wait(), PATIENCE)
    ringer.close()
    ear.close()


async def test_sockets_of_the_dead_are_taken_down(store: SqliteStore, path: Path) -> None:
    folder = Path(f"{path}-penstock")
    rung, ringer = dead_ear(folder), Ringer(folder)
    ringer.tell([("a", rung.name), ("a", "ear-gone")])
    assert not rung.exists()
    ringer.close()
    met, living = dead_ear(folder), Ear(folder)
    assert not met.exists()
    other = Ear(folder)
    with living.expecting("a") as told:
        assert sorted(ears(path)) == sorted([living.name, other.name])
        assert not told.is_set()
    living.close()
    other.close()


async def test_who_cannot_register_has_to_look(store: SqliteStore, path: Path, message: Message) -> None:
    await store.queue.put([message])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create trigger full before insert on penstock_watch begin select raise(abort, 'full'); end")
        connection.commit()
    async with store.follow.watch("a") as told:
        assert not told.is_set()


async def test_who_has_no_place_for_a_socket_has_to_look(store: SqliteStore, message: Message, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.queue.put([message])
    monkeypatch.setattr(store.follow, "_bells", Path("/proc/nowhere"))
    async with store.follow.watch("a") as told:
        assert not told.is_set()


@pytest.mark.parametrize(
    ("facts", "outcome", "rings"),
    [
        ({}, Done(), False),
        ({"options": b'{"timeout":5.0}'}, Done(), False),
        ({"options": b'{"unique":{"name":"t/n"}}'}, Done(), False),
        ({"options": b'{"then":{"id":"b"}}'}, Done(), True),
        ({"key": "k"}, Done(), True),
        ({}, Failed(1, Failure("E", "")), True),
    ],
    ids=str,
)
def test_an_end_rings_workers_only_if_it_brings_work(facts: dict[str, Any], outcome: Any, rings: bool) -> None:
    assert Settle(1, [Settlement(Delivery(1, "a", "q", "t", 1, b"", **facts), outcome)]).rings is rings
