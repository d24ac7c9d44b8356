"""A message on its way into a queue, and what is known once it is there."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

MAX_BODY = 256 * 1024
"""Bytes of an encoded payload, unless the app says otherwise."""

DEFAULT_PRIORITY = 4

_headers = msgspec.json.Decoder(dict[str, str])


class Options(Struct, frozen=True, omit_defaults=True):
    """Per-message overrides of the task's policy, kept with the message. Durations in seconds."""

    attempts: int | None = None
    first: float | None = None
    factor: float | None = None
    limit: float | None = None
    timeout: float | None = None


class Message(Struct, frozen=True, gc=False):
    """One message to put in a queue. Times in µs of the store's clock."""

    id: str
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


class Placed(Struct, frozen=True, gc=False):
    """What `put` did with one message. `created` is False when the id was known already: nothing was stored."""

    id: str
    created: bool = True


def decode_headers(raw: bytes | None) -> Mapping[str, str]:
    return _headers.decode(raw) if raw else {}
