"""`penstock queues`: list, pause, resume, set. What an operator sets wins over the code, in every program of the store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import click

from penstock.cli.filters import known_queues
from penstock.cli.finding import Place, in_store
from penstock.cli.groups import Commands
from penstock.cli.operator import who
from penstock.cli.tables import Column, note, show_json, show_table
from penstock.cli.words import did_you_mean, iso, relative
from penstock.errors import NotFound
from penstock.model.job import QueueView
from penstock.ports.store import Store

_new = click.option("--new", is_flag=True, help="Also a queue that nobody knows yet.")


@click.group(cls=Commands)
def queues() -> None:
    """List, pause, resume and set queues."""


@queues.command("ls")
@in_store
def ls(place: Place) -> None:
    """What waits, runs and died, and how many workers look."""

    async def look(store: Store) -> tuple[Sequence[QueueView], list[str], int]:
        served = [queue for worker in await store.inspect.workers() for queue in worker.queues]
        return await store.inspect.queues(), served, store.clock.now()

    found, served, now = place.run(look)
    if place.as_json:
        show_json({"queues": [_facts(queue, served.count(queue.name)) for queue in found]})
    elif found:
        _table(found, served, now)
    else:
        note("no queues yet: the first job makes one")


def _table(found: Sequence[QueueView], served: list[str], now: int) -> None:
    def numbers(title: str, values: Sequence[int], drop: int = 0) -> Column:
        return Column(title, [f"{value:,}" for value in values], right=True, drop=drop)

    show_table(
        [
            Column("QUEUE", [queue.name for queue in found], shrinks=True),
            Column("STATE", [_state(queue, served.count(queue.name)) for queue in found]),
            numbers("WAITING", [queue.waiting for queue in found]),
            numbers("DELAYED", [queue.delayed for queue in found], drop=3),
            numbers("RUNNING", [queue.running for queue in found]),
            numbers("DEAD", [queue.dead for queue in found]),
            numbers("DONE", [queue.done for queue in found], drop=1),
            numbers("FAILED", [queue.failed for queue in found], drop=4),
            Column("OLDEST", [relative(queue.oldest, now) for queue in found], right=True, drop=2),
            Column("LIMIT", [f"{queue.max_waiting:,}" if queue.max_waiting else "" for queue in found], right=True, drop=5),
        ]
    )


def _state(queue: QueueView, workers: int) -> str:
    if queue.paused:
        return "paused"
    return f"{workers} worker{'' if workers == 1 else 's'}" if workers else "no worker"


def _facts(queue: QueueView, workers: int) -> dict[str, object]:
    return {
        "name": queue.name,
        "paused": queue.paused,
        "workers": workers,
        "waiting": queue.waiting,
        "delayed": queue.delayed,
        "running": queue.running,
        "dead": queue.dead,
        "done": queue.done,
        "failed_attempts": queue.failed,
        "cancelled": queue.cancelled,
        "expired": queue.expired,
        "oldest": iso(queue.oldest),
        "max_waiting": queue.max_waiting,
    }


@queues.command("pause")
@click.argument("queue")
@_new
@in_store
def pause(place: Place, queue: str, new: bool) -> None:
    """Start nothing more from QUEUE; what runs, ends. Jobs can still be enqueued."""
    _write(place, queue, new, {"paused": "true"})
    _done(place, queue, {"paused": True}, "paused; what runs, ends")


@queues.command("resume")
@click.argument("queue")
@_new
@in_store
def resume(place: Place, queue: str, new: bool) -> None:
    """Take up work from QUEUE again."""
    _write(place, queue, new, {"paused": None})
    _done(place, queue, {"paused": False}, "resumed")


@queues.command("set")
@click.argument("queue")
@click.argument("settings", nargs=-1, required=True, metavar="NAME=VALUE...")
@_new
@in_store
def set_(place: Place, queue: str, settings: tuple[str, ...], new: bool) -> None:
    """max_waiting=N: enqueue waits, then fails, while N jobs wait in QUEUE. max_waiting=none: as the code says again."""
    wanted = dict(_setting(pair) for pair in settings)
    _write(place, queue, new, {name: None if value is None else json.dumps(value) for name, value in wanted.items()})
    _done(place, queue, wanted, ", ".join(f"{name}={'none' if value is None else value}" for name, value in wanted.items()))


def _setting(pair: str) -> tuple[str, int | None]:
    name, equals, text = pair.partition("=")
    if name != "max_waiting" or not equals:
        raise click.UsageError(f"{pair!r}: a queue has max_waiting=N{did_you_mean(name, ['max_waiting'])}")
    if text == "none":
        return name, None
    if not text.isdecimal() or int(text) < 1:
        raise click.UsageError(f"{pair!r}: a number of jobs from 1, or none")
    return name, int(text)


def _write(place: Place, queue: str, new: bool, settings: dict[str, str | None]) -> None:
    async def work(store: Store) -> None:
        known = await known_queues(store)
        if not new and queue not in known:
            raise NotFound(f"no queue is called {queue!r}{did_you_mean(queue, known)} (--new if it is to come)")
        for name, value in settings.items():
            await store.settings.write(f"queue:{queue}", name, value, who())

    place.run(work)


def _done(place: Place, queue: str, facts: Mapping[str, object], text: str) -> None:
    if place.as_json:
        show_json({"queue": queue, **facts})
    else:
        click.echo(f"queue {queue}: {text}")
