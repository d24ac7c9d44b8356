"""The web API, a process of its own: `POST /signups {"address": …}`."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from penstock.cli.demo.program import app, create_tables, send_welcome
from penstock.cli.demo.tied import ready, tie


async def sign_up(request: Request) -> JSONResponse:
    """The user and the job that welcomes them: both are kept, or neither."""
    address = (await request.json())["address"]
    async with app.transaction() as tx:
        user = await tx.fetch_one("insert into users (address) values (:address) returning id", address=address)
        assert user is not None
        job = await send_welcome.using(tx=tx).enqueue(user["id"], address)
    return JSONResponse({"user": user["id"], "job": job.id}, status_code=201)


@asynccontextmanager
async def _tables(_: Starlette) -> AsyncGenerator[None, None]:
    await create_tables()
    yield


web = Starlette(routes=[Route("/signups", sign_up, methods=["POST"])], lifespan=app.lifespan(_tables))


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
