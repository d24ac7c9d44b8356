"""What a store holds, table by table, as a copy takes it.

All of it but three things. `penstock_clock` is one machine's. `penstock_watch` names sockets of processes that wait for an end in the
other store. `penstock_meta` says which store this is; and that is another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from penstock.ports.copying import Census, Column, Kind, Sums, Table


def _table(name: str, label: str, key: str, columns: str, by: str | None = None) -> Table:
    """`columns`: name:kind; a name alone is a text."""
    pairs = (each.partition(":") for each in columns.split())
    return Table(name, label, key.split(), [Column(column, cast(Kind, kind or "text")) for column, _, kind in pairs], by)


TABLES: Sequence[Table] = (
    _table("setting", "settings", "scope name", "scope name value by at:int"),
    _table("limit", "limits", "queue name", "queue name value app"),
    _table("bucket", "rates", "queue", "queue rate level:int at:int"),
    _table("hook", "hooks", "task", "task"),
    _table(
        "schedule",
        "schedules",
        "app name",
        "app name digest definition:bytes anchor:int next:int live:bool lapsed:int slot:int fired:int job",
    ),
    _table("definition", "definitions", "app name digest", "app name digest generation:int definition:bytes"),
    _table("declaration", "declarations", "incarnation app name", "incarnation:int app name digest"),
    _table(
        "worker",
        "workers",
        "incarnation",
        "incarnation:int app name pid:int host started:int beat:int lease:int queues tasks hooks",
    ),
    _table("lease", "roles", "role", "role owner:int epoch:int until:int"),
    _table("wish", "wishes", "incarnation subscription", "subscription incarnation:int types gone:int"),
    _table(
        "topic",
        "topics",
        "number",
        "number:int name versioned:bool retention:int retention_max:int first:int",
    ),
    _table(
        "event",
        "events",
        "topic pos",
        "topic:int pos:int at:int version:int given:bool id type key headers:bytes body:bytes",
        by="topic",
    ),
    _table("stream", "streams", "topic key", "topic:int key version:int", by="topic"),
    _table(
        "subscription",
        "subscriptions",
        "name",
        "name topic:int app types hold:bool cursor:int generation:int since:int",
    ),
    _table("missed", "missed", "n", "n:int subscription first:int last:int events:int at:int"),
    _table("generation", "generations", "subscription", "subscription next:int"),
    _table(
        "message",
        "jobs",
        "seq",
        "seq:int id queue task rank:int key due:int expires:int enqueued:int failures:int deaths:int given:bool "
        "headers:bytes options:bytes body:bytes type ref_topic:int ref:int",
        by="queue",
    ),
    _table("ready", "waiting", "queue rank seq", "queue rank:int seq:int key", by="queue"),
    _table("later", "delayed", "queue due seq", "queue due:int seq:int", by="queue"),
    _table("aside", "set aside", "seq", "seq:int queue key rank:int stray", by="queue"),
    _table("suspect", "suspects", "seq", "seq:int queue rank:int", by="queue"),
    _table("leased", "held by workers", "owner seq", "owner:int seq:int claimed:int"),
    _table("cancel", "to be cancelled", "owner seq", "owner:int seq:int"),
    _table("busy", "keys held", "queue key", "queue key last:int owner:int", by="queue"),
    _table(
        "finished",
        "ended",
        "seq",
        "seq:int queue outcome ended:int attempt:int owner:int result:bytes note",
        by="queue",
    ),
    _table(
        "dead",
        "dead letters",
        "seq",
        "seq:int queue task reason died:int attempts:int error message traceback",
        by="queue",
    ),
    _table("attempt", "attempts", "n", "n:int seq:int number:int what at:int owner error message traceback"),
    _table("unique", "unique names", "name", "name job taken:int ends:int held:bool"),
    _table("progress", "progress", "seq", "seq:int fraction:real note at:int"),
    _table(
        "counter",
        "counters",
        "queue",
        "queue waiting:int delayed:int running:int dead:int done:int failed:int cancelled:int expired:int kept:int",
    ),
)

_PRIME = 1_000_003
"""Sums stay within 64 bits, whatever is summed."""


def sums(columns: Sequence[tuple[str, Kind]]) -> list[str]:
    """Expressions for `Sums.numbers`, of columns as the dialect writes them."""
    whole = [f"coalesce(sum(({text}) % {_PRIME}), 0)" for text, kind in columns if kind == "int"]
    return whole + [f"count(case when {text} then 1 end)" for text, kind in columns if kind == "bool"]


def census(found: Sequence[tuple[Table, Sequence[Sequence[object]]]]) -> Census:
    """From the rows of a count: what it was counted by, how many, and the sums."""
    return {
        (table.name, str(row[0])): Sums(int(cast(int, row[1])), [int(cast(int, each)) for each in row[2:]])
        for table, rows in found
        for row in rows
        if row[1]
    }
