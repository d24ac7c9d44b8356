"""Topics: facts that are published once and read by many."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar, cast

from penstock.api.definition import Attachment, Owner
from penstock.api.events import EventTypes
from penstock.api.history import History, Record
from penstock.api.joining import AMBIENT, Ambient, Connection, SyncWrite, Write, alone, write, write_now
from penstock.api.options import encoded_headers, named
from penstock.api.reading import all_records, records, span_of
from penstock.errors import ConfigurationError, PayloadError
from penstock.model.ids import is_name
from penstock.model.log import Append, TopicSpec
from penstock.model.log import Event as Sent
from penstock.model.message import Placed
from penstock.ports.store import Store

Event = TypeVar("Event")
Event_contra = TypeVar("Event_contra", contravariant=True)


class Accepts(Protocol[Event_contra]):
    """A topic that can carry this event: `Topic[A | B]` is both `Accepts[A]` and `Accepts[B]`."""

    async def publish(self, event: Event_contra, /) -> str: ...


@dataclass(frozen=True)
class Declared:
    """A topic as it was declared."""

    owner: Owner
    place: str
    spec: TopicSpec
    types: EventTypes
    key: Callable[[Any], str] | None


@dataclass(frozen=True)
class Chosen:
    """The options of one call."""

    key: str | None = None
    id: str | None = None
    tx: Connection | None = AMBIENT
    headers: bytes | None = None


class Topic(Generic[Event]):
    """A log of events, ordered by the commits of their transactions. Made by `app.topic(…)` or `router.topic(…)`.

        orders = app.topic("orders", OrderPlaced, OrderPaid, key=lambda event: event.order_id)

        await orders.publish(OrderPlaced("o-1"))

    Of a versioned topic each key is a stream of its own, with a version for each event, kept for ever: an event-sourced
    aggregate. It is written by `append` and read by `read`.
    """

    def __init__(self, declared: Declared, chosen: Chosen) -> None:
        self._declared = declared
        self._chosen = chosen

    def __repr__(self) -> str:
        return f"<Topic {self.name}>"

    @property
    def name(self) -> str:
        """The name in the store, shared with every app that names it."""
        return self._declared.spec.name

    @property
    def sync(self) -> SyncTopic[Event]:
        """The same for code without an event loop. Options come before it."""
        return SyncTopic(self)

    def using(
        self,
        *,
        key: str | None = None,
        id: str | None = None,
        tx: Connection | None = AMBIENT,
        headers: Mapping[str, str] | None = None,
    ) -> Topic[Event]:
        """The same topic with options for its calls; later options win over earlier ones.

        `key`: instead of the topic's own; events of one key reach each subscription one at a time, in order. `id`: a second
        publish of it is the first one, as long as the event is kept and for 24 h; with several events, the n-th has `id#n`. `tx`: the
        transaction to join; None: none, also inside a handler with `tx`. `headers`: strings that travel with it.
        Raises ConfigurationError.
        """
        chosen = self._chosen
        if key is not None:
            chosen = replace(chosen, key=named("using(key=…)", key))
        if id is not None:
            chosen = replace(chosen, id=named("using(id=…)", id))
        if headers is not None:
            chosen = replace(chosen, headers=encoded_headers(headers))
        return Topic(self._declared, chosen if isinstance(tx, Ambient) else replace(chosen, tx=tx))

    # -- publishing

    async def publish(self, event: Event, /) -> str:
        """Keep one event; its id. Durable when it returns; in a handler that asked for `tx`, with that transaction.

        Raises PayloadError for a value that is not of the topic's types, a key that is no name, or what cannot travel;
        PayloadTooLarge; StoreError if the store cannot; PublishUnknown if its answer was lost (retry with `using(id=…)`).
        """
        link = self._attached.link
        store = link.store_here()
        if store is not None and self._chosen.tx is AMBIENT and alone():
            return (await store.log.publish(self._unversioned, (self._sent(event, link.own_id),)))[0].id
        return (await self.publish_many([event]))[0]

    async def publish_many(self, events: Iterable[Event], /) -> list[str]:
        """Keep all of these events or none, in one transaction; their ids. Errors as in `publish`."""
        spec, link = self._unversioned, self._attached.link
        here = link.store_here()
        several = list(events)
        sent = self._all_sent(several, (link.foreign_ids if here is None else link.own_ids)(len(several)))
        if not sent:
            return []
        store = here or await link.opened()
        verb = Write[list[Placed]](lambda home: home.log.publish(spec, sent), lambda joined: joined.publish(spec, sent))
        return [placed.id for placed in await write(link, store, self._chosen.tx, verb)]

    async def append(self, key: str, events: Sequence[Event], *, expected: int | None) -> int:
        """Append to one key of a versioned topic, all events or none; its new version.

        `expected`: the version that the key must have (`History.version`; 0: there is no such key yet), else VersionConflict and
        nothing is kept; None: any. With `using(id=…)`: the same id again in this key gives the result of the first time. Otherwise
        errors as in `publish`. Joins transactions as `publish` does.
        """
        link = self._attached.link
        here = link.store_here()
        append = self._append(key, events, expected, link.foreign_id if here is None else link.own_id)
        if here is not None and self._chosen.tx is AMBIENT and alone():
            return await here.log.append(append)
        store = here or await link.opened()
        return await write(
            link, store, self._chosen.tx, Write[int](lambda home: home.log.append(append), lambda joined: joined.append(append))
        )

    # -- reading

    async def read(self, key: str, *, until: int | datetime | None = None) -> History[Event]:
        """The events of one key of a versioned topic, up to a version or a moment; `.version` is that of the last one.

        No such key: empty, version 0. Raises UndecodablePayload for what this release cannot decode.
        """
        return _history(await self.records(key, until=until))

    async def records(
        self, key: str, *, first: int = 1, until: int | datetime | None = None, backward: bool = False, limit: int | None = None
    ) -> list[Record[Event]]:
        """As `read`, each event with its id, version, time and headers: the audit trail of a key.

        From version `first` on; `backward`: the newest first; `limit`: so many at the most.
        """
        span = span_of(first, until, backward, limit)
        return await self._attached.link.run(lambda store: records(store, self._declared.types, self._versioned, (key, span)))

    async def replay(self, *, after: int | datetime = 0, batch: int = 1_000) -> AsyncIterator[Record[Event]]:
        """All events that are there, behind a position or from a moment on, in their order; ends at the newest.

        async for record in accounts.replay():
            view.apply(record.event)
        """
        async for found in all_records(self._attached.link, self._declared.types, after, batch):
            for record in found:
                yield record

    async def head(self) -> int:
        """The position of the newest event; 0: there is none yet."""

        async def look(store: Store) -> int:
            return next((view.head for view in await store.inspect.topics() if view.name == self.name), 0)

        return await self._attached.link.run(look)

    # -- parts

    @cached_property
    def _attached(self) -> Attachment:
        attachment = self._declared.owner.attachment()
        if attachment is None:
            raise ConfigurationError(
                f"{self._declared.place}: topic {self.name!r} is used before its router is part of an app: call app.include(router) first"
            )
        return attachment

    @property
    def _unversioned(self) -> TopicSpec:
        if self._declared.spec.versioned:
            raise ConfigurationError(f"topic {self.name!r} is versioned: use append(key, events, expected=…)")
        return self._declared.spec

    @property
    def _versioned(self) -> TopicSpec:
        if not self._declared.spec.versioned:
            raise ConfigurationError(f"topic {self.name!r} is not versioned: declare it with versioned=True for append and read")
        return self._declared.spec

    def _append(self, key: str, events: Sequence[Event], expected: int | None, next_id: Callable[[], str]) -> Append:
        if not events:
            raise ConfigurationError(f"append to {self.name!r}: there are no events")
        if not _is_version(expected):
            raise ConfigurationError(f"append(expected={expected!r}): a version, 0 for a new key, or None for any")
        if not is_name(key):
            raise ConfigurationError(f"append({key!r}, …): a key is 1 to 128 of A-Z a-z 0-9 _ . : -")
        append = Append(self._versioned, key, (), expected, self._chosen.id)
        if append.given is not None:
            next_id = map(append.id_of, itertools.count(1)).__next__
        return Append(append.topic, key, [self._sent(event, next_id) for event in events], expected, append.given)

    def _all_sent(self, events: Sequence[Event], next_id: Callable[[], str]) -> list[Sent]:
        if len(events) == 1:
            return [self._sent(events[0], next_id)]
        return [self._sent(event, next_id, number) for number, event in enumerate(events, 1)]

    def _sent(self, event: Event, next_id: Callable[[], str], number: int | None = None) -> Sent:
        """Its id is the one that was chosen, with a number where there are several; in a versioned topic `next_id` knows it, and
        `append` its key."""
        declared, chosen = self._declared, self._chosen
        name, body = declared.types.encode(event, self._attached.payload_limit)
        if declared.spec.versioned:
            return Sent(next_id(), name, body, headers=chosen.headers, given=chosen.id is not None)
        key = chosen.key if chosen.key is not None or declared.key is None else self._key_of(declared.key, event)
        if chosen.id is None:
            return Sent(next_id(), name, body, key, chosen.headers)
        return Sent(chosen.id if number is None else f"{chosen.id}#{number}", name, body, key, chosen.headers, given=True)

    def _key_of(self, key: Callable[[Any], str], event: Event) -> str:
        found = cast(object, key(event))
        if not isinstance(found, str) or not is_name(found):
            raise PayloadError(f"topic {self.name!r}: the key of {type(event).__name__} is {found!r}: 1 to 128 of A-Z a-z 0-9 _ . : -")
        return found


class SyncTopic(Generic[Event]):
    """A `Topic` for code without an event loop. Blocks the calling thread."""

    __slots__ = ("_topic",)

    def __init__(self, topic: Topic[Event]) -> None:
        self._topic = topic

    def publish(self, event: Event, /) -> str:
        """As `Topic.publish`."""
        return self.publish_many([event])[0]

    def publish_many(self, events: Iterable[Event], /) -> list[str]:
        """As `Topic.publish_many`."""
        topic = self._topic
        spec, link = topic._unversioned, topic._attached.link  # pyright: ignore[reportPrivateUsage]
        several = list(events)
        sent = topic._all_sent(several, link.foreign_ids(len(several)))  # pyright: ignore[reportPrivateUsage]
        if not sent:
            return []
        store, tx = link.opened_now(_PUBLISH), topic._chosen.tx  # pyright: ignore[reportPrivateUsage]
        verb = SyncWrite[list[Placed]](lambda home: home.log.publish(spec, sent), lambda joined: joined.publish_now(spec, sent))
        placed = write_now(link, store, tx, verb, _PUBLISH)
        return [each.id for each in placed]

    def append(self, key: str, events: Sequence[Event], *, expected: int | None) -> int:
        """As `Topic.append`."""
        topic = self._topic
        link = topic._attached.link  # pyright: ignore[reportPrivateUsage]
        append = topic._append(key, events, expected, link.foreign_id)  # pyright: ignore[reportPrivateUsage]
        store, tx = link.opened_now(_APPEND), topic._chosen.tx  # pyright: ignore[reportPrivateUsage]
        verb = SyncWrite[int](lambda home: home.log.append(append), lambda joined: joined.append_now(append))
        return write_now(link, store, tx, verb, _APPEND)

    def read(self, key: str, *, until: int | datetime | None = None) -> History[Event]:
        """As `Topic.read`."""
        topic = self._topic
        span, spec = span_of(1, until, backward=False, limit=None), topic._versioned  # pyright: ignore[reportPrivateUsage]
        types = topic._declared.types  # pyright: ignore[reportPrivateUsage]
        link = topic._attached.link  # pyright: ignore[reportPrivateUsage]
        return _history(link.call(lambda store: records(store, types, spec, (key, span)), _READ))


def _history(found: list[Record[Event]]) -> History[Event]:
    """All the events of a key up to a version or a moment."""
    return History((record.event for record in found), found[-1].version or 0 if found else 0)


def _is_version(expected: object) -> bool:
    return expected is None or (isinstance(expected, int) and not isinstance(expected, bool) and expected >= 0)


_PUBLISH, _APPEND, _READ = (f"await topic.{verb}(…)" for verb in ("publish", "append", "read"))
