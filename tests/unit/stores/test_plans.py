"""How SQLite runs our statements: by an index, whatever the tables hold."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.stores.sql.library import Library
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite import migrate

LIBRARY = Library.load("penstock.stores.sqlite")
ROWS = re.compile(r"\(([a-z_, ]+)\)(?: as \()?\s*values :rows")
BROUGHT = re.compile(r"^with (?:recursive )?(\w+)")
"""Rows that the statement itself makes, or brings."""
ALIAS = re.compile(r"\bpenstock_(\w+)(?: (\w)\b)?")
SMALL = {"meta", "clock", "counter", "worker", "setting", "suspect", "topic", "subscription", "sqlite_sequence", "limit", "bucket", "wish"}
"""A row a queue, a worker, a topic, a limit, a setting, a suspect, or what a worker wants: scanning them is as good as searching."""
SCANS = {
    "register_subscription": {"u"},  # the types of two releases: a handful
    "forget_watches": {"watch"},  # as many as somebody waits for
    "free_all_keys": {"busy"},  # a rescue, now and then
    "any_schedule": {"schedule"},  # one row
    "changed_schedules": {"definition"},  # these four: when workers come or go
    "drop_declarations": {"declaration"},
    "end_schedules": {"schedule"},
    "lapse_schedules": {"schedule"},
    "schedules": {"schedule"},  # an operator looks
    "seqs_letters": {"dead"},  # an operator looks: dead letters are few, and any of their fields may be asked for
    "touch": {"message", "ready", "later", "aside", "busy", "leased", "finished", "dead", "attempt"},  # one row each
}
SORTS = {
    "find_letters",  # as many as were asked for
    "letters",
    "register_subscription",  # the types of two releases
    "run_of_key",  # two times 32
    "scan_suspect",
    "seqs_letters",
    "seqs_waiting",  # as many as a look goes through
    "workers",
}
PLANS = {
    "scan_ready": [
        "SEARCH r USING PRIMARY KEY (queue=?)",
        "SEARCH m USING INTEGER PRIMARY KEY (rowid=?)",
        "SEARCH e USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
    ],
    "feed": [
        "SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        "LIST SUBQUERY 2",
        "SCAN json_each VIRTUAL TABLE INDEX 1:",
        "CORRELATED SCALAR SUBQUERY 1",
        "SEARCH m USING COVERING INDEX penstock_message_id (id=?)",
    ],
    "events": ["SEARCH penstock_event USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"],
    "event_at": ["SEARCH penstock_event USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"],
    "leave_ready": ["SEARCH penstock_ready USING PRIMARY KEY (queue=? AND (rank,seq)<(?,?))"],
    "due_now": ["SEARCH penstock_later USING PRIMARY KEY (queue=? AND due<?)"],
    "drop_later": ["SEARCH penstock_later USING PRIMARY KEY (queue=? AND (due,seq)<(?,?))"],
    "next_due": ["SEARCH penstock_later USING PRIMARY KEY (queue=? AND due<?)"],
    "any_ready": ["SEARCH penstock_ready USING PRIMARY KEY (queue=?)"],
    "busy_key": ["SEARCH penstock_busy USING PRIMARY KEY (queue=? AND key=?)"],
    "glance": [
        "SEARCH w USING INTEGER PRIMARY KEY (rowid=?)",
        "SCAN q VIRTUAL TABLE INDEX 1: LEFT-JOIN",
        "CORRELATED SCALAR SUBQUERY 1",
        "SEARCH penstock_later USING PRIMARY KEY (queue=? AND due<?)",
        "CORRELATED SCALAR SUBQUERY 2",
        "SEARCH penstock_aside USING COVERING INDEX penstock_aside_stray (queue=? AND stray>?)",
        "CORRELATED SCALAR SUBQUERY 3",
        "SEARCH penstock_ready USING PRIMARY KEY (queue=?)",
        "SCALAR SUBQUERY 4",
        "SCAN penstock_suspect",
        "SCALAR SUBQUERY 5",
        "SCAN penstock_limit",
        "SCALAR SUBQUERY 6",
        "SCAN penstock_setting",
    ],
    "put_ready": ["SEARCH penstock_message USING INTEGER PRIMARY KEY (rowid>?)"],
    "put_later": ["SEARCH penstock_message USING INTEGER PRIMARY KEY (rowid>?)"],
    "expired": [
        "SEARCH m USING INDEX penstock_message_expires (expires<?)",
        "CORRELATED SCALAR SUBQUERY 1",
        "SCAN w",
        "SEARCH l USING PRIMARY KEY (owner=? AND seq=?)",
    ],
    "attempts": ["SEARCH penstock_attempt USING INDEX penstock_attempt_seq (seq=?)"],
    "old_finished": ["SEARCH f USING INTEGER PRIMARY KEY (rowid>?)", "SEARCH m USING INTEGER PRIMARY KEY (rowid=?)"],
}
PARTS = {
    "next_slot": "SEARCH penstock_schedule USING INDEX penstock_schedule_next (next>?)",
    "due_schedules": "SEARCH s USING INDEX penstock_schedule_next (next<?)",
    "move_schedule": "SEARCH penstock_schedule USING PRIMARY KEY (app=? AND name=?)",
    "expired": "SEARCH m USING INDEX penstock_message_expires (expires<?)",
    "release": "SEARCH penstock_leased USING PRIMARY KEY (owner=? AND seq=?)",
    "known_ids": "SEARCH penstock_message USING COVERING INDEX penstock_message_id (id=?)",
    "run_of_key": "SEARCH penstock_aside USING COVERING INDEX penstock_aside_key (queue=? AND key=?)",
    "wake_heads": "SEARCH penstock_aside USING COVERING INDEX penstock_aside_key (queue=? AND key=?)",
    "postpone": "SEARCH penstock_message USING INTEGER PRIMARY KEY (rowid=?)",
    "count_failure": "SEARCH penstock_message USING INTEGER PRIMARY KEY (rowid=?)",
    "hold_key": "SEARCH penstock_busy USING PRIMARY KEY (queue=? AND key=?)",
    "renumber_attempts": "SEARCH penstock_attempt USING",
    "free_keys": "SEARCH penstock_busy USING INDEX penstock_busy_last (last=?)",
    "known_strays": "SEARCH penstock_aside USING COVERING INDEX penstock_aside_stray (queue=? AND stray=?)",
    "strays": "SEARCH penstock_aside USING COVERING INDEX penstock_aside_stray",
    "leave_ready_some": "SEARCH penstock_ready USING PRIMARY KEY (queue=? AND rank=? AND seq=?)",
    "holder": "SEARCH l USING PRIMARY KEY (owner=? AND seq=?)",
    "job": "SEARCH h USING PRIMARY KEY (owner=? AND seq=?)",
    "jobs": "SEARCH m USING INTEGER PRIMARY KEY (rowid=?)",
    "newest_messages": "SEARCH penstock_message USING INTEGER PRIMARY KEY (rowid<?)",
    "newest_finished": "SEARCH penstock_finished USING INTEGER PRIMARY KEY (rowid<?)",
    "newest_dead": "SEARCH penstock_dead USING INTEGER PRIMARY KEY (rowid<?)",
    "seqs_waiting": "SEARCH r USING PRIMARY KEY (queue=? AND rank=? AND seq=?)",
    "seqs_later": "SEARCH penstock_later USING PRIMARY KEY (queue>? AND queue<?)",
    "queues_set_aside": "SEARCH a USING COVERING INDEX penstock_aside_stray (queue=? AND stray=?)",
    "glance_ready": "SEARCH r USING PRIMARY KEY (queue=? AND (rank,seq)>(?,?))",
    "glance_later": "SEARCH l USING PRIMARY KEY (queue=? AND (due,seq)>(?,?))",
    "versions": "SEARCH e USING COVERING INDEX penstock_event_version (topic=? AND key=? AND version>?)",
    "events_of_key": "SEARCH e USING INDEX penstock_event_version (topic=? AND key=? AND version>? AND version<?)",
    "events_of_key_backward": "SEARCH e USING INDEX penstock_event_version (topic=? AND key=? AND version>? AND version<?)",
    "known_events": "SEARCH e USING INDEX penstock_event_id (id=? AND topic=?)",
    "embody_fed": "SEARCH penstock_message USING INDEX penstock_message_id (id=?)",
    "heard": "SEARCH penstock_watch USING PRIMARY KEY (seq=?)",
    "free_unique": "SEARCH penstock_unique USING PRIMARY KEY (name=?)",
    "forget_unique": "SEARCH penstock_unique USING PRIMARY KEY (name=?)",
    "tell_progress": "SEARCH l USING PRIMARY KEY (owner=? AND seq=?)",
    "seqs_running": "SEARCH l USING PRIMARY KEY (owner=? AND seq<?)",
}


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    connection = connections.connect(str(path))
    migrate.migrate(connection)
    yield connection
    connection.close()


def plan(connection: sqlite3.Connection, name: str) -> list[str]:
    text = LIBRARY[name]
    params: Any = dict.fromkeys(re.findall(r":([a-z_]+)", text))
    if columns := ROWS.search(text):
        width = columns[1].count(",") + 1
        text, params = LIBRARY.filled(name, 4, width), [None] * 4 * width
    return [row[3] for row in connection.execute(f"explain query plan {text}", params).fetchall()]


def planned() -> list[str]:
    """Those that have a plan: no pragma."""
    return [name for name in LIBRARY.names() if LIBRARY[name].split()[0] != "pragma"]


def scanned(name: str, steps: list[str]) -> set[str]:
    """The tables that a plan goes through from end to end."""
    tables = {alias: table for table, alias in ALIAS.findall(LIBRARY[name]) if alias}
    found = {match[1] for step in steps if (match := re.match(r"SCAN (\w+)(?! VIRTUAL)", step)) and "VIRTUAL TABLE" not in step}
    names = {tables.get(each, each).removeprefix("penstock_") for each in found}
    return {each for each in names if not each.isdecimal()} - SMALL - {"CONSTANT", "l", "w"} - set(BROUGHT.findall(LIBRARY[name]))


@pytest.mark.parametrize("name", planned())
def test_no_large_table_is_scanned(connection: sqlite3.Connection, name: str) -> None:
    assert scanned(name, plan(connection, name)) == SCANS.get(name, set())


@pytest.mark.parametrize("name", planned())
def test_nothing_large_is_sorted(connection: sqlite3.Connection, name: str) -> None:
    sorts = any("TEMP B-TREE" in step for step in plan(connection, name))
    assert sorts == (name in SORTS)


@pytest.mark.parametrize("name", PLANS)
def test_the_plan_of_a_hot_statement(connection: sqlite3.Connection, name: str) -> None:
    assert plan(connection, name) == PLANS[name]


@pytest.mark.parametrize("name", PARTS)
def test_the_index_of_a_hot_statement(connection: sqlite3.Connection, name: str) -> None:
    assert any(step.startswith(PARTS[name]) for step in plan(connection, name))


def test_a_scan_is_found(connection: sqlite3.Connection) -> None:
    """This test's own eyes."""
    steps = [row[3] for row in connection.execute("explain query plan select * from penstock_message where body = ''")]
    assert scanned("job", steps) == {"message"}
    steps = [row[3] for row in connection.execute("explain query plan select 1 from penstock_leased h where claimed = 1")]
    assert scanned("job", steps) == {"leased"}
