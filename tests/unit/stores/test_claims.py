"""Claims that only a program which speaks to the store itself can make, or rows that only others can have written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from penstock.model.clock import SECOND
from penstock.model.message import Message
from penstock.observe.signals import Signals
from penstock.ports.leases import Enrolment
from penstock.ports.queue import Claim
from penstock.stores.sqlite.clock import StoreClock
from penstock.stores.sqlite.store import SqliteStore

WORKER = Enrolment(1, "shop", "w", 1, "here", ("mail",), ("send",))
SEND = frozenset({"send"})


def claimed(found: Any) -> list[str]:
    return [each.job_id for run in found.runs for each in run]


async def test_a_queue_that_is_named_twice_is_promoted_once(path: Path) -> None:
    passed = 0
    store = SqliteStore(str(path), signals=Signals(), clock=StoreClock(lambda: SECOND, lambda: passed))
    await store.open()
    await store.leases.enrol(WORKER)
    await store.queue.put([Message(job, "mail", "send", b"{}", delay=SECOND) for job in "ab"])
    passed = 2 * SECOND
    found = await store.queue.claim(Claim(1, [("mail", 1), ("mail", 5)], SEND))
    assert claimed(found) == ["a", "b"]
    await store.close()


async def test_a_queue_whose_name_is_no_text_holds_up_no_other(store: SqliteStore, path: Path) -> None:
    await store.leases.enrol(WORKER)
    await store.queue.put([Message("a", "mail", "send", b"{}"), Message("b", "odd", "send", b"{}")])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("update penstock_ready set queue = cast(queue as blob) where queue = 'odd'")
    found = await store.queue.claim(Claim(1, [(b"odd", 5), ("mail", 5)], SEND))  # type: ignore[list-item]
    assert claimed(found) == ["a"]
