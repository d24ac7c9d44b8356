"""How the server runs our statements: by an index, whatever the tables hold, and whether or not it knows the parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pytest

from penstock.stores.postgres import migrate
from penstock.stores.postgres.address import parse
from penstock.stores.postgres.pool import Pool
from tests.integration.postgres.client import marked

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
Node: TypeAlias = Mapping[str, Any]

FILES = (
    *(
        "append",
        "claim",
        "done",
        "elsewhere",
        "ends",
        "feed",
        "feeding",
        "floor",
        "inspect",
        "jobs",
        "keys",
        "leases",
        "limits",
        "locks",
        "log",
    ),
    *("look", "moments", "own", "plain", "put", "runs", "schedules", "settle", "store", "trimming", "unique"),
)
CROWD = Path(__file__).with_name("crowd.sql").read_text("utf-8")
SMALL = {"worker", "counter", "delta", "setting", "wish", "limit", "bucket", "lease", "hook", "suspect"}
SMALL |= {"topic", "subscription", "generation", "missed", "meta", "pg_database"}
"""A row a queue, a worker, a topic, a limit, a setting, a suspect, what a worker wants, or what is not folded yet."""
SCANS = {
    "any_schedule": {"schedule"},  # one row
    "forget_watches": {"watch"},  # as many as somebody waits for
    "free_all_keys": {"busy"},  # a rescue, now and then
    "changed_schedules": {"schedule", "definition", "declaration"},  # these five: when workers come or go
    "drop_declarations": {"declaration"},
    "end_schedules": {"schedule", "declaration"},
    "forget_definitions": {"definition", "declaration"},
    "embody_begun": {"leased"},  # these four: what all workers hold, when one of them ends or an operator looks
    "leases_of": {"leased"},
    "release_all": {"leased"},
    "workers": {"leased"},
    "holds_of": {"leased"},  # a limit that others fill, and a suspect
    "lapse_schedules": {"schedule"},
    "schedules": {"schedule"},  # an operator looks
    "seqs_letters": {"dead", "message"},  # an operator looks: any field may be asked for
}
INDEXES = {
    "release": {"message_pkey", "busy_pkey", "leased_pkey"},
    "release_all": {"message_pkey", "busy_pkey"},
    "cancel_requests": {"cancel_pkey"},
    "finish": set[str](),
    "into_later": set[str](),
    "back_to_ready": {"message_pkey"},
    "put_aside": {"message_pkey", "aside_pkey"},
    "postpone": {"message_pkey"},
    "count_failure": {"message_pkey"},
    "hold_key": {"busy_pkey"},
    "free_keys": {"busy_last", "busy_pkey"},
    "wake_heads": {"aside_key", "aside_pkey", "busy_pkey"},
    "leave_aside": {"aside_pkey"},
    "seize_key": {"busy_pkey"},
    "vacate": {"busy_pkey"},
    "take_from_ready": {"ready_pkey"},
    "take_from_later": {"later_pkey"},
    "find_message": {"message_id"},
    "holder": {"leased_pkey"},
    "is_over": {"finished_pkey", "dead_pkey"},
    "expired": {"message_expires", "leased_pkey"},
    "old_finished": {"finished_pkey", "message_pkey"},
    "find_letters": {"message_id", "dead_pkey"},
    "unbury": {"dead_pkey"},
    "renumber_attempts": {"attempt_seq"},
    "heard": {"watch_pkey", "finished_pkey", "dead_pkey"},
    "watch": {"message_id", "leased_pkey", "watch_pkey"},
    "tell_progress": {"leased_pkey", "progress_pkey"},
    "take_unique": {"unique_pkey"},
    "free_unique": {"unique_pkey"},
    "forget_unique": {"unique_over", "unique_pkey"},
    "job": {"message_id", "event_pkey", "finished_pkey", "dead_pkey", "leased_pkey", "cancel_pkey", "later_pkey", "progress_pkey"},
    "jobs": {"message_pkey", "event_pkey", "finished_pkey", "dead_pkey", "leased_pkey", "cancel_pkey", "later_pkey", "progress_pkey"},
    "queues": {"ready_pkey", "message_pkey"},
    "seqs_later": {"later_pkey"},
    "next_moment": {"later_pkey"},
    "next_slot": {"schedule_next"},
    "due_schedules": {"schedule_next"},
    "move_schedule": {"schedule_pkey"},
    "glance_ready": {"ready_pkey", "message_pkey"},
    "queues_set_aside": {"aside_stray", "message_pkey"},
    "publish_events": {"event_id"},
    "append_events": {"stream_pkey"},
    "settle_done": {"leased_pkey", "cancel_pkey", "watch_pkey"},
    "settle_alike": {"leased_pkey", "cancel_pkey", "watch_pkey"},
    "put_and_settle": {"leased_pkey", "cancel_pkey", "watch_pkey"},
    "anybody_waits": {"watch_pkey"},
    "events_upto": {"event_pkey"},
    "newest_events": {"event_pkey"},
    "events_of_key": {"event_version"},
    "events_of_key_backward": {"event_version"},
    "position_at": {"event_pkey"},
    "subscription": {"event_pkey", "ready_pkey"},
    "feed": {"event_pkey", "message_id"},
    "embody": {"message_pkey", "event_pkey"},
    "embody_begun": {"ready_pkey", "later_pkey", "aside_key", "message_pkey", "event_pkey"},
    "drop_ready": {"ready_pkey", "message_pkey", "attempt_seq"},
    "drop_aside": {"aside_key", "busy_pkey", "message_pkey", "attempt_seq"},
    "aged_topics": {"event_pkey"},
    "oldest_events": {"event_pkey"},
    "embody_fed": {"message_ref", "finished_pkey", "event_pkey"},
    "still_referred": {"message_ref", "finished_pkey"},
    "pass_over": {"event_pkey"},
    "forget_events": {"event_pkey"},
    "topics": {"event_pkey"},
    "subscriptions": {"event_pkey"},
}
HOT: tuple[str, ...] = (
    "release",
    "back_to_ready",
    "put_aside",
    "postpone",
    "hold_key",
    "free_keys",
    "wake_heads",
    "heard",
    "job",
    "holder",
    "take_unique",
)
HOT += ("look", "take_new", "take_plain", "meet_ready", "occupy", "runs_of_keys", "lease", "set_aside", "promote", "put_messages")
HOT += ("put_alike", "settle_done", "settle_alike", "put_and_settle")
HOT += ("publish_events", "append_events", "subscription", "feed", "events_upto")
SAMPLES = {
    "seqs": "[10, 20, 30]",
    "ids": '["job-10", "job-20"]',
    "names": '["task/1", "task/2"]',
    "jobs": '["job-1", "job-2"]',
    "tasks": '["t1"]',
    "hooks": '["t1"]',
    "asked": '[[1, "sub", "e"]]',
    "starts": "[[0, 1], [5, 1]]",
    "offsets": "{1,3}",
    "sizes": "{2,1}",
    "snapshot": "100:110:101,105",
    "untouched": '["k10"]',
    "keys": '["k10", "k20"]',
    "without": '[["app", "s1", "d"]]',
    "id": "job-10",
    "queue": "q1",
    "queues": '["q1"]',
    "types": '["e"]',
    "topic": "1",
    "key": "k10",
}
UNASKED = {"task", "contains", "known", "outcome", "failed"}
"""What nobody filters by."""
KINDS = {"text": "a", "boolean": "true", "bigint": "500", "integer": "5", "smallint": "5", "bytea": "", "double precision": "0"}


@pytest.fixture(scope="module")
def crowd(postgres_url: str) -> Iterator[Connection]:
    """A database of its own, filled once."""
    with psycopg.connect(postgres_url, autocommit=True) as first:
        first.execute("create database crowd")
    with psycopg.connect(postgres_url, dbname="crowd", autocommit=True, prepare_threshold=None) as connection:
        run(connection, migrate.missing())
        run(connection, CROWD)
        run(connection, "analyze")
        yield connection


@contextmanager
def empty(crowd: Connection, postgres_url: str, database: str) -> Iterator[Connection]:
    """Another database, in which nothing is."""
    run(crowd, f"create database {database}")
    with psycopg.connect(postgres_url, dbname=database, autocommit=True, prepare_threshold=None) as connection:
        run(connection, migrate.missing())
        yield connection


def run(connection: Connection, sql: str) -> psycopg.Cursor[tuple[Any, ...]]:
    return connection.execute(sql.encode())


def names() -> list[str]:
    folder = files("penstock.stores.postgres").joinpath("sql")
    return [name for file in FILES for name in re.findall(r"^-- name: (\w+)$", folder.joinpath(f"{file}.sql").read_text("utf-8"), re.M)]


def plan(connection: Connection, name: str, mode: str = "force_custom_plan") -> Node:
    """Of a prepared statement, with the parameters known or not."""
    run(connection, f"set plan_cache_mode = {mode}")
    run(connection, "deallocate all")
    return explained(connection, name)


def explained(connection: Connection, name: str) -> Node:
    text, parameters = marked(name)
    if not run(connection, f"select from pg_prepared_statements where name = '{name}'").fetchall():
        run(connection, f"prepare {name} as {text}")
    ((kinds,),) = run(connection, f"select parameter_types::text[] from pg_prepared_statements where name = '{name}'")
    samples = ", ".join(sample(*each) for each in zip(parameters, kinds, strict=True))
    ((found,),) = run(connection, f"explain (format json) execute {name}" + (f"({samples})" if samples else ""))
    return found[0]["Plan"]  # type: ignore[no-any-return]


def sample(parameter: str, kind: str) -> str:
    if parameter in UNASKED:
        return "null"
    if kind.endswith("[]"):
        return f"'{{{KINDS[kind[:-2]] or 'a'}}}'"
    return f"'{SAMPLES.get(parameter, KINDS[kind])}'"


def walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)


def scanned(node: Node) -> set[str]:
    """Large tables that are gone through, whether or not along an index."""
    conditions = {"Index Cond", "Recheck Cond", "TID Cond"}
    found = {
        each["Relation Name"]
        for each in walk(node)
        if "Scan" in each["Node Type"] and "Relation Name" in each and not conditions & each.keys()
    }
    return found - SMALL


def indexes(node: Node) -> set[str]:
    used = {each["Index Name"] for each in walk(node) if "Index Name" in each}
    return used | {name for each in walk(node) for name in each.get("Conflict Arbiter Indexes", ())}


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_no_large_table_is_scanned(crowd: Connection, mode: str) -> None:
    found = {name: scanned(plan(crowd, name, mode)) - SCANS.get(name, set()) for name in names()}
    assert {name: tables for name, tables in found.items() if tables} == {}


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("name", INDEXES)
def test_the_indexes_of_a_hot_statement(crowd: Connection, name: str, mode: str) -> None:
    assert INDEXES[name] <= indexes(plan(crowd, name, mode))


@pytest.mark.parametrize("name", ["subscription", "feed", "oldest_events", "still_referred", "forget_events", "aged_topics"])
def test_a_topic_that_is_new_to_the_statistics_is_read_by_position(crowd: Connection, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SAMPLES, "topic", "999")
    assert "event_id" not in indexes(plan(crowd, name))


def test_a_scan_is_found(crowd: Connection) -> None:
    """This test's own eyes."""
    for sql in ("select from penstock.message where body = ''", "select seq from penstock.leased order by seq"):
        ((found,),) = run(crowd, f"explain (format json) {sql}")
        assert scanned(found[0]["Plan"]) == {sql.split("penstock.")[1].split()[0]}


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_a_lease_is_found_by_its_message(crowd: Connection, postgres_url: str, mode: str) -> None:
    """By its worker alone, all that the worker ever had would be read, until it is vacuumed. The statistics know of nothing yet."""
    with empty(crowd, postgres_url, f"leases_{mode}") as connection:
        run(connection, "alter table penstock.leased set (autovacuum_enabled = false)")
        run(connection, "vacuum analyze penstock.leased")
        run(connection, "insert into penstock.leased select seq, 500, 1 from generate_series(1, 8000) seq")
        run(connection, "delete from penstock.leased where seq > 100")
        for name in ("settle_alike", "settle_done", "put_and_settle", "release"):
            nodes = [each for each in walk(plan(connection, name, mode)) if each.get("Relation Name") == "leased"]
            assert {each.get("Index Name") for each in nodes} == {None, "leased_pkey"}, name  # what deletes, and what finds


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_where_scans_are_allowed_few_leases_are_found_by_their_message(crowd: Connection, postgres_url: str, mode: str) -> None:
    with empty(crowd, postgres_url, f"few_{mode}") as connection:
        run(connection, "vacuum analyze penstock.leased")
        run(connection, "insert into penstock.leased select seq, 500, 1 from generate_series(1, 100) seq")
        assert "leased_pkey" in indexes(plan(connection, "put_and_settle", mode))


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_no_plan_for_empty_tables_scans_a_large_one(crowd: Connection, postgres_url: str, mode: str) -> None:
    """It is kept while they grow, and made again until the server has analyzed them."""
    with empty(crowd, postgres_url, f"empty_{mode}") as connection:
        run(connection, "set enable_seqscan = off; set enable_bitmapscan = off")
        found = {name: scanned(plan(connection, name, mode)) - SCANS.get(name, set()) for name in names()}
    assert {name: tables for name, tables in found.items() if tables} == {}


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("vacuumed", [True, False])
def test_no_plan_for_jobs_without_events_scans_the_events(crowd: Connection, postgres_url: str, mode: str, vacuumed: bool) -> None:
    """Of a store that had only jobs until now: a plan of then reads every event that comes."""
    with empty(crowd, postgres_url, f"jobs_{mode}_{vacuumed}".lower()) as connection:
        run(connection, "set enable_seqscan = off; set enable_bitmapscan = off")
        put = "insert into penstock.message (id, queue, task, rank, enqueued, body) select n::text, 'q', 't', 5, 0, '' "
        run(connection, put + "from generate_series(1, 300) n")
        run(connection, "insert into penstock.ready (queue, rank, seq) select queue, rank, seq from penstock.message")
        if vacuumed:
            run(connection, "vacuum analyze")
        found = {name for name in names() if "event" in scanned(plan(connection, name, mode)) - SCANS.get(name, set())}
    assert found == set()


