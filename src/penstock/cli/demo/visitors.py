"""The visitors, a process of its own: they sign up, order, change and delete their accounts over HTTP.

A bounded number a second; what they see they write into a ledger.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TypeVar

import httpx
import msgspec
from msgspec import Struct

from penstock.cli.demo.ledger import (
    Acknowledged,
    ChangeAcknowledged,
    ChangeTried,
    ChangeUnknown,
    Ledger,
    OrderAcknowledged,
    OrderTried,
    OrderUnknown,
    ReportAsked,
    Tried,
    Unknown,
)
from penstock.cli.demo.tied import ready, tie, told_to_stop
from penstock.model.clock import WallClock

NAMES = ("ada", "alan", "barbara", "edsger", "frances", "grace", "ken", "leslie", "margaret", "tony")
PRODUCTS = ("cup", "desk", "lamp", "mug", "pen", "plate", "rug", "vase")
RESTLESS = 20
"""Members who change their addresses and leave again: so some do it more than once."""
FIRST_REPORT, REPORTS = 60, 400
"""The visit that asks for one, and the visits from one to the next."""
ReplyT = TypeVar("ReplyT", bound=Struct)


class Orders(Struct, frozen=True):
    port: int
    ledger: str
    rate: float
    """Visits a second, on average."""
    together: int
    """Calls that may be under way at once."""
    seed: int


class SignedUp(Struct, frozen=True):
    user: str
    job: str


class Ordered(Struct, frozen=True):
    order: int


class Changed(Struct, frozen=True):
    version: int


class Promised(Struct, frozen=True):
    job: str


class NoReply(Exception):
    """Or none that says anything."""


class Visitors:
    def __init__(self, orders: Orders, client: httpx.AsyncClient) -> None:
        self._client = client
        self._ledger = Ledger(Path(orders.ledger))
        self._random = Random(orders.seed)
        self._clock = WallClock()
        self._rate = orders.rate
        self._room = asyncio.Semaphore(orders.together)
        self._members: list[str] = []

    async def come(self, stop: asyncio.Event) -> None:
        """Until `stop` is set and the last call has ended."""
        number = 0
        async with asyncio.TaskGroup() as calls:
            while not await self._rest(stop):
                number += 1
                await self._room.acquire()
                calls.create_task(self._visit(number))

    async def _rest(self, stop: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._random.uniform(0.5, 1.5) / self._rate):
                return await stop.wait()
        except TimeoutError:
            return False

    async def _visit(self, number: int) -> None:
        kind = self._random.random() if self._members else 1.0
        try:
            if number % REPORTS == FIRST_REPORT:
                await self._ask_for_report(number)
            elif kind < 0.02:
                await self._change(self._restless(), None)
            elif kind < 0.12:
                await self._change(self._restless(), f"moved+{number}@example.com")
            elif kind < 0.42:
                await self._order(f"order-{number}", self._random.choice(self._members))
            else:
                await self._sign_up(self._address(number))
        finally:
            self._room.release()

    def _address(self, number: int) -> str:
        kind = self._random.random()
        name = "nobody" if kind < 0.03 else "busy" if kind < 0.12 else self._random.choice(NAMES)
        return f"{name}+{number}@example.com"

    async def _sign_up(self, address: str) -> None:
        self._ledger.write(Tried(self._clock.now(), address))
        try:
            reply = await self._call("POST", "/signups", {"address": address}, SignedUp)
        except NoReply as error:
            self._ledger.write(Unknown(self._clock.now(), address, str(error)))
        else:
            self._ledger.write(Acknowledged(self._clock.now(), address, reply.user, reply.job))
            self._members.append(reply.user)

    async def _order(self, reference: str, user: str) -> None:
        product, quantity = self._random.choice(PRODUCTS), self._random.randint(1, 3)
        self._ledger.write(OrderTried(self._clock.now(), reference))
        try:
            wanted = {"reference": reference, "user": user, "product": product, "quantity": quantity}
            reply = await self._call("POST", "/orders", wanted, Ordered)
        except NoReply as error:
            self._ledger.write(OrderUnknown(self._clock.now(), reference, str(error)))
        else:
            self._ledger.write(OrderAcknowledged(self._clock.now(), reference, reply.order))

    async def _ask_for_report(self, seed: int) -> None:
        """One that gets no reply is nobody's loss."""
        asked = self._clock.now()
        with suppress(NoReply):
            reply = await self._call("POST", "/reports", {"seed": seed}, Promised)
            self._ledger.write(ReportAsked(asked, reply.job))

    def _restless(self) -> str:
        """Nobody changes an account twice at once: it is put back when the reply is there."""
        return self._members.pop(self._random.randrange(min(RESTLESS, len(self._members))))

    async def _change(self, user: str, address: str | None) -> None:
        by = self._random.choice(("the owner", "the owner", "support"))
        self._ledger.write(ChangeTried(self._clock.now(), user, address, by))
        try:
            reply = await self._call("DELETE" if address is None else "PUT", f"/users/{user}", {"address": address}, Changed, by)
        except NoReply as error:
            self._ledger.write(ChangeUnknown(self._clock.now(), user, address, str(error)))
        else:
            self._ledger.write(ChangeAcknowledged(self._clock.now(), user, address, reply.version))
            if address is not None:
                self._members.insert(0, user)

    async def _call(self, method: str, path: str, body: object, kind: type[ReplyT], by: str = "the owner") -> ReplyT:
        try:
            response = await self._client.request(method, path, json=body, headers={"x-by": by})
            return msgspec.json.decode(response.raise_for_status().content, type=kind)
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            raise NoReply(repr(error)) from error


async def visit(orders: Orders) -> None:
    stop = told_to_stop()
    ready()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{orders.port}", timeout=20, trust_env=False) as client:
        await Visitors(orders, client).come(stop)


if __name__ == "__main__":
    tie()
    asyncio.run(visit(msgspec.json.decode(sys.argv[1], type=Orders)))
