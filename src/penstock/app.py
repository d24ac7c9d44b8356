"""The app: a router that can run. The only module that knows everyone."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from difflib import get_close_matches
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast, overload

import msgspec

from penstock import config, connect
from penstock.api import place
from penstock.api.batchroute import route_of
from penstock.api.definition import Attachment, Definition, Handled
from penstock.api.gathering import gather
from penstock.api.job import Job, plain
from penstock.api.limits import QueueLimits
from penstock.api.link import Link
from penstock.api.options import Using, named
from penstock.api.plan import BoundCall
from penstock.api.route import HandlerRoute, HookRoute
from penstock.api.router import Router
from penstock.api.subscription import refuse_shared_queues
from penstock.api.sync import SyncApp
from penstock.api.task import Task, enqueue_many
from penstock.api.transaction import Transaction, TransactionBlock
from penstock.engine.program import Hook, Program, WorkerOptions
from penstock.errors import ConfigurationError, NotFound
from penstock.model.clock import Duration
from penstock.model.delivery import Delivery
from penstock.model.message import MAX_BODY
from penstock.model.outcome import Outcome
from penstock.model.schedule import Schedule
from penstock.observe.signals import Signals
from penstock.ports.handler import Route
from penstock.ports.store import Durability, Store

if TYPE_CHECKING:
    from penstock.engine.worker import Worker

AppT = TypeVar("AppT")
R = TypeVar("R")

End: TypeAlias = Coroutine[Any, Any, None] | None
Next: TypeAlias = Callable[[Delivery], Awaitable[Outcome]]
Stage: TypeAlias = Callable[[Delivery, Next], Awaitable[Outcome]]
Lifespan: TypeAlias = Callable[[], AbstractAsyncContextManager[object]]
OnError = TypeVar("OnError", bound=Callable[[Delivery, Exception], End])


class App(Router):
    """Tasks, and the store that keeps their jobs. Declaring one opens nothing: the first use does.

    `store`: a URL, `sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://user@host/database`; unless given, PENSTOCK_STORE,
    `[tool.penstock] store` in the pyproject.toml nearest to the file that makes the app, else `sqlite:///penstock.db` beside that.
    `name`: part of the name of every task and of the default queue, so that apps that share a store do not meet by chance; unless given,
    the project's name in that pyproject.toml, else the file's stem. Keep it when the project is renamed: waiting jobs carry it. `lifespan`:
    a function without parameters that returns an async context manager, entered once per worker; what it yields is `ctx.state`.
    `durability`: `power` (what was accepted survives power loss), `process` (crashes only), `inherit` (whatever a connection that is joined
    has set). `payload_limit`: bytes of a job's encoded arguments, or result. `migrate`: bring an older schema up to date at opening; unless
    given, a file's is, and a database's is left to `penstock store migrate`. `transactions`: a SQLAlchemy Engine or
    AsyncEngine on it, for sessions on handlers' transactions (`penstock.integrations.sqlalchemy.session`). Raises ConfigurationError.

        app = App("sqlite:///shop.db", name="shop")

        @app.task()
        async def send_welcome_email(user_id: int, address: str) -> None: ...

        await send_welcome_email.enqueue(7, address="sam@example.com")
    """

    def __init__(
        self,
        store: str | None = None,
        /,
        *,
        name: str | None = None,
        lifespan: Lifespan | None = None,
        durability: Literal["power", "process", "inherit"] = "power",
        payload_limit: int = MAX_BODY,
        migrate: bool | None = None,
        transactions: object = None,
    ) -> None:
        super().__init__()
        if store is not None:
            connect.check_url(store)
        if durability not in ("power", "process", "inherit"):
            raise ConfigurationError(f"App(durability={durability!r}): 'power', 'process' or 'inherit'")
        if payload_limit < 1024:
            raise ConfigurationError(f"App(payload_limit={payload_limit!r}): bytes, at least 1024")
        if lifespan is not None and not callable(lifespan):
            raise ConfigurationError("App(lifespan=…): pass the function, not what it returns")
        self.place = config.Place(store, lambda: self._folder)
        self._name = None if name is None else named("App(name=…)", name)
        self._file = _file_of_caller()
        self._lifespan = lifespan
        self._durability: Durability = durability
        self._migrate = migrate
        self._queues = QueueLimits()
        self._stages: list[Stage] = []
        self._error_hooks: list[Callable[[Delivery, Exception], End]] = []
        self._link = Link(lambda: self.open_store(partial(connect.make_store, transactions=transactions)), connect.foreign)
        self._attachment = Attachment(lambda: self.name, self._link, payload_limit)
        self._signals = Signals()
        self.source: connect.Source | None = None
        """How child processes find this app; None: it is looked for."""

    def __repr__(self) -> str:
        return f"<App {self.name} on {self.found.masked}>"

    # -- identity

    @cached_property
    def name(self) -> str:
        """As given, or derived (see the class)."""
        return self._name or config.app_name(self._file, self._folder)

    @property
    def found(self) -> config.Found:
        """The store's URL, and where it was said. Raises ConfigurationError where a framework no longer has a place for it."""
        return self.place.found

    @property
    def signals(self) -> Signals:
        """What the workers and the store of this app report, for whoever listens."""
        return self._signals

    @property
    def _folder(self) -> Path:
        return self._file.parent if self._file is not None else Path.cwd()

    def attachment(self) -> Attachment:
        return self._attachment

    def find(self, name: str) -> Task[..., Any]:
        """A task by its name, with or without the app's. Raises NotFound with names that come near."""
        known = {name: each for name, each in self.definitions().items() if isinstance(each, Definition)}
        definition = known.get(name) or known.get(name.removeprefix(f"{self.name}."))
        if definition is None:
            near = get_close_matches(name.removeprefix(f"{self.name}."), list(known), n=3)
            raise NotFound(f"app {self.name!r} has no task {name!r}{'; near: ' + ', '.join(near) if near else ''}")
        return Task(definition, Using())

    # -- jobs

    @property
    def sync(self) -> SyncApp:
        """The same for code without an event loop (Flask, Django, scripts)."""
        return SyncApp(self._link)

    async def enqueue_many(self, calls: Iterable[BoundCall[R]], /) -> list[Job[R]]:
        """Keep all of these calls or none, in one transaction; each with its own options. Errors as in `Task.enqueue`.

        The calls of one batch must have the same `using(tx=…)`.

            await app.enqueue_many(send_welcome_email.bind(i, address=a) for i, a in users)
        """
        return await enqueue_many(list(calls))

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction of this app's store: commits at the end of the block, rolls back on an exception.

        It begins at its first statement and may stay open for 5 s. A job joins it with `using(tx=tx)`.

        Inside a handler that asked for `tx`, and inside another such block, it is a savepoint; in a handler whatever is enqueued in
        it joins it by itself. Those of several tasks take turns: the next begins when the one before has ended, or raises
        TransactionClosed when the transaction around them ends first.

            async with app.transaction() as tx:
                await tx.execute("insert into users (name) values (:name)", name=name)
                await send_welcome_email.using(tx=tx).enqueue(7, address=address)
        """
        return TransactionBlock(self._link)

    def job(self, id: str, /) -> Job[Any]:
        """A handle for a job whose id is known. Its result comes as plain JSON values."""
        return Job(id, self._link, plain, created=False, uncommitted=True)

    async def gather(self, jobs: Iterable[Job[R]], /, *, timeout: Duration | None = None) -> list[R]:
        """The results of all these jobs, in their order. Raises what `Job.result` raises for the first that fails, at once: the other
        jobs go on, nobody waits for them any more. TimeoutError after `timeout` seconds.

            totals = await app.gather(await app.enqueue_many(count_words.bind(page) for page in pages), timeout=60)
        """
        return await gather(jobs, timeout)

    # -- what surrounds handlers

    def queue(self, name: str, /, *, concurrency: int | None = None, rate: str | None = None, max_waiting: int | None = None) -> None:
        """Limits over all workers of the store, by the worker that started last; an operator's win. Raises ConfigurationError.
        `concurrency`: so many jobs run at once. `rate`: how many start: `100/s`, `5/min`, `1000/h`, `10/d`; burst: a tenth of a second's,
        at least 1. `max_waiting`: while so many wait, `enqueue` waits up to 5 s, then raises QueueFull.
        """
        self._queues.say(f"{place.caller()}: queue", name, concurrency, rate, max_waiting)

    def use(self, stage: Stage, /) -> None:
        """Middleware around every handler, the first one outermost; takes effect when a worker starts.

        async def measured(delivery: Delivery, next: Next) -> Outcome:
            outcome = await next(delivery)
            return outcome
        """
        _takes(stage, 2, "use(): a stage is  async def stage(delivery, next) -> Outcome")
        self._stages.append(stage)

    def on_error(self, handler: OnError, /) -> OnError:
        """Decorate a function that is told of each failed attempt: `(delivery: Delivery, error: Exception)`, sync or async.

        For logs and alerts: it is not durable, and what it raises is logged and changes nothing.
        """
        _takes(handler, 2, "on_error: a hook takes (delivery: Delivery, error: Exception)")
        self._error_hooks.append(handler)
        return handler

    # -- running

    def routes(self) -> Mapping[str, Route]:
        """All tasks as the engine runs them, by name; aliases and `on_dead` hooks included. Compiles their codecs.

        Raises ConfigurationError naming the task and the parameter whose type cannot be resolved or cannot travel.
        """
        routes: dict[str, Route] = {}
        refuse_shared_queues(self._unique())
        for definition in self._unique():
            served: list[Route] = [route_of(definition)]
            if definition.hook is not None:
                served.append(HookRoute(definition, definition.hook))
            for route in served:
                routes.update(dict.fromkeys((route.name, *route.aliases), route))
        return routes

    def schedules(self) -> Sequence[Schedule]:
        """As the store keeps them. Raises ConfigurationError naming the place of one whose call cannot be made."""
        return tuple(declared.schedule(self._link) for declared in self._schedules.values())

    @asynccontextmanager
    async def worker(self, options: WorkerOptions | None = None) -> AsyncGenerator[Worker, None]:
        """Run a worker on this event loop while the block is open. Leaving it finishes or releases what runs.

        Enters the app's lifespan first. Raises ConfigurationError for tasks that cannot run: unresolvable types, a `Context[…]`
        that the lifespan does not yield; StoreError if the store cannot be opened.

            async with app.worker(WorkerOptions(concurrency=50)):
                await stopped.wait()
        """
        store = await self._link.settle_here()
        async with self.resources() as state:
            chosen = options or WorkerOptions()
            chosen = msgspec.structs.replace(chosen, app=chosen.app or self.name)
            worker = connect.make_worker(store, self.program(state), chosen, self._signals)
            await worker.start()
            try:
                yield worker
            finally:
                await worker.stop()

    @overload
    def lifespan(self, /, *, work: bool = False) -> Callable[[object], AbstractAsyncContextManager[None]]: ...
    @overload
    def lifespan(
        self, mine: Callable[[AppT], AbstractAsyncContextManager[R]], /, *, work: bool = False
    ) -> Callable[[AppT], AbstractAsyncContextManager[R]]: ...
    def lifespan(self, mine: Callable[[Any], AbstractAsyncContextManager[Any]] | None = None, /, *, work: bool = False) -> Any:
        """For Starlette and FastAPI: opens this app with the web app and closes it with it. `work=True`: runs a worker here too.

        web = FastAPI(lifespan=app.lifespan(mine))          # or app.lifespan()
        """

        @asynccontextmanager
        async def together(web: Any) -> AsyncGenerator[Any, None]:
            async with AsyncExitStack() as stack:
                stack.push_async_callback(self.close)
                await self._link.opened()
                if work:
                    await stack.enter_async_context(self.worker())
                yield None if mine is None else await stack.enter_async_context(mine(web))

        return together

    async def close(self) -> None:
        """Let go of the store. Idempotent; a later use opens it again."""
        await self._link.close()

    # -- parts

    async def open_store(self, make: connect.MakeStore) -> Store:
        """Open a store that `make` makes, with this app's settings, on the running loop."""
        store = make(self.found.url, durability=self._durability, signals=self._signals, limits=self._queues.max_waiting)
        try:
            await store.open(migrate=connect.migrates_itself(self.found.url) if self._migrate is None else self._migrate)
        except BaseException:
            await store.close()
            raise
        return store

    def program(self, state: object, url: str | None = None) -> Program:
        """What a worker runs; `state` is what the lifespan yielded, `url` another store than its own. Raises ConfigurationError."""
        routes = self.routes()
        for route in routes.values():
            if isinstance(route, HandlerRoute):
                route.check_state(state)
        subscriptions, topics = self.feeds()
        hooks = tuple(cast("list[Hook]", self._error_hooks))
        apart = {route.module for route in routes.values() if isinstance(route, HandlerRoute) and route.isolation == "process"}
        nursery = connect.nursery(self, apart, self.source, url or self.found.url)
        limits = (*self.own_limits(), *self._queues.limits)
        return Program(routes, tuple(self._stages), hooks, state, subscriptions, topics, self.schedules(), nursery, limits)

    @asynccontextmanager
    async def resources(self) -> AsyncGenerator[object, None]:
        """The app's lifespan, as a worker enters it; None where it has none."""
        if self._lifespan is None:
            yield None
            return
        manager = cast(object, self._lifespan())
        if not isinstance(manager, AbstractAsyncContextManager):
            raise ConfigurationError(
                f"App(lifespan=…) must return an async context manager, not a {type(manager).__name__}: "
                f"decorate it with @asynccontextmanager"
            )
        async with cast("AbstractAsyncContextManager[object]", manager) as state:
            yield state

    def _unique(self) -> list[Handled]:
        return list({id(definition): definition for definition in self.definitions().values()}.values())


def load_app(target: str) -> App:
    """The app that `module:variable` names. Raises ConfigurationError; what the module itself raises comes through."""
    found = connect.load_object(target)
    if not isinstance(found, App):
        raise ConfigurationError(f"{target!r} is a {type(found).__name__}, not a penstock.App")
    return found


def _file_of_caller() -> Path | None:
    frame = place.outside()
    file = Path(frame.f_code.co_filename) if frame is not None else None
    return file.absolute() if file is not None and file.is_file() else None


def _takes(function: Callable[..., Any], count: int, wanted: str) -> None:
    try:
        inspect.signature(function).bind(*(None,) * count)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{place.caller()}: {wanted}") from None
