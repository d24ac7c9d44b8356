"""What surrounds `def` handlers, where they run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from penstock import App, DeadLetter, Reject, Retry, Router, testing
from penstock.errors import ConfigurationError
from tests.integration.play import heard, program

Seen = list[tuple[str, int]]


def noting(seen: Seen, name: str) -> Callable[[], AbstractContextManager[None]]:
    """Notes who was entered and left, and on which thread."""

    @contextmanager
    def around() -> Iterator[None]:
        seen.append((f"enter {name}", threading.get_ident()))
        try:
            yield
        finally:
            seen.append((f"leave {name}", threading.get_ident()))

    return around


async def test_a_def_handler_is_surrounded_on_its_own_thread(shop: App) -> None:
    seen: Seen = []
    mail = Router()
    mail.around(noting(seen, "router"))

    @mail.task(retry=Retry(attempts=2, first=0.01))
    def send() -> int:
        seen.append(("send", threading.get_ident()))
        if len(seen) < 8:
            raise OSError("no answer")
        return 7

    shop.include(mail)
    shop.around(noting(seen, "app"))
    async with testing.run(shop) as kit:
        job = await send.enqueue()
        await kit.advance("10s", raise_errors=False)
        assert await job.result() == 7
    once = ["enter app", "enter router", "send", "leave router", "leave app"]
    assert [what for what, _ in seen] == once * 2
    assert len({thread for _, thread in seen[:5]}) == 1 and threading.get_ident() not in {thread for _, thread in seen}


async def test_batches_and_on_dead_hooks_are_surrounded_too(shop: App) -> None:
    seen: Seen = []
    shop.around(noting(seen, "app"))

    @shop.batch_task(size=2, wait=0)
    def index(rows: list[int]) -> None:
        raise Reject(str(len(rows)))

    @index.on_dead
    def told(letter: DeadLetter) -> None:
        seen.append((f"told of {letter.reason}", threading.get_ident()))

    async with testing.run(shop) as kit:
        await index.enqueue(7)
        await kit.drain(raise_errors=False)
    assert [what for what, _ in seen] == ["enter app", "leave app", "enter app", "told of 1", "leave app"]
    assert len({thread for _, thread in seen[2:]}) == 1


async def test_coroutines_and_plain_calls_are_not(shop: App) -> None:
    seen: Seen = []
    shop.around(noting(seen, "app"))

    @shop.task()
    async def on_the_loop() -> int:
        return 1

    @shop.task()
    def on_a_thread() -> int:
        return 2

    async with testing.run(shop) as kit:
        job = await on_the_loop.enqueue()
        await kit.drain()
        assert (await job.result(), on_a_thread(), seen) == (1, 2, [])


async def test_a_handler_whose_surroundings_fail_has_failed(shop: App) -> None:
    @contextmanager
    def broken() -> Iterator[None]:
        raise OSError("no connection")
        yield

    shop.around(broken)

    @shop.task()
    def never() -> None: ...

    async with testing.run(shop) as kit:
        await never.enqueue()
        with pytest.raises(testing.HandlerRaised, match="no connection"):
            await kit.drain()


async def test_a_child_process_surrounds_its_handler(fast: Path) -> None:
    with program("surrounded.py", store=fast / "shop.db") as running:
        assert await heard(running, "entered in .*") == "entered in the child"
        assert await asyncio.to_thread(running.code) == 0


def test_what_is_no_function_is_refused(shop: App) -> None:
    with pytest.raises(ConfigurationError, match=r"test_around\.py.*around\(\): pass a function without parameters"):
        shop.around(noting([], "app")())  # pyright: ignore[reportArgumentType]
