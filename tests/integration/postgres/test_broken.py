"""Connections that break and servers that crash: what was acknowledged is there, and work goes on by itself."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from penstock import App, Transaction
from penstock.connect import administration
from penstock.errors import PublishUnknown, StoreUnavailable
from penstock.testing.conformance.ground import until
from tests.conftest import server, services

PATIENCE = 30.0
OTHERS = "from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'"
END = f"select pg_terminate_backend(pid) {OTHERS}"
ONE = f"select pid {OTHERS} order by random() limit 1"

LEFT = "select seq from {where} join message m using (seq) where not exists (select from effects where m.id = 'job-' || n)"
"""What has no effect yet."""
WHERE = ("message", "ready", "later", "aside", "suspect", "leased", "finished", "dead")


@pytest.fixture(scope="module")
def own_server() -> Iterator[tuple[str, str]]:
    """One that may crash."""
    with server() as found:
        yield found


class Shop:
    """An app, and what its jobs did."""

    def __init__(self, url: str) -> None:
        schema = f"broken_{secrets.token_hex(4)}"
        self.url = f"{url}?schema={schema}&options=-csearch_path%3D{schema}"
        self.schema, self.bare = schema, url
        administration(self.url).migrate()
        self.query("create table effects (n integer)")
        self.app = App(self.url, name="shop")
        self.acknowledged: list[int] = []
        self.unknown: list[int] = []

        @self.app.task()
        async def effect(tx: Transaction, n: int) -> None:
            await tx.execute("insert into effects (n) values (:n)", n=n)

        self.effect = effect

    def query(self, sql: str) -> list[tuple[int]]:
        with psycopg.connect(self.bare, options=f"-csearch_path={self.schema}") as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    async def enqueue(self, n: int) -> None:
        """Until it is acknowledged; the same id again where nobody knows."""
        while n not in self.acknowledged:
            try:
                await self.effect.using(id=f"job-{n}").enqueue(n)
            except PublishUnknown:
                self.unknown.append(n)
            except StoreUnavailable:
                continue  # it takes a round trip, or the time-out of a connection, to be told
            else:
                self.acknowledged.append(n)

    async def produce(self, numbers: range, stop: asyncio.Event) -> None:
        for n in numbers:
            await self.enqueue(n)
            if stop.is_set():
                return

    def done(self) -> set[int]:
        return {n for (n,) in self.query("select n from effects")}

    async def finish(self) -> None:
        """Raises AssertionError if what was acknowledged is not done in time, and says where it is."""

        async def nothing_left() -> bool:
            return not await asyncio.to_thread(self.query, LEFT.format(where="message"))

        try:
            await until(nothing_left, "all effects", PATIENCE)
        except AssertionError as error:
            places = {where: len(self.query(LEFT.format(where=where))) for where in WHERE}
            raise AssertionError(f"{error}; of {len(self.acknowledged)} that were acknowledged there are left: {places}") from error

    def twice(self) -> list[tuple[int]]:
        return self.query("select n from effects group by n having count(*) > 1")


async def ride_out(shop: Shop, trouble: list[str], folder: str) -> Shop:
    stop = asyncio.Event()
    async with shop.app.worker():
        producers = [asyncio.create_task(shop.produce(range(lane * 1_000_000, (lane + 1) * 1_000_000), stop)) for lane in range(8)]
        for kind in trouble:
            before = len(shop.acknowledged)
            await until(lambda before=before: len(shop.acknowledged) > before + 200, "200 more jobs", PATIENCE)
            if kind == "backends":
                await asyncio.to_thread(shop.query, END)
            elif kind == "backend":
                ((pid,),) = await asyncio.to_thread(shop.query, ONE)
                os.kill(pid, signal.SIGKILL)
            else:
                done = await asyncio.to_thread(services, kind, folder)
                assert done.returncode == 0, done.stderr
        before = len(shop.acknowledged)
        await until(lambda: len(shop.acknowledged) > before + 200, "200 jobs after it", PATIENCE)
        stop.set()
        await asyncio.gather(*producers)
        await shop.finish()
    await shop.app.close()
    return shop


@pytest.mark.parametrize("whom", ["backends", "backend"])
async def test_backends_that_are_ended(own_server: tuple[str, str], whom: str) -> None:
    """All of them, by SIGTERM; or one by SIGKILL: then the server ends the others, since it trusts its memory no more, and recovers."""
    shop = await ride_out(Shop(own_server[1]), [whom] * 5, own_server[0])
    assert set(shop.acknowledged) <= shop.done()
    assert shop.twice() == []


@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", ["crash", "kill"])
async def test_a_server_that_crashes(own_server: tuple[str, str], how: str) -> None:
    """An immediate restart; or SIGKILL to its postmaster, whose children notice that it is gone."""
    shop = await ride_out(Shop(own_server[1]), [how] * 3, own_server[0])
    assert set(shop.acknowledged) <= shop.done()
    assert shop.twice() == []


def test_a_server_that_crashed_finds_its_port_free(own_server: tuple[str, str]) -> None:
    """The kernel gives it to no connection of anybody else, who might have it when the server starts again."""
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    port = urlsplit(own_server[1]).port
    assert port is not None
    assert not low <= port <= high
