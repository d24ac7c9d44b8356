"""PostgreSQL's errors in Penstock's words: what was attempted, what is wrong, what to do.

By SQLSTATE (PostgreSQL documentation, appendix A), which asyncpg and psycopg both give as `sqlstate`: no driver is imported here.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from penstock.errors import SchemaOutdated, StoreCorrupt, StoreError, StoreFull, StoreReadOnly, StoreUnavailable

_AWAY = "the server is not there; work goes on by itself when it is"
_SCHEMA = "the schema is not there or not this release's; run `penstock store migrate`"
_DAMAGED = "the server reports damaged data; stop all workers, and restore a backup"
_CAUSES: tuple[tuple[str, type[StoreError], str], ...] = (
    ("08", StoreUnavailable, _AWAY),
    ("57P", StoreUnavailable, _AWAY),
    ("28", StoreUnavailable, "the server refuses this user; look at the URL and at pg_hba.conf"),
    ("3D", StoreUnavailable, "there is no such database; create it"),
    ("53100", StoreFull, "the server's disk is full; free some space, then it goes on by itself"),
    ("53300", StoreUnavailable, "the server has no connection left; raise max_connections, or use a pooler"),
    ("53", StoreUnavailable, "the server is out of resources"),
    ("25006", StoreReadOnly, "the server is a standby, or read-only"),
    ("42501", StoreReadOnly, "this user may not do that; grant it the tables, or use their owner"),
    ("3F000", SchemaOutdated, _SCHEMA),
    ("42P01", SchemaOutdated, _SCHEMA),
    ("42703", SchemaOutdated, _SCHEMA),
    ("XX001", StoreCorrupt, _DAMAGED),
    ("XX002", StoreCorrupt, _DAMAGED),
)
_KEPT = "55P03"
_AGAIN = frozenset({"40001", "40P01", _KEPT})


@runtime_checkable
class _Told(Protocol):
    sqlstate: str | None


def state_of(error: BaseException) -> str:
    """Its SQLSTATE; empty for what is not of the server: a connection that broke, a misuse of the driver."""
    return (error.sqlstate or "") if isinstance(error, _Told) else ""


def passes(error: BaseException) -> bool:
    """A transaction that runs again may succeed: deadlock, serialization, a lock that was not to be had."""
    return state_of(error) in _AGAIN


def kept_waiting(error: BaseException) -> bool:
    """A lock was not to be had in time."""
    return state_of(error) == _KEPT


def lost(error: BaseException) -> bool:
    """The connection is gone: of a commit that was under way nobody knows what became of it."""
    return isinstance(error, OSError | EOFError) or state_of(error).startswith(("08", "57P"))


def translate(error: BaseException, doing: str) -> StoreError | None:
    """The StoreError for an error of the server or of the way to it; None for an error of the statement."""
    state = state_of(error)
    for prefix, kind, advice in _CAUSES:
        if state.startswith(prefix):
            return kind(f"{doing}: {advice} ({error})")
    if passes(error):
        return StoreUnavailable(f"{doing}: others were in the way; try again ({error})")
    return StoreUnavailable(f"{doing}: {_AWAY} ({error})") if lost(error) else None


def broken(error: BaseException, doing: str, connection: Any) -> StoreError:
    """Of an error on a connection of asyncpg's, which may be why it is closed now."""
    if translate(error, doing) is None and connection.is_closed():
        return StoreUnavailable(f"{doing}: the connection broke ({error})")
    return translated(error, doing)


def translated(error: BaseException, doing: str) -> StoreError:
    return translate(error, doing) or StoreError(f"{doing}: {error}")
