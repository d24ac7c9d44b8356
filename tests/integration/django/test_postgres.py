"""The same on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.db import connections, transaction

from penstock.errors import TransactionClosed
from penstock.integrations.django import foreign, store_url, tables
from penstock.integrations.django.databases import holding
from penstock.ports.transaction import ForeignConnection, LentConnection

DEFAULTS = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {}, "ATOMIC_REQUESTS": False, "AUTOCOMMIT": True, "CONN_MAX_AGE": 0}
DEFAULTS |= {"CONN_HEALTH_CHECKS": False, "TIME_ZONE": None, "TEST": {}}


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[None]:
    """A database of Django's on that server."""
    parts = urlsplit(postgres_url)
    address = {"USER": parts.username or "", "PASSWORD": parts.password or "", "HOST": parts.hostname or "", "PORT": str(parts.port or "")}
    connections.settings["server"] = {**DEFAULTS, **address, "NAME": parts.path[1:]}
    connections.settings["postgres"] = {**DEFAULTS, **address, "NAME": "shop of django"}
    with connections["server"].cursor() as cursor:
        cursor.execute('create database "shop of django"')
    yield
    connections["postgres"].close()
    with connections["server"].cursor() as cursor:
        cursor.execute('drop database "shop of django" with (force)')
    connections["server"].close()
    for alias in ("server", "postgres"):
        del connections[alias]
        del connections.settings[alias]


class Bell:
    rang = 0

    def __call__(self) -> None:
        self.rang += 1


def test_a_connection_is_joined(postgres: None) -> None:
    wrapper, bell = connections["postgres"], Bell()
    with wrapper.cursor() as cursor:
        cursor.execute("create table kept (name text, data jsonb, raw bytea)")
    for ends_well in (False, True):
        try:
            with transaction.atomic(using="postgres"):
                joined = foreign(wrapper)
                assert isinstance(joined, ForeignConnection) and isinstance(joined, LentConnection)
                assert (joined.driver, joined.awaits) == ("psycopg", False)
                values = {"n": "mug", "d": '["a%"]', "r": b"\0"}
                assert joined.run("insert into kept values (%(n)s, %(d)s::text::jsonb, %(r)s)", values) == []
                joined.after_commit(bell)
                if not ends_well:
                    raise KeyError
        except KeyError:
            assert bell.rang == 0
    assert bell.rang == 1
    with transaction.atomic(using="postgres"):
        assert foreign(wrapper).run("select name, raw, count(*) over () from kept where name not like 'a%%'", {}) == [("mug", b"\0", 1)]
        answer = foreign(wrapper).named("update kept set name = %(n)s returning name, data ->> 0 as first", {"n": "cup"})
        assert (answer.rows, answer.changed) == ([{"name": "cup", "first": "a%"}], 1)


def test_a_statement_that_fails_is_the_drivers_error(postgres: None) -> None:
    wrapper = connections["postgres"]
    with pytest.raises(wrapper.Database.errors.DivisionByZero), transaction.atomic(using="postgres"):
        foreign(wrapper).run("select 1 / %(n)s::integer", {"n": 0})
    with transaction.atomic(using="postgres"):
        wrapper.set_rollback(True)
        with pytest.raises(TransactionClosed, match="Django's database 'postgres' is broken"):
            foreign(wrapper)


def test_migrate_makes_the_stores_tables(postgres: None) -> None:
    tables.migrate("postgres")
    with connections["postgres"].cursor() as cursor:
        cursor.execute("select count(*) from information_schema.tables where table_schema = 'penstock' and table_name = 'message'")
        assert cursor.fetchone() == (1,)
    assert holding(store_url("postgres")) == "postgres" and holding(store_url("server")) == "server"
