"""Chains: the job that begins when another is done.

A job carries its successor with it (`Options.then`), and that one its own: so a crash, a retry or a replay loses nothing, and the
store enqueues it in the transaction that writes `Done`. Its id is made when the first is enqueued: the same whoever settles it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import replace

from penstock.model.clock import Span
from penstock.model.delivery import Delivery
from penstock.model.ids import Name
from penstock.model.message import DEFAULT_PRIORITY, NOTHING, UNREADABLE, Message, Options, decode_options, raw
from penstock.model.outcome import Done


class Successor(Struct, frozen=True, omit_defaults=True):
    """A message that waits for another job's end. `delay` and `lifetime` (µs) count from then; `at` and `expires` are instants."""

    id: Name
    queue: Name
    task: Name
    body: Raw
    headers: Raw = NOTHING
    options: Raw = NOTHING
    key: Name | None = None
    priority: Annotated[int, Meta(ge=0, le=9)] = DEFAULT_PRIORITY
    delay: Span | None = None
    at: Span | None = None
    lifetime: Span | None = None
    expires: Span | None = None
    given: bool = False
    """The caller chose the id: if it is known by then, that job is this one."""

    def message(self, first: str, end: Done, now: int) -> Message:
        """After job `first`, that ended so."""
        return Message(
            id=self.id,
            queue=self.queue,
            task=self.task,
            body=bytes(self.body),
            headers=bytes(self.headers) or None,
            options=msgspec.json.encode(self._after(first, end)),
            key=self.key,
            priority=self.priority,
            due=self.at if self.delay is None else now + self.delay,
            expires=self.expires if self.lifetime is None else now + self.lifetime,
            given=self.given,
        )

    def _after(self, first: str, end: Done) -> Options:
        return replace(decode_options(bytes(self.options)), after=first, previous=raw(end.result), missing=end.unavailable)


_successors = msgspec.json.Decoder(Successor)


def may_lead_on(options: bytes | None) -> bool:
    """A job with these options may have a successor: told without reading them."""
    return options is not None and b'"then":' in options


def brings_work(delivery: Delivery) -> bool:
    """When it is done: its key goes on, a slot of its queue is free, or another job follows."""
    return delivery.key is not None or delivery.limited or may_lead_on(delivery.options)


def successor_of(options: Options) -> Successor | None:
    """What is enqueued when the job that has these options is done. It was checked when it was written; if it cannot be read all the
    same, there is none."""
    try:
        return _successors.decode(options.then) if options.then else None
    except UNREADABLE:
        return None
