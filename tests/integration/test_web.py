"""The app opens and closes with a web app of Starlette's or FastAPI's, which may work, too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypedDict

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from penstock import App, Task
from tests.integration.cli.console import PATIENCE


class State(TypedDict):
    greeting: str


class Site:
    """Its routes, and what its lifespan has seen."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.seen: list[str] = []
        self.greet: Task[[str], str] = app.task()(greet)

    @asynccontextmanager
    async def lifespan(self, web: Starlette) -> AsyncIterator[State]:
        self.seen.append(f"{type(web).__name__} starts")
        await self.greet.enqueue("the lifespan")  # the app is open already
        yield {"greeting": "hello"}
        await self.greet.enqueue("the lifespan again")  # and still
        self.seen.append("stops")

    async def enqueue(self, request: Request) -> JSONResponse:
        job = await self.greet.enqueue(f"{request.state.greeting} {request.path_params['name']}")
        return JSONResponse({"job": job.id}, 202)

    async def result(self, request: Request) -> JSONResponse:
        return JSONResponse(await self.app.job(request.path_params["job"]).result(timeout=PATIENCE))


async def greet(name: str) -> str:
    return f"greeted: {name}"


@pytest.fixture
def site(shop: App) -> Site:
    return Site(shop)


def starlette(site: Site, work: bool) -> Starlette:
    routes = [Route("/greet/{name}", site.enqueue, methods=["POST"]), Route("/jobs/{job}", site.result)]
    return Starlette(routes=routes, lifespan=site.app.lifespan(site.lifespan, work=work))


def fastapi(site: Site, work: bool) -> FastAPI:
    web = FastAPI(lifespan=site.app.lifespan(site.lifespan, work=work))

    async def enqueue(name: str, request: Request) -> dict[str, str]:
        return {"job": (await site.greet.enqueue(f"{request.state.greeting} {name}")).id}

    async def result(job: str) -> Any:
        return await site.app.job(job).result(timeout=PATIENCE)

    web.post("/greet/{name}", status_code=202)(enqueue)
    web.get("/jobs/{job}")(result)
    return web


@asynccontextmanager
async def running(web: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """As a server runs it: its lifespan around the requests, which see what that yields."""
    async with web.router.lifespan_context(web) as state:

        async def served(scope: Any, receive: Any, send: Any) -> None:
            await web({**scope, "state": dict(state or {})}, receive, send)

        transport = httpx.ASGITransport(app=served)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop", timeout=PATIENCE) as client:
            yield client


@pytest.mark.parametrize("make", [starlette, fastapi])
async def test_it_enqueues_in_a_request_and_works_beside(make: Any, site: Site) -> None:
    async with running(make(site, work=True)) as client:
        answer = await client.post("/greet/sam")
        assert answer.status_code == 202
        assert (await client.get(f"/jobs/{answer.json()['job']}")).json() == "greeted: hello sam"
        assert site.seen == [f"{make.__name__.title().replace('api', 'API')} starts"]
    assert site.seen[1:] == ["stops"]


@pytest.mark.parametrize("make", [starlette, fastapi])
async def test_without_work_a_worker_elsewhere_runs_it(make: Any, site: Site) -> None:
    async with running(make(site, work=False)) as client:
        job = site.app.job((await client.post("/greet/sam")).json()["job"])
        assert await job.status() == "unroutable"  # nobody works
        async with site.app.worker():
            assert await job.result(timeout=PATIENCE) == "greeted: hello sam"


@pytest.mark.parametrize("kind", [Starlette, FastAPI])
async def test_without_a_lifespan_of_its_own(kind: Any, shop: App) -> None:
    web = kind(lifespan=shop.lifespan(work=True))
    task = shop.task()(greet)
    async with running(web):
        assert await (await task.enqueue("kim")).result(timeout=PATIENCE) == "greeted: kim"
