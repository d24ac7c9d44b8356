"""A peer that is gone without a word: its machine is off, or cut off. Both ends find out, within seconds.

TCP itself sends again for a quarter of an hour, and an idle end notices after two hours. Until then a worker would hang, and the server
would keep the locks of a transaction that nobody will end: so both ends are told to give up sooner than a lease lasts.
"""

from __future__ import annotations

import os
import socket
import weakref
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import asyncpg

_IDLE, _INTERVAL, _COUNT, _GIVE_UP = 3, 2, 3, 8
"""Seconds: of silence until the other end is asked, between two questions; how many; and until what was sent has to have arrived."""

SERVER = (
    f"tcp_keepalives_idle = {_IDLE}",
    f"tcp_keepalives_interval = {_INTERVAL}",
    f"tcp_keepalives_count = {_COUNT}",
    f"tcp_user_timeout = {_GIVE_UP * 1000}",
)
"""For its end, in a session of our own."""

_PSYCOPG: Mapping[str, int] = MappingProxyType(
    {
        "keepalives": 1,
        "keepalives_idle": _IDLE,
        "keepalives_interval": _INTERVAL,
        "keepalives_count": _COUNT,
        "tcp_user_timeout": _GIVE_UP * 1000,
        "connect_timeout": 10,
    }
)
"""For our end, by libpq."""


def unsaid(dsn: str) -> dict[str, int]:
    """What psycopg is told beside the URL: keywords would outdo what its user says there."""
    said = {name for name, _ in parse_qsl(urlsplit(dsn).query)}
    return {name: value for name, value in _PSYCOPG.items() if name not in said}


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


class Inherited:
    """The connections that a fork would copy. A child that kept them would keep its parent's sessions, and their locks, beyond its
    parent's death: in the child other files take their places, so that nothing that is inherited reaches the server, also at its end."""

    def __init__(self) -> None:
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        forget = weakref.WeakMethod(self._forget)  # a registration is for ever, a pool is not
        os.register_at_fork(after_in_child=lambda: replace() if (replace := forget()) is not None else None)

    def add(self, connection: Any) -> None:
        """Of psycopg, or asyncpg."""
        self._connections.add(connection)

    def _forget(self) -> None:
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for connection in self._connections:
            descriptor = _descriptor(connection)
            if descriptor >= 0:
                os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)


def _descriptor(connection: Any) -> int:
    """-1: it is closed."""
    if isinstance(connection, asyncpg.Connection):
        end = None if connection.is_closed() else connection._transport.get_extra_info("socket")
        return -1 if end is None else int(end.fileno())
    return -1 if connection.closed else int(connection.fileno())
