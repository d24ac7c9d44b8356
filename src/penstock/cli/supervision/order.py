"""What `penstock worker` was asked for; it travels to the children over their tethers, since a URL may hold a password."""

from __future__ import annotations

from msgspec import Struct

from penstock.engine.nursery import LogFormat


class Order(Struct, frozen=True, tag="order"):
    """Durations in seconds."""

    app: str
    processes: int = 1
    concurrency: int = 100
    queues: tuple[tuple[str, int], ...] = ()
    store: str | None = None
    shutdown_timeout: float = 25.0
    lease: float = 15.0
    log_format: LogFormat = "auto"
    children: int | None = None
