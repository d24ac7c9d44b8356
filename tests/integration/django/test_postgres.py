"""The same on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connections, transaction

from penstock import App, Task, connect
from penstock.errors import ConfigurationError, NotFound, TransactionClosed
from penstock.integrations.django import foreign, store_url, tables
from penstock.integrations.django.apps import installed
from penstock.integrations.django.databases import holding
from penstock.ports.transaction import ForeignConnection, LentConnection
from penstock.stores.postgres.migrate import NEEDED
from tests.integration.cli.console import PATIENCE
from tests.integration.postgres.wire import Wire

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


# -- a connection by itself


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


# -- with an app


@pytest.fixture
async def shop(postgres: None) -> AsyncIterator[App]:
    """Its tables are made as `manage.py migrate` makes them."""
    await asyncio.to_thread(tables.migrate, "postgres")
    app = App(store_url("postgres"), name="shop")
    yield app
    await app.close()


def task_of(app: App) -> Task[[str], str]:
    @app.task()
    async def pay(sku: str) -> str:
        return f"{sku} is paid"

    return pay


def ordered(pay: Task[[str], str]) -> list[str]:
    """In blocks that commit and blocks that roll back. The jobs' ids."""
    connection = connections["postgres"]
    undone: list[str] = []
    try:
        with transaction.atomic(using="postgres"):
            kept = pay.using(tx=connection).sync.enqueue("mug")
            try:
                with transaction.atomic(using="postgres"):
                    undone.append(pay.using(tx=connection).sync.enqueue("cup").id)
                    raise KeyError
            except KeyError:
                last = pay.using(tx=connection).sync.enqueue("pot")
        with pytest.raises(KeyError), transaction.atomic(using="postgres"):
            undone.append(pay.using(tx=connection).sync.enqueue("jug").id)
            raise KeyError
        with pytest.raises(ConfigurationError, match="no transaction is open on Django's database 'postgres'"):
            pay.using(tx=connection).sync.enqueue("jug")
        return [kept.id, last.id, *undone]
    finally:
        connection.close()


async def test_jobs_commit_and_roll_back_with_the_block(shop: App) -> None:
    pay = task_of(shop)
    async with shop.worker():
        kept, last, inner, lost = await asyncio.to_thread(ordered, pay)
        assert await shop.job(kept).result(timeout=PATIENCE) == "mug is paid"
        assert await shop.job(last).result(timeout=PATIENCE) == "pot is paid"
        for gone in (inner, lost):
            with pytest.raises(NotFound):
                await shop.job(gone).status()


async def test_a_database_on_another_server_is_refused(shop: App, database: Any) -> None:
    pay = task_of(shop)

    def order(alias: str) -> None:
        try:
            with transaction.atomic(using=alias):
                pay.using(tx=connections[alias]).sync.enqueue("mug")
        finally:
            connections.close_all()

    with pytest.raises(ConfigurationError, match=r"this connection speaks sqlite3.*one transaction cannot span two databases"):
        await asyncio.to_thread(order, "default")
    with pytest.raises(ConfigurationError, match=r"has no tables of|open on another store"):
        await asyncio.to_thread(order, "server")


def test_migrate_makes_the_schema_that_the_app_names(postgres: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Django's database as it is now: a test runner gives it another name."""
    url = f"{store_url('postgres')}?schema=jobs"
    config = installed()
    monkeypatch.setattr(config, "application", App(url, name="shop"))
    monkeypatch.setattr(config, "database", holding(url))
    assert config.database == "postgres"
    config.migrate("postgres", plan=[])
    assert (connect.administration(url).schema().found, connect.administration(store_url("postgres")).schema().found) == (NEEDED, 0)


def blocks(pay: Task[[str], str], wire: Wire) -> list[int]:
    """The round trips of blocks with a job and without, in turn; on one connection."""
    connection = connections["counted"]
    trips = []
    try:
        for n in range(8):
            start = wire.trips
            with transaction.atomic(using="counted"):
                connection.cursor().execute("select 1")
                if n % 2 == 0:
                    pay.using(tx=connection).sync.enqueue("mug")
            trips.append(wire.trips - start)
        return trips
    finally:
        connection.close()


async def test_a_job_costs_one_round_trip(shop: App, postgres_url: str) -> None:
    """On a connection that Penstock knows."""
    pay = task_of(shop)
    await pay.enqueue("mug")
    async with Wire.to(postgres_url) as wire:
        connections.settings["counted"] = {**connections.settings["postgres"], "PORT": str(urlsplit(wire.url).port)}
        try:
            trips = await asyncio.to_thread(blocks, pay, wire)
        finally:
            del connections.settings["counted"]
    assert [with_a_job - without for with_a_job, without in zip(trips[2::2], trips[3::2], strict=True)] == [1, 1, 1]
