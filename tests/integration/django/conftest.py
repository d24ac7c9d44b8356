"""One Django for all of these tests. Each test, or class of tests, has a database file of its own, and the app's kit on it."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import django
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections

from penstock import testing
from penstock.integrations.django import sqlite_options
from penstock.testing.kit import Kit
from penstock.testing.storage import fast_folder

PROJECT = "tests.integration.django.shop"

_stack = ExitStack()
atexit.register(_stack.close)
FOLDER = _stack.enter_context(fast_folder())

settings.configure(
    INSTALLED_APPS=[PROJECT, "penstock.integrations.django"],
    PENSTOCK_APP=f"{PROJECT}.tasks:app",
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "made.db", "OPTIONS": sqlite_options()},
        "plain": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "made.db"},
        "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "other.db", "OPTIONS": sqlite_options()},
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    TASKS={
        "default": {"BACKEND": "penstock.integrations.django.tasks.PenstockBackend", "QUEUES": ["default", "mail"]},
    },
)
django.setup()

if django.VERSION < (6, 0):
    collect_ignore = ["test_tasks.py"]  # there is no django.tasks


def made() -> Path:
    """A file in which `manage.py migrate` has made all tables."""
    path = FOLDER / "made.db"
    if not path.exists():
        call_command("migrate", run_syncdb=True, verbosity=0)
        connections.close_all()
    return path


@contextmanager
def fresh_database() -> Iterator[Path]:
    original = made()
    with fast_folder() as folder:
        path = folder / "shop.db"
        shutil.copy(original, path)
        for alias in ("default", "plain"):
            connections.settings[alias]["NAME"] = path
        connections.settings["other"]["NAME"] = folder / "other.db"
        yield path
        connections.close_all()


@pytest.fixture
def database() -> Iterator[Path]:
    with fresh_database() as path:
        yield path


@pytest.fixture
def kit(database: Path) -> Iterator[Kit]:
    from tests.integration.django.shop.tasks import app, worked  # noqa: PLC0415

    worked.clear()
    with testing.run(app, path=database) as kit:
        kit.sync.drain()  # opens the store and declares the topics, while no test has a transaction open
        yield kit
