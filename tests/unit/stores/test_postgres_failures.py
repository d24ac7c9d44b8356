"""What an operator is told when PostgreSQL says no."""

import asyncpg
import psycopg
import pytest

from penstock.errors import SchemaOutdated, StoreCorrupt, StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from penstock.stores.postgres.failures import lost, passes, translate, translated


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (asyncpg.AdminShutdownError("ended"), StoreUnavailable, "when it is"),
        (asyncpg.CannotConnectNowError("starting up"), StoreUnavailable, "when it is"),
        (asyncpg.ConnectionDoesNotExistError("closed in the middle"), StoreUnavailable, "when it is"),
        (ConnectionRefusedError(111, "refused"), StoreUnavailable, "when it is"),
        (asyncpg.TooManyConnectionsError("sorry"), StoreUnavailable, "max_connections"),
        (asyncpg.InvalidPasswordError("no"), StoreUnavailable, "pg_hba.conf"),
        (asyncpg.InvalidCatalogNameError("no"), StoreUnavailable, "create it"),
        (asyncpg.DiskFullError("no space"), StoreFull, "free some space"),
        (asyncpg.ReadOnlySQLTransactionError("no"), StoreReadOnly, "standby"),
        (asyncpg.InsufficientPrivilegeError("no"), StoreReadOnly, "grant"),
        (asyncpg.UndefinedTableError("no"), SchemaOutdated, "penstock store migrate"),
        (asyncpg.InvalidSchemaNameError("no"), SchemaOutdated, "penstock store migrate"),
        (asyncpg.DataCorruptedError("page"), StoreCorrupt, "restore a backup"),
        (asyncpg.DeadlockDetectedError("dead"), StoreUnavailable, "try again"),
        (psycopg.errors.UndefinedColumn("no"), SchemaOutdated, "penstock store migrate"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_each_cause_has_its_error_and_its_advice(error: Exception, kind: type[StoreError], advice: str) -> None:
    told = translate(error, "claim")
    assert type(told) is kind
    assert str(told).startswith("claim: ")
    assert advice in str(told)


def test_an_error_of_the_statement_is_not_the_stores() -> None:
    error = asyncpg.UniqueViolationError("twice")
    assert translate(error, "put") is None
    assert type(translated(error, "put")) is StoreError


def test_what_passes_is_tried_again() -> None:
    assert passes(asyncpg.DeadlockDetectedError("dead"))
    assert passes(asyncpg.SerializationError("later"))
    assert not passes(asyncpg.UniqueViolationError("twice"))


def test_a_lost_connection_is_known_as_one() -> None:
    assert lost(asyncpg.ConnectionDoesNotExistError("closed"))
    assert lost(asyncpg.CrashShutdownError("ended"))
    assert lost(ConnectionResetError(104, "reset"))
    assert not lost(asyncpg.UniqueViolationError("twice"))
