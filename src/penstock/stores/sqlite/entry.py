"""What is made of a file's path."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.ports.signals import Signals
from penstock.ports.store import Durability
from penstock.stores.sqlite.admin import SqliteAdministration
from penstock.stores.sqlite.files import Folder
from penstock.stores.sqlite.reaping import reap
from penstock.stores.sqlite.store import SqliteStore


def make_store(path: str, *, durability: Durability, signals: Signals, limits: Mapping[str, int]) -> SqliteStore:
    """Not opened."""
    return SqliteStore(path, durability=durability, signals=signals, limits=limits)


def administration(path: str) -> SqliteAdministration:
    return SqliteAdministration(path)


def rescue(path: str) -> int:
    return reap(Folder(path))
