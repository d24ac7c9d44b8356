"""What the probes say of a file that is damaged: where, and never a traceback."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from penstock.errors import StoreCorrupt
from penstock.model.message import Message
from penstock.observe.signals import Signals
from penstock.ports.leases import Enrolment
from penstock.stores.sqlite.admin import SqliteAdministration
from penstock.stores.sqlite.store import SqliteStore

HOT = ("message", "ready", "later", "aside", "busy", "leased", "finished", "dead", "attempt", "counter", "worker")
PAGE = 4096
GARBAGE = b"\xff" * PAGE


@pytest.fixture
async def closed(path: Path) -> Path:
    """A file in use, whose last user has gone: all of it is in the file."""
    store = SqliteStore(str(path), signals=Signals())
    await store.open()
    await store.leases.enrol(Enrolment(1, "app", "w", 1, "here", ("mail",), ("send",)))
    await store.queue.put([Message(f"m{n}", "mail", "send", b"{}" * 200) for n in range(200)])
    await store.close()
    assert not path.with_name("store.db-wal").exists()
    return path


def damage(path: Path, page: int, skip: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE + skip)
        file.write(GARBAGE[skip:])


def root_of(path: Path, name: str) -> int:
    connection = sqlite3.connect(path)
    (page,) = connection.execute("select rootpage from sqlite_master where name = ?", [name]).fetchone()
    connection.close()
    return int(page)


def probes(path: Path) -> tuple[str, str]:
    """What each of them says is wrong, if anything."""
    administration = SqliteAdministration(str(path))
    try:
        live = "" if administration.live() else "it does not answer"
    except StoreCorrupt as error:
        live = str(error)
    return live, administration.ready() or ""


def test_a_sound_file_lacks_only_workers(closed: Path) -> None:
    live, ready = probes(closed)
    assert (live, "no worker is alive" in ready) == ("", True)


@pytest.mark.parametrize(("skip", "what"), [(0, "is not an SQLite database"), (100, "is damaged")])
def test_a_broken_first_page_is_seen_by_both(closed: Path, skip: int, what: str) -> None:
    """Its header, and the schema behind it."""
    damage(closed, 1, skip)
    live, ready = probes(closed)
    assert what in live and what in ready


def test_a_text_file_is_no_store(path: Path) -> None:
    path.write_text("dear diary\n" * 500)
    live, ready = probes(path)
    assert "is not an SQLite database" in live and "is not an SQLite database" in ready


@pytest.mark.parametrize("table", [*HOT, "message_id"])
def test_a_broken_root_of_a_hot_table_is_not_ready(closed: Path, table: str) -> None:
    damage(closed, root_of(closed, f"penstock_{table}"))
    live, ready = probes(closed)
    assert (live, "the file is damaged" in ready) == ("", True)


def test_the_newest_messages_are_looked_at_too(closed: Path) -> None:
    damage(closed, closed.read_bytes().index(b"m199mailsend") // PAGE + 1)
    assert "the file is damaged" in probes(closed)[1]