def test_plans_that_were_made_for_empty_tables_go_with_discard_plans(crowd: Connection, postgres_url: str) -> None:
    """A generic plan is kept while a table grows, until that is analyzed: a minute of full scans, unless the session forgets it."""
    with empty(crowd, postgres_url, "grown") as connection:
        for (table,) in run(connection, "select tablename from pg_tables where schemaname = 'penstock'").fetchall():
            run(connection, f"alter table penstock.{table} set (autovacuum_enabled = false)")
        run(connection, "vacuum analyze")
        plan(connection, "release", "force_generic_plan")
        run(connection, CROWD)
        kept = scanned(explained(connection, "release"))
        run(connection, "discard plans")
        assert kept
        assert {name: found for name in HOT if (found := scanned(explained(connection, name)) - SCANS.get(name, set()))} == {}


@pytest.mark.parametrize("mark", [None, "penstock.message"])
def test_a_function_that_was_planned_for_an_empty_table_reads_no_key_but_its_own(
    crowd: Connection, postgres_url: str, mark: str | None
) -> None:
    """`append_event` in a session of ours, and in a user's, where scans are allowed."""
    append = "select (penstock.append_event(%s, false, false, 't', 1, %s, %s, %s, 'e', null, '')).version"
    with empty(crowd, postgres_url, f"function_{mark is None}".lower()) as connection:
        run(connection, "alter table penstock.stream set (autovacuum_enabled = false)")
        run(connection, "insert into penstock.topic (name, versioned) values ('t', true)")
        run(connection, "vacuum analyze")
        if mark is None:
            run(connection, "set enable_seqscan = off; set plan_cache_mode = force_generic_plan")
        for version in range(10):
            assert connection.execute(append, (mark, "k", version, f"early-{version}")).fetchone() == (version + 1,)
        run(connection, "insert into penstock.stream select 1, 'k' || n, 3 from generate_series(1, 3000) n")
        before = scans_of_stream(connection)
        for n in range(1, 11):
            assert connection.execute(append, (mark, f"k{n}", 3, f"late-{n}")).fetchone() == (4,)
        assert connection.execute(append, (mark, "none", 3, "never")).fetchone() == (None,)
        assert scans_of_stream(connection) == before


def scans_of_stream(connection: Connection) -> int:
    """Of the whole table, by this session so far."""
    run(connection, "select pg_stat_force_next_flush()")
    ((count,),) = run(connection, "select seq_scan from pg_stat_user_tables where relname = 'stream'")
    return int(count)


@pytest.mark.parametrize(("lent", "value"), [(False, "off"), (True, "on")])
async def test_only_our_own_statements_do_without_bitmaps_and_scans(postgres_url: str, lent: bool, value: str) -> None:
    """A bitmap is read to its end, dead rows included, where a limit wants the first one."""
    pool = Pool(parse(postgres_url, "here"), lent=lent)
    async with pool.lend() as connection:
        found = [await connection.fetchval(f"show {name}") for name in ("enable_seqscan", "enable_bitmapscan", "plan_cache_mode")]
    await pool.close()
    assert found == [value, value, "auto" if lent else "force_generic_plan"]
