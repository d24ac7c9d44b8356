"""S16: a password in a store's URL is printed nowhere, whatever is wrong with the URL or the server; not even a part of it."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from penstock import App
from penstock.config import masked
from penstock.connect import administration, check_url, copy_source, rescue
from penstock.errors import PenstockError
from penstock.stores.postgres.address import parse
from tests.integration.cli.console import Console

CANARY = "c4nary"
PASSWORDS = [
    "c4nary",
    "c4nary/c4nary",
    "c4nary?c4nary",
    "c4nary#c4nary",
    "c4nary@c4nary",
    "c4nary:c4nary",
    "c4nary[c4nary",
    "[c4nary]",
    "c4nary c4nary",
    "c4nary\nc4nary",
    "c4nary\u2100",
    "c4nary%zz",
    "c4nary%00",
    "c4nary%",
    "5432/c4nary",
    "5432?c4nary",
]
URLS = [
    "postgresql://sam:{}@127.0.0.1:1/shop",
    "postgresql://sam:{}@127.0.0.1:1/shop?sslmode=bogus",
    "postgresql://sam:{}@127.0.0.1:1/shop?schema=A",
    "postgresql://sam:{}@127.0.0.1:none/shop",
    "postgresql://sam:{}@[::1/shop",
    "postgresql://sam:{}@[::1]1/shop",
    "postgresql+psycopg://sam:{}@127.0.0.1:1/shop",
    "mysql://sam:{}@127.0.0.1/shop",
    "sqlite://sam:{}@127.0.0.1/shop",
]
IN_OPTIONS = [
    "postgresql://127.0.0.1:1/shop?user=sam&password=c4nary",
    "postgresql://127.0.0.1:1/shop?user=sam&password=c4nary#c4nary",
    "postgresql://127.0.0.1:1/shop?sslpassword=c4nary&schema=A",
    "postgresql://127.0.0.1:1/shop?PASSWORD=c4nary&schema=A",
]
EVERY = [url.format(password) for url in URLS for password in PASSWORDS] + IN_OPTIONS
HARD = [
    "postgresql://sam:c4nary@127.0.0.1:1/shop",
    "postgresql://sam:c4nary/c4nary@127.0.0.1:1/shop",
    "postgresql://sam:[c4nary]@127.0.0.1:1/shop",
    "postgresql://sam:c4nary@127.0.0.1:1/shop?schema=A",
]
COMMANDS = [("worker", "shop:app"), ("store", "status"), ("store", "migrate"), ("jobs", "ls"), ("enqueue", "shop:app", "read"), ("health",)]


async def enqueue(url: str) -> None:
    app = App(url, name="shop")

    @app.task()
    async def read() -> None: ...

    try:
        await read.enqueue()
    finally:
        await app.close()


def join_as_threads_do(url: str) -> None:
    """psycopg reads the same URL in its own way."""
    check_url(url)
    psycopg.connect(parse(url, masked(url)).libpq)


USES: dict[str, Callable[[str], object]] = {
    "mask": masked,
    "make": App,
    "show": lambda url: repr(App(url, name="shop")),
    "administer": lambda url: administration(url).migrate(),
    "rescue": rescue,
    "copy": lambda url: asyncio.run(copy_source(url).open()),
    "enqueue": lambda url: asyncio.run(enqueue(url)),
    "join": join_as_threads_do,
}


@pytest.mark.parametrize("use", USES)
def test_nothing_tells_a_password(use: str) -> None:
    told = {url: told_by(USES[use], url) for url in EVERY}
    assert {url: text for url, text in told.items() if CANARY in text} == {}
    assert any("***" in text for text in told.values()), "nothing was said at all"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_tells_a_password(command: tuple[str, ...], tmp_path: Path) -> None:
    """What it prints, a traceback included, where the store cannot be had."""
    (tmp_path / "shop.py").write_text("from penstock import App\napp = App(name='shop')\n@app.task()\nasync def read() -> None: ...\n")
    answers = [Console(tmp_path, url).run(*command) for url in HARD]
    assert all(answer.code for answer in answers)
    assert [answer for answer in answers if CANARY in answer.out + answer.err] == []


def told_by(use: Callable[[str], object], url: str) -> str:
    """What it returns, or its error with all causes; without the lines of code, which are this test's own."""
    try:
        return str(use(url))
    except (PenstockError, psycopg.Error) as error:
        told = traceback.TracebackException.from_exception(error)
        return "".join(line for each in chain_of(told) for line in each.format_exception_only())


def chain_of(told: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    yield told
    for other in (told.__cause__, None if told.__suppress_context__ else told.__context__):
        if other is not None:
            yield from chain_of(other)
