"""`penstock store`: migrate, status, copy."""

from __future__ import annotations

from collections.abc import Sequence

import click

from penstock import connect
from penstock.cli.copying import copy
from penstock.cli.finding import Place, check_schema, check_there, in_store
from penstock.cli.groups import Commands
from penstock.cli.tables import Column, note, show_json, show_table
from penstock.cli.words import iso, relative, size
from penstock.config import Found
from penstock.model.job import QueueView, WorkerView
from penstock.ports.store import Facts, Schema
from penstock.ports.store import Store as Opened

_COUNTED = ("waiting", "delayed", "running", "dead", "done", "failed_attempts", "cancelled", "expired")


@click.group(cls=Commands)
def store() -> None:
    """Migrate the store; see how it is; move it."""


store.add_command(copy)


@store.command("migrate")
@click.option("--sql", is_flag=True, help="Change nothing: print what would be run, for whoever may, in one transaction.")
@in_store
def migrate(place: Place, sql: bool) -> None:
    """Create the store if there is none, and bring its schema up to date. Again: no effect."""
    found = place.found()
    administration = connect.administration(found.url)
    if sql:
        click.echo(administration.script(), nl=False)
        return
    before = administration.schema().found if administration.exists else 0
    schema = administration.migrate()
    check_schema(schema, found)
    if place.as_json:
        show_json({"store": found.masked, "schema": schema.found, "before": before})
    elif before == schema.found:
        click.echo(f"schema {schema.found}: nothing to do")
    else:
        click.echo(f"schema {schema.found}: " + (f"migrated from {before}" if before else "created"))


@store.command("status")
@in_store
def status(place: Place) -> None:
    """Where it is, which schema, how large, what is in it, who works on it."""
    found = place.found()
    administration = connect.administration(found.url)
    if not administration.exists:
        check_there(found)
    schema, facts = administration.schema(), administration.facts()
    if not place.as_json:
        _show_facts(found, schema, facts)
    check_schema(schema, found)

    async def look(opened: Opened) -> tuple[Sequence[QueueView], Sequence[WorkerView], int]:
        return await opened.inspect.queues(), [worker for worker in await opened.inspect.workers() if not worker.dead], opened.clock.now()

    queues, workers, now = Place(found.url, None, as_json=True).run(look)
    totals = _totals(queues)
    if place.as_json:
        show_json({**_facts(found, schema, facts), "jobs": totals, "workers": [_worker(worker) for worker in workers]})
        return
    click.echo(
        "jobs       "
        + ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in totals.items() if number or name in _COUNTED[:4])
    )
    _show_workers(workers, now)


def _show_facts(found: Found, schema: Schema, facts: Facts) -> None:
    click.echo(f"store      {found.masked} ({found.origin})")
    click.echo(f"place      {facts.place}")
    click.echo(f"schema     {schema.found}" + (" (current)" if schema.found == schema.needed else f", this release needs {schema.needed}"))
    click.echo(f"database   {facts.engine}")
    for warning in facts.warnings:
        click.echo(f"           warning: {warning}")
    click.echo("size       " + ", ".join(f"{what} {size(count)}" for what, count in facts.sizes.items()))


def _facts(found: Found, schema: Schema, facts: Facts) -> dict[str, object]:
    return {
        "store": found.masked,
        "origin": found.origin,
        "place": facts.place,
        "schema": {"found": schema.found, "compatible": schema.compatible, "needed": schema.needed},
        "database": facts.engine,
        "warnings": list(facts.warnings),
        "bytes": facts.sizes,
    }


def _totals(queues: Sequence[QueueView]) -> dict[str, int]:
    rows = [(q.waiting, q.delayed, q.running, q.dead, q.done, q.failed, q.cancelled, q.expired) for q in queues]
    return dict(zip(_COUNTED, (sum(column) for column in zip(*rows, strict=True)), strict=False)) if rows else dict.fromkeys(_COUNTED, 0)


def _show_workers(workers: Sequence[WorkerView], now: int) -> None:
    if not workers:
        note("no worker: start one with `penstock worker module:app`")
        return
    click.echo()
    show_table(
        [
            Column("WORKER", [worker.name for worker in workers], shrinks=True),
            Column("APP", [worker.app for worker in workers]),
            Column("PID", [str(worker.pid) for worker in workers], right=True),
            Column("STARTED", [relative(worker.started, now) for worker in workers], right=True),
            Column("RUNNING", [str(worker.running) for worker in workers], right=True),
            Column("QUEUES", [", ".join(worker.queues) for worker in workers], drop=1),
        ]
    )
    for worker in workers:
        if worker.blocked is not None:
            click.echo(f"\nthe event loop of {worker.name} is blocked by:\n{worker.blocked.rstrip()}")


def _worker(worker: WorkerView) -> dict[str, object]:
    return {
        "incarnation": f"{worker.incarnation:016x}",
        "name": worker.name,
        "app": worker.app,
        "pid": worker.pid,
        "host": worker.host,
        "started": iso(worker.started),
        "running": worker.running,
        "blocked": worker.blocked,
        "queues": list(worker.queues),
        "tasks": list(worker.tasks),
    }
