"""What can be a task, and what it is called."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from penstock import App, Context, Delivery, Retry, Router, Transaction, inject
from penstock.errors import ConfigurationError, NotFound
from tests.typing import typing_ok

if TYPE_CHECKING:
    import penstock as hidden


async def get_client() -> object:
    return object()


def refused(function: Callable[..., Any], **options: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        App(name="shop").task(**options)(function)
    return str(caught.value)


def line_of(function: Callable[..., Any]) -> str:
    return f"{__file__}:{inspect.unwrap(function).__code__.co_firstlineno}"


async def star(*args: int) -> None: ...
async def stars(**kwargs: int) -> None: ...
async def positional(a: int, /) -> None: ...
async def context_late(a: int, ctx: Context) -> None: ...
async def transaction_late(a: int, tx: Transaction) -> None: ...
async def keyword_context(*, ctx: Context) -> None: ...
async def swapped(tx: Transaction, ctx: Context, a: int) -> None: ...
async def two_contexts(ctx: Context, other: Context) -> None: ...
async def asyncgen(a: int) -> AsyncIterator[int]:
    yield a


def generator(a: int) -> Iterator[int]:
    yield a


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (star, "*args cannot be stored by name"),
        (stars, "**kwargs cannot be stored by name"),
        (positional, "a is positional-only"),
        (context_late, "'ctx' is injected, and injected parameters come first, in the order ctx, tx"),
        (transaction_late, "'tx' is injected"),
        (keyword_context, "'ctx' is injected"),
        (swapped, "'ctx' is injected"),
        (two_contexts, "'other' is injected"),
        (asyncgen, "yields"),
        (generator, "yields"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_handler_that_cannot_be_one_is_refused_where_it_stands(function: Callable[..., Any], problem: str) -> None:
    message = refused(function)
    assert problem in message
    assert message.startswith(f"{line_of(function)}: task {function.__name__!r}")


def test_only_a_function_is_a_handler() -> None:
    assert "is not a function" in refused(functools.partial(get_client))


async def fine(a: int) -> None: ...
def blocking(a: int) -> None: ...
def transacting(ctx: Context, tx: Transaction, a: int) -> None: ...


WRONG_AMOUNTS = (512, 512_000_000.0, "", "512", "MB", "512 MB ", "-512MB", "1e3MB", "512mb", "512M", "0x20MB", "٥١٢MB", "512MB\n")


@pytest.mark.parametrize(
    ("function", "options", "problem"),
    [
        (blocking, {"isolation": "loop"}, "would block the event loop"),
        (fine, {"isolation": "thread"}, "is for def"),
        (transacting, {"isolation": "process"}, "cannot take tx"),
        (blocking, {"isolation": "fiber"}, "'loop', 'thread' or 'process'"),
        (blocking, {"memory": "512MB"}, "needs isolation='process'"),
        (fine, {"isolation": "loop", "memory": "512MB"}, "needs isolation='process'"),
        *((fine, {"isolation": "process", "memory": wrong}, "write a number and a unit") for wrong in WRONG_AMOUNTS),
        (fine, {"isolation": "process", "memory": "31MB"}, "at least 32MB"),
        (fine, {"isolation": "process", "memory": "0GB"}, "at least 32MB"),
        (fine, {"queue": "no spaces"}, "task(queue=…): 'no spaces' is not a name"),
        (fine, {"queue": ""}, "is not a name"),
        (fine, {"name": "no spaces"}, "is not a name"),
        (fine, {"name": "a.on_dead"}, "those of on_dead hooks"),
        (fine, {"aliases": ["no spaces"]}, "is not a name"),
        (fine, {"timeout": 0}, "task(timeout=…): 0 is not a length of time above 0"),
        (fine, {"timeout": "1h"}, "neither a number of seconds nor a timedelta"),
        (fine, {"retry": 3}, "pass a Retry"),
    ],
    ids=str,
)
def test_an_option_that_cannot_be_is_refused(function: Callable[..., Any], options: dict[str, Any], problem: str) -> None:
    assert problem in refused(function, **options)


def test_an_unknown_option_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        App(name="shop").task(uniqe=1)  # type: ignore[call-arg]


def test_injected_parameters_are_found_behind_names_that_only_checkers_import() -> None:
    app = App(name="shop")

    @app.task()
    async def report(ctx: hidden.Context[object], tx: hidden.Transaction, a: int) -> None: ...

    route = app.routes()["shop.report"]
    assert route.transactional and not route.bare
    assert route.decode(Delivery(1, "job", "queue", "task", 1, b'{"a": 1}')).a == 1


# -- names


def test_a_name_is_app_prefix_and_function() -> None:
    app, shop, mail = App(name="shop"), Router(), Router()

    @mail.task()
    async def welcome(a: int) -> None: ...

    shop.include(mail, prefix="mail")
    app.include(shop, prefix="eu")

    @mail.task(queue="mail", name="goodbye", aliases=["bye"])
    def farewell(a: int) -> None: ...

    assert (welcome.name, welcome.queue) == ("shop.eu.mail.welcome", "shop.default")
    assert (farewell.name, farewell.queue) == ("shop.goodbye", "mail")
    routes = app.routes()
    assert set(routes) == {"shop.eu.mail.welcome", "shop.goodbye", "shop.bye"}
    assert routes["shop.bye"] is routes["shop.goodbye"]
    assert app.find("eu.mail.welcome").name == app.find("shop.eu.mail.welcome").name == welcome.name
    with pytest.raises(NotFound, match=r"near: eu\.mail\.welcome"):
        app.find("eu.mail.welcom")


def test_a_duplicate_name_names_both_places() -> None:
    app, mail, post = App(name="shop"), Router(), Router()
    app.task()(fine)
    with pytest.raises(ConfigurationError) as caught:
        app.task()(fine)
    assert str(caught.value) == f"{line_of(fine)}: the task name 'fine' exists already, at {line_of(fine)}"

    mail.task(name="fine")(blocking)
    with pytest.raises(ConfigurationError, match="'fine' exists already"):
        app.include(mail, prefix="mail")

    app.include(post, prefix="post")
    app.task(name="post.fine")(blocking)
    with pytest.raises(ConfigurationError, match=r"'post\.fine' exists already"):
        post.task()(fine)
    with pytest.raises(ConfigurationError, match="'fine' exists already"):
        app.task(name="other", aliases=["fine"])(blocking)


def test_what_is_refused_leaves_no_name_behind() -> None:
    app, post = App(name="shop"), Router()
    app.include(post, prefix="post")
    app.task(name="post.fine")(blocking)
    with pytest.raises(ConfigurationError):
        post.task()(fine)
    assert list(post.definitions()) == []


def test_a_router_belongs_to_one_app() -> None:
    one, two, mail = App(name="one"), App(name="two"), Router()
    one.include(mail)
    with pytest.raises(ConfigurationError, match=r"is included already, at .*test_definitions\.py:\d+; a router belongs to one app"):
        two.include(mail)
    with pytest.raises(ConfigurationError, match="is an app"):
        one.include(two)
    with pytest.raises(ConfigurationError, match="cannot include itself"):
        mail_of_its_own = Router()
        mail_of_its_own.include(mail_of_its_own)
    with pytest.raises(ConfigurationError, match="is not a name"):
        one.include(Router(), prefix="a b")


async def test_a_task_without_an_app_says_so() -> None:
    mail = Router()
    task = mail.task()(fine)
    with pytest.raises(ConfigurationError, match="used before its router is part of an app"):
        await task.enqueue(1)
    with pytest.raises(ConfigurationError, match=r"app\.include\(router\) first"):
        print(task.name)


def test_names_count_with_the_apps() -> None:
    app = App(name="a" * 100)
    task = app.task(name="b" * 50)(fine)
    with pytest.raises(ConfigurationError, match="the app's name counts"):
        print(task.name)


# -- defaults


def test_what_a_task_has_unless_said() -> None:
    app = App(name="shop")
    app.task()(fine)
    app.task()(blocking)
    app.task(name="endless", timeout=math.inf)(fine)
    app.task(name="quick", timeout=5, retry=Retry(attempts=3))(blocking)
    app.task(name="apart", isolation="process")(blocking)
    app.task(name="apart_too", isolation="process", timeout=math.inf)(fine)
    routes = app.routes()
    assert [(r.isolation, r.timeout, r.retry.attempts, r.bare) for r in routes.values()] == [
        ("loop", 600.0, 10, True),
        ("thread", None, 10, True),
        ("loop", None, 10, True),
        ("thread", 5.0, 3, True),
        ("process", 600.0, 10, True),
        ("process", None, 10, True),
    ]


@pytest.mark.parametrize(
    ("memory", "size"),
    [("32MB", 32 * 10**6), ("512 MB", 512 * 10**6), ("1.5GB", 1_500_000_000), ("64MiB", 2**26), ("2GiB", 2**31), ("65536kB", 65_536_000)],
)
def test_an_amount_of_memory(memory: str, size: int) -> None:
    app = App(name="shop")
    app.task(isolation="process", memory=memory)(blocking)
    assert [route.memory for route in app.routes().values()] == [size]


def test_a_task_looks_like_its_function() -> None:
    @App(name="shop").task()
    async def documented(a: int) -> None:
        """Does it."""

    assert documented.__name__ == "documented"
    assert documented.__doc__ == "Does it."
    assert list(inspect.signature(documented).parameters) == ["a"]
    assert repr(documented) == "<Task documented>"


# -- plain calls


async def test_a_plain_call_runs_the_function() -> None:
    app = App(name="shop")

    @app.task()
    async def report(ctx: Context, month: str) -> str:
        return f"{month} {ctx.attempt} {ctx.job_id} {ctx.cancelled} {dict(ctx.headers)}"

    @app.task()
    def add(a: int, b: int = 2) -> int:
        return a + b

    assert await report(Context(None, job_id="j", attempt=3, headers={"x": "1"}), "May") == "May 3 j False {'x': '1'}"
    assert add(1) == 3


async def test_a_plain_call_makes_what_is_injected() -> None:
    async def get_number() -> int:
        return 7

    app = App(name="shop")

    @app.task()
    async def double(by: int, number: int = inject(get_number)) -> int:
        return by * number

    @app.task()
    def triple(number: int = inject(lambda: 3)) -> int:
        return number

    @app.task()
    def impossible(number: int = inject(get_number)) -> int:
        return number

    assert await double(2) == 14
    assert await double(2, number=1) == 2
    assert triple() == 3
    with pytest.raises(TypeError, match="is async, the function is not"):
        impossible()


# -- hooks and middleware


def test_hooks_and_stages_take_what_they_are_given() -> None:
    app = App(name="shop")
    task = app.task()(fine)
    with pytest.raises(ConfigurationError, match=r"takes one parameter, \(letter: DeadLetter\)"):
        task.on_dead(lambda: None)  # type: ignore[type-var]
    task.on_dead(lambda letter: None)
    with pytest.raises(ConfigurationError, match="has an on_dead hook already, at"):
        task.on_dead(lambda letter: None)
    with pytest.raises(ConfigurationError, match="on_error: a hook takes"):
        app.on_error(lambda error: None)  # type: ignore[type-var]
    with pytest.raises(ConfigurationError, match=r"use\(\): a stage is"):
        app.use(lambda: None)  # type: ignore[arg-type, misc]
    assert set(app.routes()) == {"shop.fine", "shop.fine.on_dead"}
    assert app.routes()["shop.fine"].hook


@pytest.mark.parametrize("most", [0, -1, True])
def test_a_queue_has_room_for_one(most: int) -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        App(name="shop").queue("mail", max_waiting=most)


def test_every_form_that_type_checkers_accept_also_compiles() -> None:
    assert typing_ok.app.name == "shop"
    assert set(typing_ok.app.routes()) >= {"shop.mail.send_welcome_email", "shop.mail.send_welcome_email.on_dead", "shop.old_report"}
