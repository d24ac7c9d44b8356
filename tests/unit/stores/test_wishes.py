"""What workers ask for, where an older release does not play along."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from penstock.model.delivery import Delivery
from penstock.model.log import SubscriptionSpec, TopicSpec
from penstock.stores.sql import seeking, wishes
from penstock.stores.sql.library import Library
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite.dialect import SQLITE
from penstock.stores.sqlite.store import SqliteStore

LIBRARY = Library.load("penstock.stores.sqlite")
ASKED = [Delivery(7, "paid@inv", "inv", "inv", 1, b"{}", type="Paid")]
NOW = 1_000_000_000


@pytest.fixture
def connection(store: SqliteStore, path: Path) -> sqlite3.Connection:
    return connections.connect(str(path))


def wanted(connection: sqlite3.Connection, now: int = NOW) -> bool:
    return connections.drive(connection, wishes.of_others(1, ASKED, now), LIBRARY) == {7}


async def test_a_wish_whose_worker_an_older_release_rescued_ends(store: SqliteStore, connection: sqlite3.Connection) -> None:
    """That one deleted the worker's row and knew nothing of wishes."""
    with closing(connection):
        connections.drive(connection, wishes.make(2, [("inv", None)], NOW), LIBRARY)
        assert not wanted(connection)
        connections.drive(connection, wishes.make(3, [], NOW), LIBRARY)  # somebody starts: it counts as one that has just left
        assert wanted(connection)
        assert not wanted(connection, NOW + wishes.GRACE)
        connections.drive(connection, wishes.make(4, [], NOW + wishes.GRACE + 1), LIBRARY)
        assert connection.execute("select * from penstock_wish").fetchall() == []


async def test_a_generation_never_comes_again(store: SqliteStore, connection: sqlite3.Connection) -> None:
    """An older release declares a subscription that comes back at generation 0."""
    spec = SubscriptionSpec("inv", TopicSpec("orders"), "shop")
    with closing(connection):
        for generation, following in ((5, 6), (0, 6)):
            await store.log.declare([spec])
            connection.execute("update penstock_subscription set generation = ?", (generation,))
            connections.drive(connection, seeking.drop("inv", SQLITE), LIBRARY)
            assert connection.execute("select next from penstock_generation").fetchall() == [(following,)]
