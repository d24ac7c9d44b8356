"""The visitors, a process of its own: signs up over HTTP, a bounded number a second, and keeps a ledger of what it saw."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from random import Random

import httpx
import msgspec
from msgspec import Struct

from penstock.cli.demo.ledger import Acknowledged, Ledger, Tried, Unknown
from penstock.cli.demo.tied import ready, tie, told_to_stop
from penstock.model.clock import WallClock

NAMES = ("ada", "alan", "barbara", "edsger", "frances", "grace", "ken", "leslie", "margaret", "tony")


class Orders(Struct, frozen=True):
    port: int
    ledger: str
    rate: float
    """Sign-ups a second, on average."""
    together: int
    """Calls that may be under way at once."""
    seed: int


class Reply(Struct, frozen=True):
    user: int
    job: str


class Visitors:
    def __init__(self, orders: Orders, client: httpx.AsyncClient) -> None:
        self._client = client
        self._ledger = Ledger(Path(orders.ledger))
        self._random = Random(orders.seed)
        self._clock = WallClock()
        self._rate = orders.rate
        self._room = asyncio.Semaphore(orders.together)

    async def come(self, stop: asyncio.Event) -> None:
        """Until `stop` is set and the last call has ended."""
        number = 0
        async with asyncio.TaskGroup() as calls:
            while not await self._rest(stop):
                number += 1
                await self._room.acquire()
                calls.create_task(self._sign_up(self._address(number)))

    async def _rest(self, stop: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._random.uniform(0.5, 1.5) / self._rate):
                return await stop.wait()
        except TimeoutError:
            return False

    def _address(self, number: int) -> str:
        kind = self._random.random()
        name = "nobody" if kind < 0.03 else "busy" if kind < 0.12 else self._random.choice(NAMES)
        return f"{name}+{number}@example.com"

    async def _sign_up(self, address: str) -> None:
        self._ledger.write(Tried(self._clock.now(), address))
        try:
            response = await self._client.post("/signups", json={"address": address})
            reply = msgspec.json.decode(response.raise_for_status().content, type=Reply)
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            self._ledger.write(Unknown(self._clock.now(), address, repr(error)))
        else:
            self._ledger.write(Acknowledged(self._clock.now(), address, reply.user, reply.job))
        finally:
            self._room.release()


async def visit(orders: Orders) -> None:
    stop = told_to_stop()
    ready()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{orders.port}", timeout=20, trust_env=False) as client:
        await Visitors(orders, client).come(stop)


if __name__ == "__main__":
    tie()
    asyncio.run(visit(msgspec.json.decode(sys.argv[1], type=Orders)))
