"""A folder in memory-backed storage, and an app on a file in it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from penstock import App
from penstock.testing.storage import fast_folder


@pytest.fixture
def fast() -> Iterator[Path]:
    with fast_folder() as folder:
        yield folder


@pytest.fixture
async def shop(fast: Path) -> AsyncIterator[App]:
    app = App(f"sqlite:///{fast}/shop.db", name="shop")
    yield app
    await app.close()
