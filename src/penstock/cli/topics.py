"""`penstock topics`: what there is, and the events of one."""

from __future__ import annotations

from collections.abc import Sequence

import click

from penstock.cli import held
from penstock.cli.finding import Place, in_store
from penstock.cli.groups import Commands
from penstock.cli.tables import Column, note, show_json, show_table
from penstock.cli.words import counted, iso, length, not_called, relative, value
from penstock.errors import NotFound
from penstock.model.clock import SECOND
from penstock.model.log import Holder, Recorded, Span, TopicView
from penstock.ports.store import Store


@click.group(cls=Commands)
def topics() -> None:
    """List topics and show their events."""


@topics.command("ls")
@in_store
def ls(place: Place) -> None:
    """Each topic with its events and how long it keeps them."""

    async def look(store: Store) -> tuple[Sequence[TopicView], Holder | None, int]:
        return await store.inspect.topics(), await store.inspect.held_back(), store.clock.now()

    found, holder, now = place.run(look)
    if place.as_json:
        show_json({"topics": [_facts(topic) for topic in found], "held_back": held.facts(holder)})
    elif found:
        show_table(
            [
                Column("TOPIC", [topic.name for topic in found], shrinks=True),
                Column("EVENTS", [counted(topic.events) for topic in found], right=True),
                Column("HEAD", [f"{topic.head:,}" for topic in found], right=True),
                Column("NEWEST", [relative(topic.newest, now) for topic in found], right=True),
                Column("KEPT", [_kept(topic) for topic in found], drop=1),
            ]
        )
        held.tell(holder)
    else:
        note("no topics yet: the first event makes one, or a worker that knows it")


@topics.command("show")
@click.argument("topic")
@click.option("--key", help="Only of this key of a versioned topic.")
@click.option("--after", type=click.IntRange(0), default=None, metavar="POSITION", help="Behind this position. Default: the newest ones.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="So many at the most.")
@in_store
def show(place: Place, topic: str, key: str | None, after: int | None, limit: int) -> None:
    """Events of TOPIC, the oldest first."""

    async def look(store: Store) -> tuple[Sequence[Recorded], int]:
        views = {view.name: view for view in await store.inspect.topics()}
        if topic not in views:
            raise NotFound(not_called("topic", topic, views))
        if key is not None and not views[topic].versioned:
            raise click.UsageError(f"{topic} is not versioned: its events are not found by their key; leave --key out, or use --after")
        if key is not None:
            newest = await store.log.read_key(topic, key, Span(backward=True, limit=limit))
            return newest[::-1], store.clock.now()
        if after is None:
            return await store.inspect.newest(topic, limit), store.clock.now()
        return await store.log.read(topic, after, limit), store.clock.now()

    found, now = place.run(look)
    if place.as_json:
        show_json({"topic": topic, "events": [_event(event) for event in found]})
    elif found:
        show_table(
            [
                Column("POSITION", [f"{event.position:,}" for event in found], right=True),
                Column("AT", [relative(event.at, now) for event in found], right=True),
                Column("KEY", [event.key or "" for event in found]),
                Column("VERSION", [str(event.version or "") for event in found], right=True, drop=1),
                Column("TYPE", [event.type for event in found]),
                Column("EVENT", [event.body.decode("utf-8", "replace") for event in found], shrinks=True),
            ]
        )
    else:
        note("no such events")


def _kept(topic: TopicView) -> str:
    if topic.versioned:
        return "for ever, versioned"
    if topic.retention is None:
        return "for ever"
    at_most = "" if topic.retention_max is None else f", {length(topic.retention_max / SECOND)} at most"
    return f"{length(topic.retention / SECOND)} once read{at_most}"


def _facts(topic: TopicView) -> dict[str, object]:
    return {
        "name": topic.name,
        "versioned": topic.versioned,
        "first": topic.first,
        "head": topic.head,
        "events": topic.events,
        "newest": iso(topic.newest),
        "retention_s": None if topic.retention is None else topic.retention / SECOND,
        "retention_max_s": None if topic.retention_max is None else topic.retention_max / SECOND,
    }


def _event(event: Recorded) -> dict[str, object]:
    return {
        "position": event.position,
        "id": event.id,
        "type": event.type,
        "key": event.key,
        "version": event.version,
        "at": iso(event.at),
        "headers": dict(event.headers),
        "event": value(event.body),
    }
