"""The web API, a process of its own: sign-ups, changes and deletions of accounts, orders, reports."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from secrets import token_hex
from typing import Any

import msgspec
import uvicorn
from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from penstock.cli.demo.events import EmailUpdated, OrderPlaced, UserCreated, UserDeleted, address_after
from penstock.cli.demo.program import accounts, app, create_tables, open_shelf, orders, report_sales, send_welcome
from penstock.cli.demo.shelf import Shelf
from penstock.cli.demo.tied import ready, tie
from penstock.errors import VersionConflict

NEW_ORDER = """
    insert into orders (reference, user_id, product, quantity)
    values (:reference, :user, :product, :quantity)
    returning id
"""


class Wanted(Struct, frozen=True):
    reference: str
    user: str
    product: str
    quantity: int


async def sign_up(request: Request) -> JSONResponse:
    """The account's first event and the job that welcomes its user: both are kept, or neither."""
    address = (await request.json())["address"]
    user = token_hex(6)
    async with app.transaction() as tx:
        await accounts.using(tx=tx, headers=_by(request)).append(user, [UserCreated(user, address)], expected=0)
        job = await send_welcome.using(tx=tx).enqueue(user, address)
    return JSONResponse({"user": user, "job": job.id}, status_code=201)


async def change_address(request: Request) -> JSONResponse:
    return await _change(request, EmailUpdated(request.path_params["user"], (await request.json())["address"]))


async def delete(request: Request) -> JSONResponse:
    return await _change(request, UserDeleted(request.path_params["user"]))


async def _change(request: Request, event: EmailUpdated | UserDeleted) -> JSONResponse:
    """Decided on what was read: if the account has changed since, nothing is kept."""
    history = await accounts.read(event.user)
    if address_after(history) is None:
        return JSONResponse({"error": "there is no such account"}, status_code=404)
    try:
        version = await accounts.using(headers=_by(request)).append(event.user, [event], expected=history.version)
    except VersionConflict as error:
        return JSONResponse({"error": str(error)}, status_code=409)
    return JSONResponse({"version": version})


def _by(request: Request) -> dict[str, str]:
    """Who asks: for the audit trail."""
    return {"by": request.headers.get("x-by", "")}


async def order(request: Request) -> JSONResponse:
    """The order and the event that tells of it: both are kept, or neither. Its receipt is a temporary file."""
    wanted = msgspec.json.decode(await request.body(), type=Wanted)
    async with app.transaction() as tx:
        row = await tx.fetch_one(NEW_ORDER, **msgspec.structs.asdict(wanted))
        assert row is not None
        await orders.using(tx=tx).publish(OrderPlaced(row["id"], wanted.user, wanted.product, wanted.quantity))
    request.state.shelf.write(f"receipt-{row['id']}.txt", f"{wanted.quantity} x {wanted.product}\n")
    return JSONResponse({"order": row["id"]}, status_code=201)


async def report(request: Request) -> JSONResponse:
    job = await report_sales.enqueue((await request.json())["seed"])
    return JSONResponse({"job": job.id}, status_code=202)


@asynccontextmanager
async def _resources(_: Starlette) -> AsyncGenerator[dict[str, Shelf], None]:
    await create_tables()
    with closing(open_shelf()) as shelf:
        yield {"shelf": shelf}


ROUTES = (
    Route("/signups", sign_up, methods=["POST"]),
    Route("/users/{user}", change_address, methods=["PUT"]),
    Route("/users/{user}", delete, methods=["DELETE"]),
    Route("/orders", order, methods=["POST"]),
    Route("/reports", report, methods=["POST"]),
)
web = Starlette(routes=ROUTES, lifespan=app.lifespan(_resources))


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
