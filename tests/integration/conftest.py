"""A folder in memory-backed storage, and an app on a file in it."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from penstock import App

SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def fast() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="penstock-", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
async def shop(fast: Path) -> AsyncIterator[App]:
    app = App(f"sqlite:///{fast}/shop.db", name="shop")
    yield app
    await app.close()
