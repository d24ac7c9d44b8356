"""Penstock's tables in a database of Django's."""

from __future__ import annotations

import os
import subprocess
import sys

from django.core.management.base import CommandError
from django.db import connections

from penstock.integrations.django.databases import is_in_memory, store_url_as


def migrate(alias: str, url: str = "") -> None:
    """Make them, or bring them up to date, by the very command that does it elsewhere. A test's database in memory can have none.

    `url`: the store's, that says in which schema."""
    if is_in_memory(alias):
        return
    connections[alias].close()
    environment = {**os.environ, "PENSTOCK_STORE": store_url_as(alias, url)}
    command = [sys.executable, "-m", "penstock", "store", "migrate"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise CommandError(f"Penstock's tables could not be made: {answer.stderr.strip()}")
