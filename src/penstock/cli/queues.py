"""`penstock queues`: list, pause, resume, set. What an operator sets wins over the code, in every program of the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import click

from penstock.cli.filters import known_queues
from penstock.cli.finding import Place, in_store
from penstock.cli.groups import Commands
from penstock.cli.operator import who
from penstock.cli.tables import Column, note, show_json, show_table
from penstock.cli.words import did_you_mean, iso, not_called, relative
from penstock.errors import NotFound
from penstock.model.job import QueueView
from penstock.model.limit import parse_rate
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
        served = [queue for worker in await store.inspect.workers() if not worker.dead for queue in worker.queues]
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
            Column("LIMITS", [_limits(queue) for queue in found], drop=5),
        ]
    )


def _state(queue: QueueView, workers: int) -> str:
    if queue.paused:
        return "paused"
    return f"{workers} worker{'' if workers == 1 else 's'}" if workers else "no worker"


def _limits(queue: QueueView) -> str:
    running = f"{queue.concurrency:,} at once" if queue.concurrency else ""
    waiting = f"{queue.max_waiting:,} waiting" if queue.max_waiting else ""
    return ", ".join(filter(None, (running, queue.rate, waiting)))


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
        "concurrency": queue.concurrency,
        "rate": queue.rate,
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
@click.argument("settings", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--concurrency", metavar="N", help="So many of its jobs run at once, over all workers.")
@click.option("--rate", metavar="N/UNIT", help="How many may start: 100/s, 5/min, 1000/h, 10/d.")
@click.option("--max-waiting", metavar="N", help="While so many wait, enqueue waits, then fails.")
@_new
@in_store
def set_(place: Place, queue: str, settings: tuple[str, ...], new: bool, **options: str | None) -> None:
    """Limit QUEUE while it runs; `none` as a value: as the code says again. NAME=VALUE says the same as an option."""
    pairs = [*settings, *(f"{name}={text}" for name, text in options.items() if text is not None)]
    if not pairs:
        raise click.UsageError(f"nothing to set: {', '.join(_SETTINGS)}")
    wanted = dict(_setting(pair) for pair in pairs)
    _write(place, queue, new, {name: None if value is None else json.dumps(value) for name, value in wanted.items()})
    _done(place, queue, wanted, ", ".join(f"{name}={'none' if value is None else value}" for name, value in wanted.items()))


def _setting(pair: str) -> tuple[str, int | str | None]:
    name, equals, text = pair.partition("=")
    if name not in _SETTINGS or not equals:
        raise click.UsageError(f"{pair!r}: a queue has {', '.join(_SETTINGS)}{did_you_mean(name, _SETTINGS)}")
    return name, None if text == "none" else _SETTINGS[name](pair, text)


def _number(pair: str, text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < _MOST:
        raise click.UsageError(f"{pair!r}: a number of jobs from 1, or none")
    return int(text)


def _rate(pair: str, text: str) -> str:
    try:
        parse_rate(text)
    except ValueError as error:
        raise click.UsageError(f"{error}; or none") from None
    return text


_MOST = 1 << 62
_SETTINGS: Mapping[str, Callable[[str, str], int | str]] = {"concurrency": _number, "rate": _rate, "max_waiting": _number}


def _write(place: Place, queue: str, new: bool, settings: dict[str, str | None]) -> None:
    async def work(store: Store) -> None:
        known = await known_queues(store)
        if not new and queue not in known:
            raise NotFound(f"{not_called('queue', queue, known)} (--new if it is to come)")
        for name, value in settings.items():
            await store.settings.write(f"queue:{queue}", name, value, who())

    place.run(work)


def _done(place: Place, queue: str, facts: Mapping[str, object], text: str) -> None:
    if place.as_json:
        show_json({"queue": queue, **facts})
    else:
        click.echo(f"queue {queue}: {text}")
