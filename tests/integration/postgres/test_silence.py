"""A peer that says nothing any more: neither end waits for it as long as TCP would, and nobody is taken for dead by mistake."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from penstock.errors import StoreUnavailable
from penstock.ports.leases import Enrolment
from penstock.stores.postgres.access import Told
from penstock.stores.postgres.address import parse
from penstock.stores.postgres.carriers import Threads
from penstock.stores.postgres.pool import connect
from penstock.stores.postgres.put import put
from penstock.stores.postgres.registry import Lives
from penstock.stores.postgres.store import PostgresStore
from penstock.stores.sql import leases
from penstock.testing.conformance import Ground
from tests.conformance.postgres_backend import PostgresBackend

GIVES_UP = "select current_setting('tcp_user_timeout'), current_setting('tcp_keepalives_idle')"
BEATS = "select pid from pg_stat_activity where query = 'commit' and state = 'idle' order by state_change desc limit 1"


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    backend = PostgresBackend(postgres_url)
    try:
        async with Ground(backend) as ground:
            assert isinstance(ground.store, PostgresStore)
            yield ground.store
    finally:
        backend.drop()


async def test_both_ends_of_a_connection_give_up_on_the_other(store: PostgresStore) -> None:
    async with store._opened().access.relaxed.lend() as connection:
        end = connection._transport.get_extra_info("socket")
        assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 3
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 8_000
        assert tuple(await connection.fetchrow(GIVES_UP)) == ("8000", "3")


async def test_so_do_those_of_handlers_on_threads(postgres_url: str) -> None:
    threads = Threads(psycopg, postgres_url, 1, pooled=False)
    connection = await threads.take()
    end = socket.socket(fileno=os.dup(connection.fileno()))
    assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 8_000
    assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 3
    assert connection.execute(GIVES_UP).fetchone() == ("8000", "3")
    connection.rollback()
    end.close()
    threads.give(connection)
    threads.close()


async def test_what_the_url_says_of_that_holds(postgres_url: str) -> None:
    """libpq's words; asyncpg would send them to the server as settings."""
    address = parse(f"{postgres_url}?keepalives_idle=7&connect_timeout=4&schema=silence", "masked")
    threads = Threads(psycopg, address.libpq, 1, pooled=True)
    connection = await threads.take()
    said = connection.info.get_parameters()
    names = ("keepalives_idle", "connect_timeout", "keepalives_interval", "tcp_user_timeout")
    assert [said.get(name) for name in names] == ["7", "4", "2", "8000"]
    threads.give(connection)
    threads.close()
    other = await connect(address)
    assert await other.fetchval("select 1") == 1
    await other.close()


async def test_who_stands_still_in_a_claim_does_not_keep_what_it_holds(store: PostgresStore) -> None:
    access = store._opened().access
    async with access.relaxed.lend() as still, access.relaxed.lend() as other:
        with pytest.raises(StoreUnavailable, match="claim"):
            async with Told("claim", still), access.within(still, "claim", durable=False):
                await still.execute("select pg_advisory_xact_lock(1, 2)")
                await other.execute("select pg_advisory_lock(1, 2)", timeout=10)  # as soon as the other one has lost it
                await still.execute("select 1")
        await other.execute("select pg_advisory_unlock(1, 2)")


async def test_a_beat_does_not_wait_for_a_server_that_does_not_answer(store: PostgresStore, postgres_url: str) -> None:
    await store.leases.enrol(Enrolment(7, "app", "w", 1, "here", ("mail",), ("send",)))
    assert await asyncio.to_thread(store.leases.beat_now, 7)
    with psycopg.connect(postgres_url) as connection:
        (stopped,) = connection.execute(BEATS).fetchone() or (0,)
    os.kill(stopped, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable, match="did not answer"):
            await asyncio.to_thread(store.leases.beat_now, 7)
        assert await asyncio.to_thread(store.leases.beat_now, 7)  # by another connection
    finally:
        os.kill(stopped, signal.SIGCONT)


async def test_a_rescue_does_not_wait_for_one_that_stands_still(store: PostgresStore) -> None:
    await store.leases.enrol(Enrolment(7, "app", "w", 1, "here", ("mail",), ("send",)))
    access = store._opened().access
    async with access.relaxed.lend() as still, access.within(still, "rescue", durable=True):
        assert await access.drive(still, leases.rescue(7, 0, 1, put))
        async with asyncio.timeout(5):
            with pytest.raises(StoreUnavailable, match="others were in the way"):
                await store.leases.rescue(7, 0)


def test_a_lock_file_of_another_machine_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder may be shared by a network that knows nothing of its locks; here nobody holds it, as it seems there."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    mine, same, other = Lives("store", "boot"), Lives("store", "boot"), Lives("store", "another boot")
    lock = mine.take(1)
    assert lock is not None
    assert (same.died(1), other.died(1)) == (False, False)
    lock.close()
    assert (same.died(1), other.died(1)) == (True, False)


def test_a_worker_whose_file_is_not_here_is_not_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container on the same host, with the same boot and a folder of its own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert not Lives("store", "boot").died(1)
