"""Both dialects say the same of the same store, and change the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from penstock.model.statement import Program, Rows, Statement
from penstock.stores.sql.executors import drive
from penstock.stores.sql.library import Library
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite import migrate
from penstock.testing.storage import fast_folder
from tests.integration.postgres.client import Client, Connect
from tests.integration.postgres.stage import one

SCENE = Path(__file__).with_name("scene.sql").read_text("utf-8")
LIBRARY = Library.load("penstock.stores.sqlite")
LAST = chr(0x10FFFF)
EVERY = {"queue": None, "task": None, "key": None, "contains": None}
PAGE = {**EVERY, "seqs": str([*range(1, 14)]), "known": None, "routable": False, "outcome": None, "failed": None, "limit": 99}
LOOKS: Sequence[tuple[str, dict[str, Any]]] = [
    *[("job", {"id": id}) for id in ("ready", "later", "retry", "running", "done", "dead", "nobody")],
    ("jobs", PAGE),
    ("jobs", {**PAGE, "limit": 2, "queue": "mail"}),
    ("jobs", {**PAGE, "key": "k", "failed": True}),
    ("jobs", {**PAGE, "failed": False, "task": "send"}),
    ("jobs", {**PAGE, "contains": "parc"}),
    ("jobs", {**PAGE, "outcome": "done"}),
    ("jobs", {**PAGE, "known": '["send"]', "routable": True}),
    ("jobs", {**PAGE, "known": '["send"]', "routable": False}),
    *[("seqs_waiting", {"first": first, "last": last, "before": 9, "limit": 9}) for first, last in (("", LAST), ("mail", "mail"))],
    *[("seqs_later", {"first": first, "last": last, "before": 99, "limit": 9}) for first, last in (("", LAST), ("lost", "lost"))],
    *[(name, {"before": 11, "limit": 2}) for name in ("newest_messages", "newest_finished", "newest_dead", "seqs_running")],
    ("seqs_letters", {**EVERY, "ids": None, "limit": 9}),
    ("seqs_letters", {**EVERY, "ids": '["dead", "ready"]', "limit": 9}),
    ("seqs_letters", {"queue": "mail", "task": "post", "key": "k", "contains": "ett", "ids": None, "limit": 9}),
    ("seqs_letters", {**EVERY, "contains": "nothing", "ids": None, "limit": 9}),
    ("letters", {"seqs": "[10, 11, 1]"}),
    ("attempts", {"seq": 10}),
    ("queues", {}),
    ("workers", {}),
    ("next_moment", {"after": 60}),
    ("next_moment", {"after": 99}),
    *[("queues_set_aside", {"incarnation": worker}) for worker in (1, 2, 3)],
    ("queues_unserved", {}),
    ("glance_ready", {"queue": "mail", "first": 3, "second": 2, "limit": 9}),
    ("glance_later", {"queue": "mail", "first": -1, "second": -1, "limit": 9}),
    ("find_message", {"id": "retry"}),
    *[("is_over", {"seq": seq}) for seq in (1, 9, 10)],
    *[("holder", {"seq": seq}) for seq in (1, 8)],
    ("find_letters", {"ids": '["dead2", "ready", "dead"]'}),
    ("find_later", {"ids": '["later", "ready"]'}),
    ("old_finished", {"after": 0, "limit": 9}),
    ("kept", {}),
    ("facts_of", {"seqs": "[4, 2]"}),
    ("others", {"incarnation": 1}),
    ("worker_tasks", {}),
    *[("wanted_by_others", {"asked": f'[[1, "{sub}", {kind}]]', "owner": owner, "since": since})
      for sub in ("news", "gone", "all", "sub") for kind in ('"Paid"', '"Sent"', "null") for owner in (2, 3) for since in (5, 15)],
    ("queue_rules", {}),
    *[("limit_state", {"queue": queue}) for queue in ("mail", "none")],
    ("max_waiting", {}),
    ("depth", {"queue": "mail"}),
    *[("who_holds", {"name": f"send/{name}", "now": 5}) for name in "abcd"],
    *[("anybody_waits", {"seqs": seqs}) for seqs in ("[1, 2, 3, 4, 5, 6, 7, 8]", "[99]")],
    ("hooked", {"tasks": '["send", "none"]'}),
    ("cancel_requests", {"owner": 1}),
    ("definitions_of", {"app": "app"}),
    ("changed_schedules", {}),
    *[("next_slot", {"without": without}) for without in ("[]", '[["app", "b", "d3"]]', '[["app", "b", "other"]]')],
    *[("due_schedules", {"now": 40, "limit": 9, "without": without}) for without in ("[]", '[["app", "b", "d3"]]')],
    ("crew", {}),
    ("any_schedule", {}),
    ("schedules", {}),
    ("schedule", {"app": "app", "name": "a"}),
]  # fmt: skip
"""What is looked at."""
ORDERED = {"jobs", "expired", "letters", "attempts", "queues", "workers", "newest_messages", "glance_ready", "glance_later", "find_letters"}
"""These say in which order."""
CHANGES: Sequence[tuple[str, str, dict[str, Any]]] = [
    ("hook", "drop_hooks", {}),
    ("hook", "enrol_hooks", {"hooks": '["count", "new"]'}),
    ("worker", "beat", {"incarnation": 1}),
    ("worker", "declare_dead", {"incarnation": 1, "beat": 4}),
    ("worker", "declare_dead", {"incarnation": 1, "beat": 5}),
    ("worker", "leave", {"incarnation": 2}),
    ("leased", "release", {"owner": 1, "seqs": "[8, 1]", "claimed": 9}),
    ("leased", "release_all", {"owner": 9}),
    ("wish", "end_orphaned_wishes", {"now": 20}),
    ("wish", "forget_wishes", {"before": 11}),
    ("wish", "end_wishes", {"incarnation": 2, "now": 20}),
    ("lease", "lead", {"role": "r", "owner": 1, "now": 1, "until": 5}),
    ("progress", "forget_progress", {"seqs": "[8]"}),
    ("watch", "watch", {"id": "ready", "bell": "ear"}),
    ("watch", "watch", {"id": "dead", "bell": "ear"}),
    ("dead", "unbury", {"seqs": "[10, 1]"}),
    ("later", "leave_later", {"seqs": "[3, 1]"}),
    ("aside", "put_aside", {"seqs": "[6, 1]"}),
    ("message", "forget_expiry", {"seqs": "[2]"}),
    ("message", "count_deaths", {"seqs": "[2, 3]"}),
    ("busy", "seize_key", {"queue": "mail", "key": "k", "seq": 4}),
    ("unique", "free_unique", {"names": '["send/a", "send/b"]', "jobs": '["ready", "done"]', "now": 5}),
    ("unique", "loosen_unique", {"names": '["send/a", "send/b"]', "jobs": '["ready"]'}),
    ("unique", "keep_unique", {"names": '["send/b", "send/c"]', "jobs": '["done"]'}),
    ("unique", "forget_unique", {"now": 5, "limit": 9}),
    ("declaration", "drop_declarations", {}),
    ("definition", "forget_definitions", {"app": "app", "oldest": 3}),
    ("schedule", "end_schedules", {}),
    ("schedule", "move_schedule", {"app": "app", "name": "b", "digest": "d3", "seen": 20, "next": 21, "slot": 20, "fired": None,
        "job": "j", "scope": "schedule:b@app"}),
    ("schedule", "move_schedule", {"app": "app", "name": "a", "digest": "d1", "seen": 30, "next": 31, "slot": 30, "fired": 1,
        "job": "j", "scope": "schedule:a@app"}),
    ("setting", "unpause_schedule", {"scope": "schedule:a@app"}),
    ("limit", "drop_limits", {"app": "app"}),
]  # fmt: skip
"""And the table that is changed."""
BROUGHT: Sequence[tuple[str, str, int, Sequence[object]]] = [
    ("unique", "take_unique", 5, ["send/a", "new", 5, 5, True, "send/c", "new", 5, 9, True, "send/d", "new", 5, 5, True]),
    ("message", "postpone", 3, [3, 99, 7]),
    ("message", "count_failure", 2, [3, 7, 4, 8]),
    ("attempt", "renumber_attempts", 2, [10, 99]),
    ("limit", "set_limits", 4, ["mail", "rate", '"1/s"', "app", "mail", "concurrency", "5", "new"]),
    ("progress", "tell_progress", 5, [1, 8, 0.75, "more", 17, 2, 1, 0.5, "not mine", 17]),
    ("schedule", "set_schedules", 7, ["app", "a", "d2", b"two", 1, 31, True, "app", "c", "d4", b"four", 1, None, False]),
]

Answer: TypeAlias = list[tuple[object, ...]]


class Twin:
    """SQLite's store."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def ask(self, statement: Statement) -> Rows:
        def program() -> Program[Rows]:
            return (yield statement)

        return drive(program(), LIBRARY, connections.runner(self._connection))

    def table(self, name: str, columns: str) -> Answer:
        return answer(self._connection.execute(f"select {columns} from penstock_{name}").fetchall())


