"""Settings, the Django app, its management command, and Penstock's tables in Django's databases."""

from __future__ import annotations

import copy
import os
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection, connections

from penstock import App
from penstock.app import load_app
from penstock.cli.worker import worker
from penstock.errors import ConfigurationError
from penstock.integrations.django import store_url
from penstock.integrations.django.apps import PenstockConfig, application, find, installed
from penstock.integrations.django.databases import holding
from penstock.integrations.django.management.commands import penstock_worker
from penstock.integrations.django.worker import TARGET
from tests.integration.django.shop.tasks import app
from tests.integration.play import rows

# -- the app


def test_the_app_is_the_one_that_the_settings_name() -> None:
    assert application() is app and load_app(TARGET) is app


@pytest.mark.parametrize("target", ["shop.tasks", 7, "a:b:c"])
def test_what_names_no_app_is_refused(target: object) -> None:
    with pytest.raises(ImproperlyConfigured, match='name the app as "module:variable"'):
        find(target)


def test_what_is_no_app_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"is a Task, not a penstock\.App"):
        find("tests.integration.django.shop.tasks:pay")


def test_without_the_setting_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed(), "application", None)
    with pytest.raises(ImproperlyConfigured, match='settings lack PENSTOCK_APP = "module:variable"'):
        application()
    with pytest.raises(CommandError, match="settings lack PENSTOCK_APP"):
        call_command("penstock_worker")


def test_without_the_app_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(apps.app_configs, PenstockConfig.label)
    with pytest.raises(ImproperlyConfigured, match=r'INSTALLED_APPS lacks "penstock\.integrations\.django"'):
        application()


# -- databases


def test_the_store_is_one_of_djangos_databases(database: Path) -> None:
    assert installed().database == "default"
    assert store_url() == f"sqlite:///{database}" and holding(store_url("other")) == "other"


def test_an_app_goes_where_djangos_database_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in tests. Copies of the URL, also in another process, do so too; a command's `--store` is for good."""
    monkeypatch.setitem(connections.settings["other"], "NAME", Path("/data/shop.db"))
    url = store_url("other")
    moving = [App(each, name="shop") for each in (url, copy.deepcopy(url), pickle.loads(pickle.dumps(url)))]
    told = App(url, name="shop")
    told.place.move("sqlite:////data/told.db")
    assert [each.found.url for each in moving] == ["sqlite:////data/shop.db"] * 3
    monkeypatch.setitem(connections.settings["other"], "NAME", Path("/data/test.db"))
    assert [each.found.url for each in moving] == ["sqlite:////data/test.db"] * 3
    assert told.found.url == "sqlite:////data/told.db"
    assert (store_url("other") + "?schema=jobs", url) == ("sqlite:////data/test.db?schema=jobs", "sqlite:////data/shop.db")


def test_a_relative_url_means_the_same_file(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(database.parent)
    assert holding("sqlite:///shop.db") == "default"
    assert holding("sqlite:///elsewhere.db") is None


def test_a_path_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["other"], "NAME", Path("/data/50% off?.db"))
    assert store_url("other") == "sqlite:////data/50%25%20off%3F.db"
    assert holding("sqlite:////data/50%25 off%3F.db") == "other"


@pytest.mark.parametrize("name", [":memory:", "file:memorydb_default?mode=memory&cache=shared"])
def test_a_database_in_memory_keeps_no_jobs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["other"], "NAME", name)
    with pytest.raises(ConfigurationError, match="a store in memory cannot be shared"):
        store_url("other")
    assert holding("sqlite:///shop.db") != "other"


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"NAME": "shop"}, "postgresql:///shop"),
        ({"NAME": "shop", "USER": "sam", "HOST": "db", "PORT": 5433}, "postgresql://sam@db:5433/shop"),
        ({"NAME": "a/b", "USER": "s@m", "PASSWORD": "p:/w", "HOST": "db"}, "postgresql://s%40m:p%3A%2Fw@db/a%2Fb"),
        ({"NAME": "shop", "HOST": "/run/pg", "PORT": "5433"}, "postgresql:///shop?host=%2Frun%2Fpg&port=5433"),
        (
            {"NAME": "shop", "HOST": "db", "OPTIONS": {"sslmode": "verify-full", "sslrootcert": "/ca.pem", "isolation_level": 2}},
            "postgresql://db/shop?sslmode=verify-full&sslrootcert=%2Fca.pem",
        ),
        (
            {"NAME": "shop", "HOST": "/pg", "OPTIONS": {"sslcert": "/c", "sslkey": "/k", "passfile": "/p"}},
            "postgresql:///shop?host=%2Fpg&sslcert=%2Fc&sslkey=%2Fk&passfile=%2Fp",
        ),
    ],
)
def test_a_postgresql_database_has_its_url(settings: Mapping[str, Any], url: str) -> None:
    with_defaults = {"USER": "", "PASSWORD": "", "HOST": "", "PORT": "", **settings}
    connections["postgres"] = Wrapper("postgresql", with_defaults)
    try:
        assert store_url("postgres") == url
    finally:
        del connections["postgres"]


