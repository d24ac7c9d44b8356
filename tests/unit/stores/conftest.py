"""A file in tmpfs, a store on it, and one message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from penstock.model.message import Message
from penstock.observe.signals import Signals
from penstock.stores.sqlite.store import SqliteStore
from penstock.testing.storage import fast_folder


@pytest.fixture
def path() -> Iterator[Path]:
    with fast_folder() as folder:
        yield folder / "store.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(str(path), signals=Signals())
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def message() -> Message:
    return Message("a", "mail", "send", b"{}")