@pytest.fixture
def twin() -> Iterator[Twin]:
    with fast_folder() as folder:
        connection = connections.connect(str(folder / "store.db"))
        migrate.migrate(connection)
        connection.executescript(SCENE.replace("penstock.", "penstock_"))
        yield Twin(connection)
        connection.close()


@pytest.fixture
async def client(connect: Connect) -> Client:
    client = await connect()
    await client.execute(SCENE)
    return client


def answer(rows: Rows, *, ordered: bool = False) -> Answer:
    found = [tuple(plain(value) for value in row) for row in rows]
    return found if ordered else sorted(found, key=repr)


def plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode()
    return int(value) if isinstance(value, bool) else value


@pytest.mark.parametrize("how", ["ordered", "any order"])
async def test_the_same_answers(client: Client, twin: Twin, how: str) -> None:
    ordered = how == "ordered"
    answered = 0
    for name, params in [look for look in LOOKS if (look[0] in ORDERED) == ordered]:
        theirs = answer(await client.run(one(name, **params)), ordered=ordered)
        assert (name, params, theirs) == (name, params, answer(twin.ask(Statement(name, params)), ordered=ordered))
        answered += bool(theirs)
    assert answered > 10


async def test_the_same_changes(client: Client, twin: Twin) -> None:
    for table, name, params in CHANGES:
        theirs, ours = await client.run(one(name, **params)), twin.ask(Statement(name, params))
        assert (name, answer(theirs)) == (name, answer(ours))
        await assert_alike(client, twin, name, table)


async def test_the_same_rows_are_brought(client: Client, twin: Twin) -> None:
    for table, name, width, values in BROUGHT:
        theirs = await client.run(one(name, *values, width=width))
        assert (name, answer(theirs)) == (name, answer(twin.ask(Statement(name, values=values, width=width))))
        await assert_alike(client, twin, name, table)


async def assert_alike(client: Client, twin: Twin, name: str, table: str) -> None:
    known = "select column_name from information_schema.columns where table_schema = 'penstock' and table_name = $1"
    columns = ", ".join(sorted({row[0] for row in await client.connection.fetch(known, table)} - {"n", "ref_topic", "came"}))
    theirs = answer(await client.connection.fetch(f"select {columns} from penstock.{table}"))
    assert (name, theirs) == (name, twin.table(table, columns))
