"""Tasks: functions whose calls can be enqueued."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, ParamSpec, TypeVar

import msgspec

from penstock.api.definition import Definition
from penstock.api.hook import Hook, OnDead
from penstock.api.inject import Provider, provide
from penstock.api.job import Job
from penstock.api.joining import AMBIENT, Ambient, Connection, alone, joins, put, put_now
from penstock.api.link import Link
from penstock.api.options import Using, encoded_headers
from penstock.api.plan import BoundCall, Deferred, Packed, Plan, following
from penstock.errors import ConfigurationError, PayloadError
from penstock.model.clock import Duration
from penstock.model.message import Placed
from penstock.model.retry import Retry
from penstock.model.unique import Unique

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Task(Generic[P, R_co]):
    """A function whose calls can be enqueued. Made by `@app.task()` or `@router.task()`; called plainly it runs here and now.

    @mail.task(queue="mail", timeout=30)
    async def send_welcome_email(user_id: int, address: str) -> None: ...

    await send_welcome_email.enqueue(7, address="sam@example.com")
    await send_welcome_email.using(delay=3600).enqueue(7, address="sam@example.com")
    """

    def __init__(self, definition: Definition, using: Using) -> None:
        self._definition = definition
        self._using = using
        self._plan: Plan | None = None
        function = definition.signature.function
        self.__name__ = definition.signature.name
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __repr__(self) -> str:
        return f"<Task {self._definition.local()}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function itself, without a queue: `ctx` and `tx` are the caller's to give; `inject()` values may be given."""
        signature = self._definition.signature
        missing = {name: provider for name, provider in signature.providers.items() if name not in kwargs}
        if not missing:
            return signature.function(*args, **kwargs)
        if signature.asynchronous:
            return _provided(signature.function, missing, args, kwargs)
        return signature.function(*args, **kwargs, **{name: provider.value_now() for name, provider in missing.items()})

    @property
    def name(self) -> str:
        """The name in the store: the app's, the router's prefix and the function's, joined by dots."""
        return self._definition.wire

    @property
    def queue(self) -> str:
        """The queue its jobs wait in."""
        return self._definition.wire_queue

    @property
    def sync(self) -> SyncTask[P, R_co]:
        """The same for code without an event loop (Flask, Django, scripts). Options come before it."""
        return SyncTask(self)

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R_co]:
        """Keep one call of this task. Durable when it returns; in a handler that asked for `tx`, with that transaction.

        The arguments are checked here: TypeError for a missing or unknown one, PayloadError for one of the wrong type or that
        cannot travel, PayloadTooLarge above the app's limit; nothing is stored then. Raises QueueFull after 5 s without room,
        StoreError if the store cannot, PublishUnknown if its answer was lost (retry with `using(id=…)`).
        """
        plan = self._plan or self._prepare()
        body = plan.pack(args, kwargs)
        link = plan.link
        store = link.store_here()
        if store is None or plan.tx is not AMBIENT or not alone():
            call: Packed[R_co] = Packed(plan, body)
            return (await enqueue_many([call]))[0]
        placed = (await store.queue.put((plan.message(body, link.own_id),)))[0]
        return Job(placed.id, link, plan.result, placed.created)

    def bind(self, *args: P.args, **kwargs: P.kwargs) -> BoundCall[R_co]:
        """Check and encode a call for later: `app.enqueue_many(task.bind(i) for i in …)`. Errors as in `enqueue`."""
        if (plan := self._plan) is None:
            if self._definition.owner.attachment() is None:
                return Deferred(self._definition, self._using, lambda later: later.pack(args, kwargs))
            plan = self._prepare()
        return Packed(plan, plan.pack(args, kwargs))

    def bind_json(self, arguments: bytes | str) -> BoundCall[R_co]:
        """As `bind`, for arguments by name as a JSON object (from a command line). Raises PayloadError."""
        plan = self._plan or self._prepare()
        try:
            body = msgspec.json.encode(msgspec.json.decode(arguments))
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise PayloadError(f"{self.name}: the arguments are not JSON: {error}") from error
        self._definition.codec.check(body)
        return Packed(plan, body)

    def using(
        self,
        *,
        delay: Duration | None = None,
        at: datetime | None = None,
        priority: int | None = None,
        key: str | None = None,
        id: str | None = None,
        tx: Connection | None = AMBIENT,
        expires: Duration | datetime | None = None,
        headers: Mapping[str, str] | None = None,
        retry: Retry | None = None,
        timeout: Duration | None = None,
        unique: Unique | None = None,
        then: BoundCall[Any] | None = None,
    ) -> Task[P, R_co]:
        """The same task with options for its calls; later options win over earlier ones.

        `delay` (seconds or timedelta) or `at`: not before. `expires` (from now, or an instant): not started by then, it ends as
        expired. `priority` 0 to 9, 9 first, 4 unless said. `key`: jobs of one key in one queue run one at a time, in order.
        `id`: a second enqueue of it is the first one, while ids are remembered. `tx`: the transaction to join (a Transaction, a
        sqlite3.Connection, a SQLAlchemy Session or AsyncSession); None: none, also inside a handler with `tx`. `headers`: strings
        that travel with it. `retry` (without give_up), `timeout`: instead of the task's. `unique`: while a job of this task holds
        that name, `enqueue` returns it, with `created` False. `then`: a bound call that is enqueued when this one is done, in the
        same transaction, and finds its result as `ctx.previous`; not if it ends otherwise. Raises ConfigurationError.
        """
        using = self._using.when(delay, at).until(expires).placed(priority, key, id).tried(retry, timeout).named(unique, following(then))
        raw = encoded_headers(headers)
        using = using.through(using.tx if isinstance(tx, Ambient) else tx, using.headers if raw is None else raw)
        return Task(self._definition, using.checked())

    def on_dead(self, handler: OnDead, /) -> OnDead:
        """Decorate a function of one `DeadLetter` that is told of each job of this task that ends in the dead letters.

        It is enqueued in the transaction that writes the dead letter, and runs as a job of its own, with retries: at least
        once. `def` runs on a thread.
        """
        self._definition.hooked(Hook(handler))
        return handler

    def _prepare(self) -> Plan:
        self._plan = Plan(self._definition, self._using)
        return self._plan


