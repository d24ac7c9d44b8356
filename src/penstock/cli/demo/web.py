"""The web API, a process of its own: `POST /signups {"address": …}`, `POST /orders {"reference": …, "user": …, …}`."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import uvicorn
from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from penstock.cli.demo.events import OrderPlaced
from penstock.cli.demo.program import app, create_tables, orders, send_welcome
from penstock.cli.demo.tied import ready, tie

NEW_ORDER = """
    insert into orders (reference, user_id, product, quantity)
    values (:reference, :user, :product, :quantity)
    returning id
"""


class Wanted(Struct, frozen=True):
    reference: str
    user: int
    product: str
    quantity: int


async def sign_up(request: Request) -> JSONResponse:
    """The user and the job that welcomes them: both are kept, or neither."""
    address = (await request.json())["address"]
    async with app.transaction() as tx:
        user = await tx.fetch_one("insert into users (address) values (:address) returning id", address=address)
        assert user is not None
        job = await send_welcome.using(tx=tx).enqueue(user["id"], address)
    return JSONResponse({"user": user["id"], "job": job.id}, status_code=201)


async def order(request: Request) -> JSONResponse:
    """The order and the event that tells of it: both are kept, or neither."""
    wanted = msgspec.json.decode(await request.body(), type=Wanted)
    async with app.transaction() as tx:
        row = await tx.fetch_one(NEW_ORDER, **msgspec.structs.asdict(wanted))
        assert row is not None
        await orders.using(tx=tx).publish(OrderPlaced(row["id"], wanted.user, wanted.product, wanted.quantity))
    return JSONResponse({"order": row["id"]}, status_code=201)


@asynccontextmanager
async def _tables(_: Starlette) -> AsyncGenerator[None, None]:
    await create_tables()
    yield


ROUTES = (Route("/signups", sign_up, methods=["POST"]), Route("/orders", order, methods=["POST"]))
web = Starlette(routes=ROUTES, lifespan=app.lifespan(_tables))


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets and self.started:
            ready(port=sockets[0].getsockname()[1])


def main() -> None:
    tie()
    listening = socket.create_server(("127.0.0.1", 0))
    options: dict[str, Any] = {"log_level": "warning", "access_log": False, "timeout_graceful_shutdown": 5}
    _Server(uvicorn.Config(web, **options)).run(sockets=[listening])


if __name__ == "__main__":
    main()