def test_a_service_of_libpqs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings, "postgres", SERVER)
    connections["postgres"] = Wrapper("postgresql", {**SERVER, "OPTIONS": {"service": "shop"}})
    try:
        with pytest.raises(ConfigurationError, match=r"store_url\('postgres'\): OPTIONS names a service"):
            store_url("postgres")
        assert holding("postgresql://sam@db/shop") is None
    finally:
        del connections["postgres"]


SERVER = {"NAME": "shop", "USER": "sam", "PASSWORD": "pw", "HOST": "db", "PORT": ""}


@pytest.mark.parametrize(
    ("url", "alias"),
    [
        ("postgresql://sam:pw@db/shop?schema=jobs", "postgres"),
        ("postgres://sam@db:5432/shop?schema=jobs&sslmode=require", "postgres"),
        ("postgresql://sam@/shop?host=db&port=5432", "postgres"),
        ("postgresql://sam@db:5433/shop", None),
        ("postgresql://sam@other/shop", None),
        ("postgresql://sam@db/other", None),
        ("postgresql://eve@db/shop", None),
    ],
)
def test_where_a_store_is_tells_whose_it_is(url: str, alias: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings, "postgres", SERVER)
    connections["postgres"] = Wrapper("postgresql", SERVER)
    try:
        assert holding(url) == alias
    finally:
        del connections["postgres"]


class Wrapper:
    """As far as Django would have made it without the database's driver."""

    def __init__(self, vendor: str, settings: Mapping[str, Any]) -> None:
        self.vendor = vendor
        self.settings_dict = settings


def test_another_kind_of_database_is_refused_by_name() -> None:
    connections["oracle"] = Wrapper("oracle", {})
    try:
        with pytest.raises(ConfigurationError, match=r"store_url\('oracle'\): Penstock keeps jobs in SQLite or PostgreSQL, not in oracle"):
            store_url("oracle")
    finally:
        del connections["oracle"]


# -- tables


def tables(path: Path) -> list[str]:
    return [row[0] for row in rows(path, "select name from sqlite_master where name = 'penstock_meta'")]


def test_migrate_makes_the_stores_tables(database: Path) -> None:
    connection.close()
    database.unlink()
    call_command("migrate", run_syncdb=True, verbosity=0)
    assert tables(database) == ["penstock_meta"]


def test_migrating_another_database_makes_none(database: Path) -> None:
    call_command("migrate", database="other", run_syncdb=True, verbosity=0)
    assert tables(database.parent / "other.db") == []


def test_a_flush_leaves_them_as_they_are(database: Path) -> None:
    connection.close()
    database.unlink()
    call_command("migrate", run_syncdb=True, verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("update penstock_meta set value = 'moved' where name = 'store_id'")
    call_command("flush", interactive=False, verbosity=0, inhibit_post_migrate=False)
    assert rows(database, "select value from penstock_meta where name = 'store_id'") == [("moved",)]


def test_tables_that_cannot_be_made_stop_the_migration(database: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute("update penstock_meta set value = '999' where name in ('schema', 'compatible')")
    with pytest.raises(CommandError, match=r"(?s)Penstock's tables could not be made: .*999"):
        call_command("migrate", verbosity=0)


# -- the command


def test_it_knows_the_options_of_penstock_worker() -> None:
    theirs = {name for param in worker.params if isinstance(param, click.Option) and not param.hidden for name in param.opts}
    assert {f"--{name}" for name in penstock_worker.OPTIONS} == theirs


def test_it_becomes_penstock_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[tuple[str, list[str], dict[str, str]]] = []

    def execve(*how: Any) -> None:
        became.append(how)

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(sys, "path", ["/srv/shop", *sys.path])
    monkeypatch.setenv("PYTHONPATH", "/srv/lib")
    call_command("penstock_worker", "--processes", "2", "--shutdown-timeout=5s", "--queues", "mail:5,reports")
    ((program, command, environment),) = became
    assert program == command[0] == sys.executable
    options = ["--processes", "2", "--queues", "mail:5,reports", "--shutdown-timeout", "5s"]
    assert command[1:] == ["-m", "penstock", "worker", TARGET, *options]
    path = environment["PYTHONPATH"].split(os.pathsep)
    assert path[0] == "/srv/shop" and path[-1] == "/srv/lib"
    assert not any(entry.endswith("site-packages") for entry in path)
    assert connection.connection is None
