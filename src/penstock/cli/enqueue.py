"""`penstock enqueue`: from a command line, a file or a pipe into a queue."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click

from penstock.api.job import Job
from penstock.api.plan import BoundCall
from penstock.api.task import Task
from penstock.app import App
from penstock.cli import apps
from penstock.cli.bundle import bundled
from penstock.cli.finding import check_there
from penstock.cli.lengths import as_seconds
from penstock.cli.tables import note
from penstock.errors import PayloadError

_BATCH = 1000


def _options(key: str | None, delay: float | None, id: str | None, priority: int | None) -> dict[str, Any]:
    return {"key": key, "delay": delay, "id": id, "priority": priority}


_using = bundled(
    "using",
    _options,
    click.option("--key", help="Jobs of one key run one at a time, in order."),
    click.option("--delay", callback=as_seconds, metavar="TIME", help="Not before: 90, 10m, 1h30m."),
    click.option("--id", help="A second enqueue of this id is the first one."),
    click.option("--priority", type=click.IntRange(0, 9), help="9 first; 4 unless given."),
)


@click.command()
@click.argument("app", metavar="MODULE:APP")
@click.argument("task")
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE | @FILE | -]...")
@_using
@click.option("--store", metavar="URL", help="Instead of the app's own.")
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object a job on stdout.")
def enqueue(app: str, task: str, arguments: tuple[str, ...], using: dict[str, Any], store: str | None, as_json: bool) -> None:
    """Enqueue TASK of an app and print the job's id.

    A VALUE is JSON, or a string if it is not: user_id=7 address=sam@example.com name='"7"'. @FILE and - (stdin) hold JSON objects
    of arguments, one a line, and make a job each; NAME=VALUE is added to all of them.
    """
    given = apps.load(app)
    if store is not None:
        given.place.move(store)
    chosen = given.find(task).using(**using)
    named, source = _split(arguments)
    if source is not None and using["id"] is not None:
        raise click.UsageError("--id names one job; leave it out with @FILE and -")
    check_there(given.found)
    try:
        for job in _enqueued(given, chosen, named, source):
            click.echo(
                json.dumps({"id": job.id, "task": chosen.name, "queue": chosen.queue, "created": job.created}) if as_json else job.id
            )
            if not job.created and not as_json:
                note("it was there already; nothing new was stored")
    finally:
        given.sync.close()


def _split(arguments: Sequence[str]) -> tuple[dict[str, Any], str | None]:
    named: dict[str, Any] = {}
    source: str | None = None
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if argument == "-" or argument.startswith("@"):
            if source is not None:
                raise click.UsageError("one @FILE or -, not several")
            source = argument
        elif not equals or not name:
            raise click.UsageError(f"{argument!r}: write NAME=VALUE, @FILE, or - for stdin")
        elif name in named:
            raise click.UsageError(f"{name} is given twice")
        else:
            named[name] = _value(text)
    return named, source


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _enqueued(app: App, task: Task[..., Any], named: dict[str, Any], source: str | None) -> Iterator[Job[Any]]:
    if source is None:
        try:
            call = task.bind_json(json.dumps(named))
        except PayloadError as error:
            raise PayloadError(f"{error}; nothing was enqueued (a string that looks like JSON is quoted twice: name='\"7\"')") from error
        yield from app.sync.enqueue_many([call])
        return
    calls = _bound(task, named, _lines(source))
    while batch := list(islice(calls, _BATCH)):
        yield from app.sync.enqueue_many(batch)


def _bound(task: Task[..., Any], named: dict[str, Any], lines: Iterable[tuple[int, str]]) -> Iterator[BoundCall[Any]]:
    for number, line in lines:
        whole = number - 1 - (number - 1) % _BATCH
        try:
            found = json.loads(line)
            if not isinstance(found, dict):
                raise PayloadError(f"a JSON object of arguments is wanted, not {line.strip()[:40]}")
            yield task.bind_json(json.dumps({**found, **named}))
        except (ValueError, PayloadError) as error:
            raise PayloadError(f"line {number}: {error}; the {whole} before were enqueued, no others") from error


def _lines(source: str) -> Iterator[tuple[int, str]]:
    """Those that hold something, numbered from 1."""
    if source == "-":
        text: Iterable[str] = sys.stdin
        yield from enumerate((line for line in text if line.strip()), 1)
        return
    path = Path(source[1:])
    try:
        with path.open(encoding="utf-8") as file:
            yield from enumerate((line for line in file if line.strip()), 1)
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{source}: {error}") from error
