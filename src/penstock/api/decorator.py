"""The type of `@app.task()`: from a handler to a Task that takes what its messages carry."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeAlias, TypeVar, overload

from penstock.api.context import Context
from penstock.api.task import Task
from penstock.api.transaction import Transaction

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
