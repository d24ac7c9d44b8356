"""Django's own test runner on PostgreSQL: it puts a test database in the place of the one that the settings name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

SETTINGS = """
import os
from urllib.parse import urlsplit

URL = urlsplit(os.environ["SERVER"])
INSTALLED_APPS = ["shop", "penstock.integrations.django"]
PENSTOCK_APP = "shop.tasks:app"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": "shop", "USER": URL.username, "HOST": URL.hostname, "PORT": URL.port,
        "TEST": {"NAME": "test of shop"},
    }
}
"""
TASKS = """
from penstock import App
from penstock.integrations.django import store_url

app = App(store_url() + "?schema=jobs", name="shop")


@app.task()
def pay(order: int) -> str:
    return f"{order} is paid"
"""
TESTS = """
from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase
from penstock.errors import NotFound

from shop.tasks import app, pay


def kept():
    with connection.cursor() as cursor:
        cursor.execute("select current_database(), count(*) from jobs.message")
        return cursor.fetchone()


class TestInATransaction(TestCase):
    def test_a(self):
        self.check()

    def test_b(self):
        self.check()

    def check(self):
        self.assertEqual(kept()[1], 0)
        with transaction.atomic():
            job = pay.using(tx=connection).sync.enqueue(7)
        try:
            with transaction.atomic():
                pay.using(tx=connection).sync.enqueue(8)
                raise KeyError
        except KeyError:
            pass
        self.assertEqual(kept()[1], 1)
        with self.assertRaises(NotFound):
            app.job(job.id).sync.status()


class TestThatCommits(TransactionTestCase):
    def test_c(self):
        id = pay.sync.enqueue(9).id
        database, count = kept()
        self.assertIn("test of shop", database)
        self.assertEqual((count, app.job(id).sync.status()), (1, "unroutable"))  # no worker is there
"""


@pytest.fixture
def project(postgres_url: str, tmp_path: Path) -> Iterator[Path]:
    """Its database has Penstock's tables, as one that is in use."""
    shop = tmp_path / "shop"
    shop.mkdir()
    for name, text in {"settings.py": SETTINGS, "shop/__init__.py": "", "shop/tasks.py": TASKS, "shop/tests.py": TESTS}.items():
        (tmp_path / name).write_text(text)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("create database shop")
        yield tmp_path
        connection.execute("drop database shop with (force)")


def manage(project: Path, server: str, *words: str) -> str:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(project), "SERVER": server}
    command = [sys.executable, "-m", "django", *words]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.timeout(200)
@pytest.mark.parametrize("words", [(), ("--parallel", "2")])
def test_its_store_is_the_test_database(project: Path, postgres_url: str, words: tuple[str, ...]) -> None:
    """Nothing reaches the one in use, and the test databases can be dropped in the end."""
    manage(project, postgres_url, "migrate")
    assert "Ran 3 tests" in manage(project, postgres_url, "test", *words)
    with psycopg.connect(postgres_url, dbname="shop") as connection:
        assert connection.execute("select count(*) from jobs.message").fetchone() == (0,)
        left = connection.execute("select datname from pg_database where datname like '%%test of shop%%'", {}).fetchall()
        assert left == []
