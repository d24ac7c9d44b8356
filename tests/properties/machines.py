"""How long the machines of these tests run, and how thoroughly."""

from __future__ import annotations

from contextlib import ExitStack
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings

from penstock.testing.conformance.backend import Backend
from penstock.testing.storage import fast_folder
from tests.conformance.postgres_backend import PostgresBackend
from tests.conformance.sqlite_backend import SqliteBackend

PATIENT = pytest.mark.timeout(600)
"""It takes seconds; but what fails is made small before it is shown."""


class OnSqlite:
    stack: ExitStack

    def make_backend(self) -> Backend:
        return SqliteBackend(self.stack.enter_context(fast_folder()))


class OnPostgres:
    server: ClassVar[str]
    stack: ExitStack

    def make_backend(self) -> Backend:
        backend = PostgresBackend(self.server)
        self.stack.callback(backend.drop)
        return backend


def thorough(max_examples: int) -> settings:
    """The same examples each time."""
    return settings(
        max_examples=max_examples,
        stateful_step_count=40,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
