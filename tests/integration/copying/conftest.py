"""An old house and a new one, not built yet."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest


@pytest.fixture
def old(fast: Path) -> str:
    return f"sqlite:///{fast / 'shop.db'}"


@pytest.fixture
def new(postgres_url: str) -> str:
    return f"{postgres_url}?schema=house_{secrets.token_hex(6)}"
