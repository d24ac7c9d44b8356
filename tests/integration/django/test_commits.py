"""Workers are woken when Django's transaction has committed; and what works with a database of another kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection, connections, transaction
from django.db.backends.postgresql.base import DatabaseWrapper
from django.test import TestCase

from penstock.errors import TransactionClosed
from penstock.integrations.django import foreign
from penstock.ports.transaction import ForeignConnection, LentConnection
from penstock.testing.kit import Kit
from tests.integration.django.shop.tasks import pay


class Bell:
    def __init__(self) -> None:
        self.rang = 0

    def __call__(self) -> None:
        self.rang += 1


def waiting() -> int:
    """What is to be called after the commit."""
    return len(connection.run_on_commit)


# -- once a transaction, as often as one enqueues


def test_a_transaction_rings_once(kit: Kit) -> None:
    bell = Bell()
    with transaction.atomic():
        for _ in range(3):
            foreign(connection).after_commit(bell)
            with transaction.atomic():
                foreign(connection).after_commit(bell)
        assert (waiting(), bell.rang) == (1, 0)
    assert bell.rang == 1


def test_a_rollback_rings_nobody(kit: Kit) -> None:
    bell = Bell()
    with pytest.raises(KeyError), transaction.atomic():
        foreign(connection).after_commit(bell)
        raise KeyError
    with transaction.atomic():
        pass
    assert bell.rang == 0


def test_an_inner_block_that_rolls_back_takes_its_bell_with_it_and_no_other(kit: Kit) -> None:
    bell = Bell()
    with transaction.atomic():
        with pytest.raises(KeyError), transaction.atomic():
            foreign(connection).after_commit(bell)
            raise KeyError
        assert waiting() == 0
        with transaction.atomic():
            foreign(connection).after_commit(bell)
        with transaction.atomic():
            foreign(connection).after_commit(bell)
        assert waiting() == 2  # either may be gone while the other stays
    assert bell.rang == 2


def test_a_bell_that_fails_does_not_fail_the_request(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise OSError("no such socket")

    with transaction.atomic():
        foreign(connection).after_commit(broken)
    assert "Error calling Ring in on_commit() during transaction (no such socket)" in caplog.text


def test_an_enqueue_asks_to_be_told_of_the_commit(kit: Kit) -> None:
    with transaction.atomic(), TestCase.captureOnCommitCallbacks() as callbacks:
        pay.using(tx=connection).sync.enqueue(1)
    assert [str(callback.__qualname__) for callback in callbacks] == ["Ring"]


def test_a_transaction_by_hand_has_no_hook(kit: Kit) -> None:
    bell = Bell()
    transaction.set_autocommit(False)
    foreign(connection).after_commit(bell)
    transaction.commit()
    transaction.set_autocommit(True)
    assert (waiting(), bell.rang) == (0, 0)


# -- PostgreSQL: the store's statements come with psycopg's marks


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Any]:
    parts = urlsplit(postgres_url)
    named = {"NAME": parts.path[1:], "USER": parts.username or "", "PASSWORD": parts.password or "", "HOST": parts.hostname or ""}
    plain = {"ENGINE": "", "OPTIONS": {}, "AUTOCOMMIT": True, "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False, "TIME_ZONE": None}
    wrapper = DatabaseWrapper({**plain, **named, "PORT": str(parts.port or "")}, alias="postgres")
    connections["postgres"] = wrapper
    yield wrapper
    wrapper.close()
    del connections["postgres"]


def test_a_connection_to_postgresql_is_joined(postgres: Any) -> None:
    bell = Bell()
    with postgres.cursor() as cursor:
        cursor.execute("create temporary table kept (name text, data jsonb, raw bytea)")
    for ends_well in (False, True):
        try:
            with transaction.atomic(using="postgres"):
                joined = foreign(postgres)
                assert isinstance(joined, ForeignConnection) and isinstance(joined, LentConnection)
                assert (joined.driver, joined.awaits) == ("psycopg", False)
                assert (
                    joined.run("insert into kept values (%(n)s, %(d)s::text::jsonb, %(r)s)", {"n": "mug", "d": '["a%"]', "r": b"\0"}) == []
                )
                joined.after_commit(bell)
                if not ends_well:
                    raise KeyError
        except KeyError:
            assert bell.rang == 0
    assert bell.rang == 1
    with transaction.atomic(using="postgres"):
        assert foreign(postgres).run("select name, raw, count(*) over () from kept", ()) == [("mug", b"\0", 1)]
        answer = foreign(postgres).named("update kept set name = %(n)s returning name, data ->> 0 as first", {"n": "cup"})
        assert (answer.rows, answer.changed) == ([{"name": "cup", "first": "a%"}], 1)


def test_a_statement_that_fails_is_the_drivers_error(postgres: Any) -> None:
    with pytest.raises(postgres.Database.errors.DivisionByZero), transaction.atomic(using="postgres"):
        foreign(postgres).run("select 1 / %(n)s::integer", {"n": 0})
    with transaction.atomic(using="postgres"):
        postgres.set_rollback(True)
        with pytest.raises(TransactionClosed, match="Django's database 'postgres' is broken"):
            foreign(postgres)
