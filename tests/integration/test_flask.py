"""Flask's application context around handlers."""

from __future__ import annotations

import threading

import pytest
from flask import Flask, current_app, g

from penstock import App, Delivery, Next, Outcome, testing
from penstock.testing import HandlerRaised

web = Flask(__name__)
web.config["SENDER"] = "shop@example.com"
torn_down: list[tuple[int, object]] = []


@web.teardown_appcontext
def note(error: BaseException | None) -> None:
    torn_down.append((threading.get_ident(), g.get("thread")))


async def in_flask(delivery: Delivery, next: Next) -> Outcome:
    with web.app_context():
        return await next(delivery)


def sender() -> str:
    g.thread = threading.get_ident()
    return str(current_app.config["SENDER"])


async def sender_async() -> str:
    return sender()


@pytest.fixture(autouse=True)
def clean() -> None:
    torn_down.clear()


async def test_a_def_handler_has_its_context_on_its_own_thread(shop: App) -> None:
    shop.around(web.app_context)
    task = shop.task()(sender)
    async with testing.run(shop) as kit:
        jobs = [await task.enqueue() for _ in range(3)]
        await kit.drain()
        assert [await job.result() for job in jobs] == ["shop@example.com"] * 3
    assert len(torn_down) == 3 and all(where == handler != threading.get_ident() for where, handler in torn_down)


async def test_a_coroutine_has_it_on_the_event_loop(shop: App) -> None:
    shop.use(in_flask)
    task = shop.task()(sender_async)
    async with testing.run(shop) as kit:
        job = await task.enqueue()
        await kit.drain()
        assert await job.result() == "shop@example.com"
    assert torn_down == [(threading.get_ident(), threading.get_ident())]


async def test_without_either_there_is_none(shop: App) -> None:
    task = shop.task()(sender)
    async with testing.run(shop) as kit:
        await task.enqueue()
        with pytest.raises(HandlerRaised, match="Working outside of application context"):
            await kit.drain()


def test_a_view_enqueues_by_sync(shop: App) -> None:
    task = shop.task()(sender)
    shop.around(web.app_context)
    site = Flask("site")

    @site.post("/send")
    def send() -> tuple[str, int]:
        return task.sync.enqueue().id, 202

    with testing.run(shop) as kit:
        answer = site.test_client().post("/send")
        kit.sync.drain()
        assert (answer.status_code, shop.job(answer.text).sync.result()) == (202, "shop@example.com")
