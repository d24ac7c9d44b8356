"""`penstock subscriptions`: how far they are, and sending one to another place. To pause one, pause the queue of its name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import click

from penstock.cli import held
from penstock.cli.finding import Place, in_store
from penstock.cli.groups import Commands
from penstock.cli.tables import Column, note, show_json, show_table
from penstock.cli.words import counted, iso, length, not_called
from penstock.errors import ConfigurationError, NotFound
from penstock.model.clock import SECOND, from_datetime
from penstock.model.job import QueueView
from penstock.model.log import Holder, SubscriptionView
from penstock.ports.store import Store

_NONE = QueueView("", False, 0, 0, 0, 0, 0, 0, 0, 0)


@click.group(cls=Commands)
def subscriptions() -> None:
    """List and seek subscriptions."""


@subscriptions.command("ls")
@in_store
def ls(place: Place) -> None:
    """Each subscription with its lag: events not fed yet, and what waits in its queue."""

    async def look(store: Store) -> tuple[Sequence[SubscriptionView], dict[str, QueueView], Holder | None, int]:
        queues = {queue.name: queue for queue in await store.inspect.queues()}
        return await store.inspect.subscriptions(), queues, await store.inspect.held_back(), store.clock.now()

    found, queues, holder, now = place.run(look)
    if place.as_json:
        each_one = [_facts(each, queues.get(each.name, _NONE), now) for each in found]
        show_json({"subscriptions": each_one, "held_back": held.facts(holder)})
    elif found:
        _table(found, [queues.get(each.name, _NONE) for each in found], now)
        held.tell(holder)
    else:
        note("no subscriptions yet: the first worker that knows one registers it")


def _table(found: Sequence[SubscriptionView], queues: Sequence[QueueView], now: int) -> None:
    show_table(
        [
            Column("SUBSCRIPTION", [each.name for each in found], shrinks=True),
            Column("TOPIC", [each.topic for each in found]),
            Column("UNFED", [counted(each.unfed) for each in found], right=True),
            Column("WAITING", [f"{queue.waiting + queue.delayed:,}" for queue in queues], right=True),
            Column("RUNNING", [f"{queue.running:,}" for queue in queues], right=True, drop=2),
            Column("DEAD", [f"{queue.dead:,}" for queue in queues], right=True),
            Column("LAG", [_lag(each, queue, now) for each, queue in zip(found, queues, strict=True)], right=True),
            Column("MISSED", [f"{each.missed:,}" if each.missed else "" for each in found], right=True, drop=1),
            Column("TYPES", ["all" if each.types is None else ", ".join(each.types) for each in found], drop=3),
        ]
    )


def _lag(each: SubscriptionView, queue: QueueView, now: int) -> str:
    seconds = _seconds_behind(each, queue, now)
    return "paused" if queue.paused else "" if seconds is None else length(seconds)


def _seconds_behind(each: SubscriptionView, queue: QueueView, now: int) -> float | None:
    """Since the oldest event that waits, fed or not, was published."""
    oldest = min((at for at in (queue.oldest, each.oldest) if at is not None), default=None)
    return None if oldest is None else (now - oldest) / SECOND


def _facts(each: SubscriptionView, queue: QueueView, now: int) -> dict[str, object]:
    return {
        "name": each.name,
        "topic": each.topic,
        "app": each.app,
        "types": each.types,
        "on_dead": "hold" if each.hold else "continue",
        "position": each.cursor,
        "head": each.head,
        "unfed": each.unfed,
        "waiting": queue.waiting,
        "delayed": queue.delayed,
        "running": queue.running,
        "dead": queue.dead,
        "lag_s": _seconds_behind(each, queue, now),
        "oldest_unfed": iso(each.oldest),
        "missed": each.missed,
        "generation": each.generation,
        "paused": queue.paused,
    }


@subscriptions.command("seek")
@click.argument("subscription")
@click.argument("target", metavar="beginning|end|POSITION|TIME")
@in_store
def seek(place: Place, subscription: str, target: str) -> None:
    """Go on from another place: what waits for SUBSCRIPTION is dropped, what runs ends, the events from there on are handled, again
    if they were. TIME is like 2026-05-17T12:30:00Z."""

    async def work(store: Store) -> tuple[int, int]:
        views = {view.name: view for view in await store.inspect.subscriptions()}
        if subscription not in views:
            raise NotFound(not_called("subscription", subscription, views))
        position = await _position(store, views[subscription], target)
        return position, await store.log.seek(subscription, position)

    position, dropped = place.run(work)
    if place.as_json:
        show_json({"subscription": subscription, "position": position, "dropped": dropped})
    else:
        click.echo(f"subscription {subscription}: goes on behind position {position:,}; {dropped:,} that waited were dropped")


@subscriptions.command("drop")
@click.argument("subscription")
@in_store
def drop(place: Place, subscription: str) -> None:
    """Forget SUBSCRIPTION, whose code is gone: its topic keeps events for it no longer. What has begun, ends; dead letters stay."""

    async def work(store: Store) -> int:
        names = [view.name for view in await store.inspect.subscriptions()]
        if subscription not in names:
            raise NotFound(not_called("subscription", subscription, names))
        alive = [worker.name for worker in await store.inspect.workers() if subscription in worker.tasks]
        if alive:
            raise ConfigurationError(f"worker {alive[0]} has subscription {subscription!r} in its code: it would come back")
        return await store.log.drop(subscription)

    dropped = place.run(work)
    if place.as_json:
        show_json({"subscription": subscription, "dropped": dropped})
    else:
        click.echo(f"subscription {subscription}: dropped, with {dropped:,} events that waited")


async def _position(store: Store, view: SubscriptionView, target: str) -> int:
    if target == "end":
        return view.head
    if target == "beginning":
        return next(topic.first for topic in await store.inspect.topics() if topic.name == view.topic) - 1
    if target.isdecimal():
        return min(int(target), view.head)
    try:
        return await store.inspect.position_at(view.topic, from_datetime(datetime.fromisoformat(target)))
    except ValueError as error:
        raise click.UsageError(f"{target!r}: beginning, end, a position, or a time like 2026-05-17T12:30:00Z ({error})") from error
