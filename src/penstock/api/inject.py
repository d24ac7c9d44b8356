"""Values that a handler asks for and no message carries: `client: Client = inject(get_client)`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar, cast, overload

R = TypeVar("R")


class Provider:
    """The default value of an injected parameter until a worker replaces it."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], object]) -> None:
        self.make = make

    async def value(self) -> object:
        made = self.make()
        return await cast(Awaitable[object], made) if inspect.isawaitable(made) else made

    def value_now(self) -> object:
        made = self.make()
        if inspect.iscoroutine(made):
            made.close()
            raise TypeError(f"{self!r} is async, the function is not: pass a value for this parameter")
        return made

    def __repr__(self) -> str:
        return f"inject({self.make!r})"


@overload
def inject(provider: Callable[[], Coroutine[Any, Any, R]], /) -> R: ...
@overload
def inject(provider: Callable[[], R], /) -> R: ...
def inject(provider: Callable[[], Any], /) -> Any:
    """Ask for what `provider` returns, anew for each run of the handler.

    `provider` takes nothing and may be a coroutine function. It runs on the worker's event loop, so it must not block; cache
    in it what is expensive (or yield it from the app's lifespan, as `ctx.state`). Passing a value for such a parameter at
    `enqueue` is a TypeError. An error it raises counts as the handler's.

        @app.task()
        async def sync_prices(shop: str, client: Client = inject(get_client)) -> None: ...
    """
    return Provider(provider)


async def provide(providers: Mapping[str, Provider]) -> Mapping[str, object]:
    return {name: await provider.value() for name, provider in providers.items()}
