"""A message on its way into a queue, and what is known once it is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from penstock.model.ids import Name
from penstock.model.unique import Hold

MAX_BODY = 256 * 1024
"""Bytes of an encoded payload, unless the app says otherwise."""

DEFAULT_PRIORITY = 4

_headers = msgspec.json.Decoder(dict[str, str])
NOTHING = Raw()
"""An absent value: this very object is left out when it is encoded."""


class Options(Struct, frozen=True, omit_defaults=True):
    """What a message has beyond its task, kept with it: overrides of the policy, its name, its chain. Durations in seconds.

    A message that has none of it has no options at all, and costs nothing to look.
    """

    attempts: Annotated[int, Meta(ge=1)] | None = None
    first: Annotated[float, Meta(ge=0)] | None = None
    factor: Annotated[float, Meta(ge=1)] | None = None
    limit: Annotated[float, Meta(ge=0)] | None = None
    timeout: Annotated[float, Meta(gt=0)] | None = None
    unique: Hold | None = None
    then: Raw = NOTHING
    """A `Successor`; empty for none."""
    after: Name | None = None
    """The job whose end enqueued this one."""
    previous: Raw = NOTHING
    """Its result; empty for None."""
    missing: str | None = None
    """Why its result was not kept."""


class Message(Struct, frozen=True, gc=False):
    """One message to put in a queue. Times in µs of the store's clock."""

    id: str
    """A name (`ids.is_name`), as `queue`, `task` and `key`."""
    queue: str
    task: str
    body: bytes
    headers: bytes | None = None
    """A JSON object of strings, or None."""
    options: bytes | None = None
    """`Options` as JSON, or None."""
    key: str | None = None
    priority: int = DEFAULT_PRIORITY
    """0 to 9, 9 first."""
    due: int | None = None
    """Not before; None: at once."""
    expires: int | None = None
    """Not started by then: ended as expired."""
    given: bool = False
    """The caller chose the id: a second put of it is the first one."""
    unique: Hold | None = None
    """A name that one job may hold: if another does, the put stores nothing. Stands in `options`, too."""
    delay: int | None = None
    """Instead of `due`: µs from the put on, by the store's clock in the transaction that stores it."""
    lifetime: int | None = None
    """Instead of `expires`, likewise."""

    @property
    def asks(self) -> bool:
        """Whether it is stored is known only by asking the store."""
        return self.given or self.unique is not None


class Placed(Struct, frozen=True, gc=False):
    """What `put` did with one message. `created` is False when its id was known, or its unique name held: nothing was stored, and
    `id` is the job that is there."""

    id: str
    created: bool = True


def raw(encoded: bytes | None) -> Raw:
    """JSON inside of JSON, as it is; for none of it, nothing."""
    return Raw(encoded) if encoded else NOTHING


UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are not what was written."""

_options = msgspec.json.Decoder(Options)
_PLAIN = Options()


def decode_options(raw: bytes | None) -> Options:
    """They were checked when they were written; if they cannot be read all the same, there are none."""
    try:
        return _options.decode(raw) if raw else _PLAIN
    except UNREADABLE:
        return _PLAIN


def decode_headers(raw: bytes | None) -> Mapping[str, str]:
    return _headers.decode(raw) if raw else {}
