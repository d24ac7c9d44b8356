"""What can be a batch task, and what can be a limit of a queue."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from penstock import App, Context, Retry, Router, Transaction, inject
from penstock.errors import ConfigurationError, PayloadError, UndecodablePayload, UnknownArgument
from penstock.model.delivery import Delivery
from penstock.model.limit import Limit
from penstock.ports.handler import Batch
from tests.unit.api.scripted import ScriptedStore, attach


def refused(function: Callable[..., Any], **options: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        App(name="shop").batch_task(**{"size": 10, **options})(function)
    return str(caught.value)


async def no_rows() -> None: ...
async def two(rows: list[int], more: list[int]) -> None: ...
async def an_option(rows: list[int], urgent: bool = False) -> None: ...
async def by_name(*, rows: list[int]) -> None: ...
async def a_default(rows: list[int] = []) -> None: ...  # noqa: B006
async def not_a_list(row: int) -> None: ...
async def a_tuple(rows: tuple[int, ...]) -> None: ...
async def context_late(rows: list[int], ctx: Context) -> None: ...
async def fine(rows: list[int]) -> None: ...
def get_client() -> object:
    return object()


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (no_rows, "takes its rows and nothing else"),
        (two, "takes its rows and nothing else"),
        (an_option, "takes its rows and nothing else"),
        (by_name, "takes its rows and nothing else"),
        (a_default, "takes its rows and nothing else"),
        (not_a_list, "takes a list of rows, such as list[Row], not 'int'"),
        (a_tuple, "takes a list of rows"),
        (context_late, "'ctx' is injected, and injected parameters come first"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_handler_that_takes_no_rows_is_refused_where_it_stands(function: Callable[..., Any], problem: str) -> None:
    message = refused(function)
    assert problem in message
    assert message.startswith(f"{__file__}:{inspect.unwrap(function).__code__.co_firstlineno}: task {function.__name__!r}")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"size": 0}, "batch_task(size=0): rows, 1 to 10,000"),
        ({"size": 10_001}, "rows, 1 to 10,000"),
        ({"size": True}, "rows, 1 to 10,000"),
        ({"size": "10"}, "rows, 1 to 10,000"),
        ({"wait": -1}, "batch_task(wait=…): -1 is not a length of time from 0 on"),
        ({"wait": float("inf")}, "is not a length of time"),
        ({"wait": "1s"}, "neither a number of seconds nor a timedelta"),
        ({"queue": "no spaces"}, "batch_task(queue=…): 'no spaces' is not a name"),
        ({"retry": 3}, "batch_task(retry=3): pass a Retry"),
        ({"timeout": 0}, "is not a length of time above 0"),
    ],
    ids=str,
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, Any], problem: str) -> None:
    message = refused(fine, **options)
    assert problem in message and message.startswith(__file__)


def carrying(body: bytes) -> Delivery:
    return Delivery(1, "job", "q", "shop.index", 1, body)


@dataclass
class Product:
    sku: str


async def test_a_message_carries_one_row_whatever_the_list_is_called() -> None:
    app = App(name="shop")
    store = attach(app, ScriptedStore())

    @app.batch_task(size=100, wait=timedelta(milliseconds=20), queue="index", retry=Retry(attempts=3))
    async def index(products: list[Product]) -> None: ...

    await index.enqueue(Product("mug"))
    await index.using(key="cup").enqueue(row=Product("cup"))  # type: ignore[call-arg]
    first, second = store.messages
    assert (first.task, first.queue, first.body, second.key) == ("shop.index", "index", b'{"row":{"sku":"mug"}}', "cup")
    route = app.routes()["shop.index"]
    assert (route.batch, route.retry.attempts, route.timeout) == (Batch(100, 0.02), 3, 600.0)
    assert [route.decode(carrying(message.body)) for message in store.messages] == [Product("mug"), Product("cup")]
    with pytest.raises(UndecodablePayload):
        route.decode(carrying(b'{"row":{"sku":7}}'))
    with pytest.raises(UnknownArgument):
        route.decode(carrying(b'{"row":{"sku":"mug"},"more":1}'))
    for wrong in (7, [Product("mug")]):
        with pytest.raises(PayloadError):
            await index.enqueue(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await index.enqueue(Product("mug"), Product("cup"))  # type: ignore[call-arg]


async def test_the_handler_is_called_with_what_it_asks_for() -> None:
    app = App(name="shop")
    seen: list[Any] = []

    @app.batch_task(size=10)
    async def index(ctx: Context, rows: Sequence[Later], client: object = inject(get_client)) -> None:
        seen.append((ctx.job_ids, rows, client))

    route = app.routes()["shop.index"]
    assert not route.bare and route.decode(carrying(b'{"row":{"n":1}}')) == Later(1)
    await index(Context(None, job_ids=["a", "b"]), [Later(1), Later(2)], client=None)  # type: ignore[call-arg,arg-type]
    assert seen == [(("a", "b"), [Later(1), Later(2)], None)]


@dataclass
class Later:
    """Named before it is defined."""

    n: int


def test_rows_without_a_type_are_plain_values() -> None:
    app = App(name="shop")

    @app.batch_task(size=10)
    def index(rows):  # type: ignore[no-untyped-def]
        ...

    @app.batch_task(size=10)
    def index_all(rows: list) -> None:  # type: ignore[type-arg]
        ...

    assert app.routes()["shop.index"].decode(carrying(b'{"row":[1]}')) == [1]
    assert app.routes()["shop.index_all"].decode(carrying(b'{"row":[1]}')) == [1]
    assert app.routes()["shop.index"].isolation == "thread"


def test_a_router_declares_them_too() -> None:
    mail, app = Router(), App(name="shop")

    @mail.batch_task(size=10, aliases=["old_send"])
    async def send(tx: Transaction, rows: list[int]) -> None: ...

    app.include(mail, prefix="mail")
    routes = app.routes()
    assert routes["shop.mail.send"] is routes["shop.old_send"] and routes["shop.mail.send"].transactional


# -- limits


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ({}, "give concurrency=, rate= or max_waiting="),
        ({"concurrency": 0}, "queue(concurrency=0): a number of jobs, at least 1"),
        ({"concurrency": True}, "a number of jobs"),
        ({"concurrency": 1.5}, "a number of jobs"),
        ({"concurrency": "50"}, "a number of jobs"),
        ({"max_waiting": 0}, "queue(max_waiting=0): a number of jobs, at least 1"),
        ({"rate": "often"}, "queue(rate=…): 'often' is not a rate"),
        ({"rate": "0/s"}, "pause the queue"),
        ({"rate": "2000000/s"}, "at most 1,000,000 a second"),
        ({"rate": 100}, "queue(rate=100): a text such as '100/s'"),
    ],
    ids=str,
)
def test_a_limit_that_cannot_be_is_refused_where_it_stands(limits: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        App(name="shop").queue("mail", **limits)
    assert problem in str(caught.value) and str(caught.value).startswith(__file__)


def test_a_queue_has_a_name() -> None:
    with pytest.raises(ConfigurationError, match="'no spaces' is not a name"):
        App(name="shop").queue("no spaces", concurrency=1)


def test_what_is_said_last_holds() -> None:
    app = App(name="shop")
    app.queue("mail", concurrency=50, rate="100/s", max_waiting=1_000)
    app.queue("reports", concurrency=2)
    app.queue("mail", rate="5/min")
    assert app._queues.limits == (Limit("mail", None, "5/min"), Limit("reports", 2, None))
    assert app._queues.max_waiting == {"mail": 1_000}
