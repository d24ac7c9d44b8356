"""Declares tasks. Knows no store."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeAlias, TypeVar, cast, overload

from penstock.api import place
from penstock.api.context import Context
from penstock.api.definition import Attachment, Definition
from penstock.api.options import Using, named, positive
from penstock.api.route import DEFAULT_TIMEOUT, ON_DEAD
from penstock.api.signature import Signature, read
from penstock.api.task import Task
from penstock.api.transaction import Transaction
from penstock.errors import ConfigurationError
from penstock.model.clock import Duration
from penstock.model.retry import Retry
from penstock.ports.handler import Isolation

P = ParamSpec("P")
R = TypeVar("R")

Async: TypeAlias = Coroutine[Any, Any, R]


class _Anything:
    """Only a parameter typed `Any` or `object` accepts it; else `payload: object` would pass for a `ctx` or a `tx`."""


class TaskDecorator(Protocol):
    """Turns a handler into a Task that takes what its messages carry: `ctx` and `tx` are dropped from the front."""

    @overload
    def __call__(self, function: Callable[Concatenate[_Anything, P], Any], /) -> Task[..., Any]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context[Any], _Anything, P], Any], /) -> Task[..., Any]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context[Any], Transaction, P], Async[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context[Any], Transaction, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context[Any], P], Async[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context[Any], P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Transaction, P], Async[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Transaction, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Async[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class _Declared:
    """A name in a router: of a task, or an alias of it."""

    __slots__ = ("definition", "whole")

    def __init__(self, definition: Definition, whole: bool) -> None:
        self.definition = definition
        self.whole = whole
        """The user gave it: prefixes are not added."""


class Router:
    """A set of tasks that is declared apart from the app, so that modules need not import it.

    mail = Router()

    @mail.task()
    async def send_welcome_email(user_id: int, address: str) -> None: ...

    app.include(mail, prefix="mail")                # the task is now `<app>.mail.send_welcome_email`
    """

    def __init__(self) -> None:
        self._parent: Router | None = None
        self._prefix = ""
        self._included = ""
        self._names: dict[str, _Declared] = {}

    def include(self, router: Router, *, prefix: str = "") -> None:
        """Take over all tasks of `router`, those it declares later included. Once for each router; they may nest.

        Raises ConfigurationError for a name that exists already, naming both places, and for a router included before.
        """
        where = place.caller()
        if router._parent is not None or router.attachment() is not None:
            before = f"is included already, at {router._included}" if router._included else "is an app"
            raise ConfigurationError(f"{where}: this router {before}; a router belongs to one app")
        if router in self._line():
            raise ConfigurationError(f"{where}: a router cannot include itself")
        router._prefix = named(f"{where}: include(prefix=…)", prefix) + "." if prefix else ""
        for name, declared in router._names.items():
            self._register(name if declared.whole else router._prefix + name, declared)
        router._parent = self
        router._included = where

    def task(
        self,
        *,
        name: str | None = None,
        aliases: Sequence[str] = (),
        queue: str | None = None,
        isolation: Literal["loop", "thread"] | None = None,
        retry: Retry | None = None,
        timeout: Duration | None = None,
    ) -> TaskDecorator:
        """Declare a task. Its name in the store is `<app>.<prefix>.<function>`, never the module's.

        `name` is instead of `<prefix>.<function>`, whole: give it to move the function; `aliases`: older such names whose jobs
        are still to be run. `queue`: shared under exactly this name with every other app that names it; unless given, the
        app's own, `<app>.default`. `isolation`: `loop` for `async def`, `thread` for `def`. `retry`: 10 attempts, 1 s doubling
        to 1 h with full jitter, unless given. `timeout`: 10 minutes for coroutines unless given (math.inf: none).
        A new parameter of a task that is in use needs a default.

        Raises ConfigurationError, naming file and line: for `*args`, `**kwargs` and positional-only parameters, injected
        parameters that do not come first in the order ctx, tx, and duplicate names.
        """
        if retry is not None and not isinstance(cast(object, retry), Retry):
            raise ConfigurationError(f"{place.caller()}: task(retry={retry!r}): pass a Retry, e.g. Retry(attempts=3)")

        def decorate(function: Callable[..., Any]) -> Task[..., Any]:
            signature = read(function, name or _name(function), _locals(function))
            definition = Definition(
                self,
                signature,
                name=name,
                aliases=tuple(aliases),
                queue=None if queue is None else named(f"{signature.place}: task(queue=…)", queue),
                isolation=_isolation(signature, isolation),
                retry=retry or Retry(),
                timeout=_timeout(signature, timeout),
            )
            self._declare(definition)
            return Task(definition, Using())

        return cast(TaskDecorator, decorate)

    # -- names

    def attachment(self) -> Attachment | None:
        """What the app gives; None as long as this router is in none."""
        return None if self._parent is None else self._parent.attachment()

    def qualified(self, name: str) -> str:
        """The name within the app."""
        return name if self._parent is None else self._parent.qualified(self._prefix + name)

    def definitions(self) -> Mapping[str, Definition]:
        """By name within this router; aliases included."""
        return {name: declared.definition for name, declared in self._names.items()}

    def _declare(self, definition: Definition) -> None:
        where = definition.signature.place
        own = definition.given or definition.signature.name
        given = definition.given is not None
        self._register(named(f"{where}: task(name=…)", own), _Declared(definition, given))
        for alias in definition.aliases:
            self._register(named(f"{where}: task(aliases=…)", alias), _Declared(definition, True))

    def _register(self, name: str, declared: _Declared) -> None:
        """In this router and in all it is included in; in none of them if it exists in one."""
        levels = self._levels(name, declared.whole)
        for router, known_as in levels:
            _refuse_duplicate(known_as, declared.definition, router._names)
        for router, known_as in levels:
            router._names[known_as] = declared

    def _levels(self, name: str, whole: bool) -> list[tuple[Router, str]]:
        levels: list[tuple[Router, str]] = [(self, name)]
        for router in self._line()[:-1]:
            name = name if whole else router._prefix + name
            parent = router._parent
            if parent is not None:
                levels.append((parent, name))
        return levels

    def _line(self) -> list[Router]:
        """This router and all it is included in."""
        line: list[Router] = [self]
        while line[-1]._parent is not None:
            line.append(line[-1]._parent)
        return line


def _refuse_duplicate(name: str, definition: Definition, known: Mapping[str, _Declared]) -> None:
    where = definition.signature.place
    if name.endswith(ON_DEAD):
        raise ConfigurationError(f"{where}: the task name {name!r}: names that end in {ON_DEAD!r} are those of on_dead hooks")
    if name in known:
        raise ConfigurationError(f"{where}: the task name {name!r} exists already, at {known[name].definition.signature.place}")


def _name(function: Callable[..., Any]) -> str:
    return function.__name__ if inspect.isfunction(function) else repr(function)


def _locals(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Names that annotations of a function defined inside another may mean."""
    if not inspect.isfunction(function) or "<locals>" not in function.__qualname__:
        return {}
    frame = place.outside()
    return dict(frame.f_locals) if frame is not None else {}


def _isolation(signature: Signature, wanted: str | None) -> Isolation:
    fitting: Isolation = "loop" if signature.asynchronous else "thread"
    if wanted in (None, fitting):
        return fitting
    problem = {
        "loop": "isolation='loop' is for async def; a def would block the event loop",
        "thread": "isolation='thread' is for def; an async def runs on the event loop",
        "process": "isolation='process' is not available in this version",
    }.get(wanted or "", f"isolation={wanted!r}: 'loop' or 'thread'")
    raise ConfigurationError(f"{signature.place}: task {signature.task!r}: {problem}")


def _timeout(signature: Signature, timeout: Duration | None) -> float | None:
    if timeout is None:
        return DEFAULT_TIMEOUT if signature.asynchronous else None
    return None if timeout == math.inf else positive(f"{signature.place}: task(timeout=…)", timeout)
