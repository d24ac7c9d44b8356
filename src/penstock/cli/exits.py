"""Exit codes (those of sysexits.h where there is one), and what an error means for them."""

from __future__ import annotations

from penstock.errors import ConfigurationError, PayloadError, PenstockError, PublishUnknown, QueueFull, StoreError, TransportError

OK = 0
FAILED = 1
"""It ran, and what it was asked for is not so: no such job, not confirmed, a worker was killed."""
USAGE = 2
UNAVAILABLE = 69
"""The store (or a broker) cannot be used now."""
INTERNAL = 70
"""A bug, or a worker whose event loop was blocked for too long."""
TEMPORARY = 75
CONFIG = 78
"""Wrong in the same way at every start: an app that cannot be imported, an option, a URL."""


def code_of(error: PenstockError) -> int:
    match error:
        case ConfigurationError():
            return CONFIG
        case QueueFull() | PublishUnknown():
            return TEMPORARY
        case StoreError() | TransportError():
            return UNAVAILABLE
        case PayloadError():
            return USAGE
        case _:
            return FAILED
