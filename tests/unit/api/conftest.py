"""An app on a file of its own, closed at the end."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock import App


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    made = App(f"sqlite:///{tmp_path}/shop.db", name="shop")
    yield made
    await made.close()
