"""A peer that is gone without a word: its machine is off, or cut off. Both ends find out, within seconds.

TCP itself sends again for a quarter of an hour, and an idle end notices after two hours. Until then a worker would hang, and the server
would keep the locks of a transaction that nobody will end: so both ends are told to give up sooner than a lease lasts.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

_IDLE, _INTERVAL, _COUNT, _GIVE_UP = 3, 2, 3, 8
"""Seconds: of silence until the other end is asked, between two questions; how many; and until what was sent has to have arrived."""

SERVER = (
    f"set tcp_keepalives_idle = {_IDLE}; set tcp_keepalives_interval = {_INTERVAL};"
    f" set tcp_keepalives_count = {_COUNT}; set tcp_user_timeout = {_GIVE_UP * 1000}"
)
"""For its end, in a session of our own."""

PSYCOPG: Mapping[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": _IDLE,
    "keepalives_interval": _INTERVAL,
    "keepalives_count": _COUNT,
    "tcp_user_timeout": _GIVE_UP * 1000,
    "connect_timeout": 10,
}
"""For our end, by libpq."""


def watch(connection: Any) -> None:
    """Our end of an asyncpg connection. It lets nobody say so before, and has no public way to its socket."""
    end = connection._transport.get_extra_info("socket")
    if end is None or end.family not in (socket.AF_INET, socket.AF_INET6):
        return
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _INTERVAL)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _COUNT)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GIVE_UP * 1000)