class SyncTask(Generic[P, R_co]):
    """A `Task` for code without an event loop. Blocks the calling thread."""

    __slots__ = ("_task",)

    def __init__(self, task: Task[P, R_co]) -> None:
        self._task = task

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R_co]:
        """As `Task.enqueue`. Raises ConfigurationError on the thread of the event loop that the app runs on."""
        call = self._task.bind(*args, **kwargs)
        return enqueue_now([call], f"await {self._task.__name__}.enqueue(…)")[0]


async def enqueue_many(bound: Sequence[BoundCall[R]]) -> list[Job[R]]:
    """All or none, in one transaction."""
    calls = [call.packed() for call in bound]
    if not calls:
        return []
    link, tx = _destination(calls)
    here = link.store_here()
    store = here or await link.opened()
    next_id = (link.foreign_ids if here is None else link.own_ids)(len(calls))
    messages = [call.plan.message(call.body, next_id) for call in calls]
    placed = await put(link, store, messages, tx)
    return _jobs(calls, placed)


def enqueue_now(bound: Sequence[BoundCall[R]], instead: str) -> list[Job[R]]:
    calls = [call.packed() for call in bound]
    if not calls:
        return []
    link, tx = _destination(calls)
    store = link.opened_now(instead)
    next_id = link.foreign_ids(len(calls))
    messages = [call.plan.message(call.body, next_id) for call in calls]
    placed = put_now(link, store, messages, tx, instead)
    return _jobs(calls, placed)


def _jobs(calls: Sequence[Packed[R]], placed: Sequence[Placed]) -> list[Job[R]]:
    link, uncommitted = calls[0].plan.link, joins(calls[0].plan.tx)
    return [Job(one.id, link, call.plan.result, one.created, uncommitted) for call, one in zip(calls, placed, strict=True)]


def _destination(calls: Sequence[Packed[Any]]) -> tuple[Link, Connection | None]:
    first = calls[0].plan
    for call in calls:
        if call.plan.link is not first.link:
            raise ConfigurationError("enqueue_many: the calls belong to several apps; enqueue those of each by themselves")
        if call.plan.tx is not first.tx:
            raise ConfigurationError("enqueue_many: the calls go to several transactions; enqueue those of each by themselves")
    return first.link, first.tx


async def _provided(function: Callable[..., Any], missing: Mapping[str, Provider], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return await function(*args, **kwargs, **await provide(missing))
