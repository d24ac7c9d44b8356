"""`@task.on_dead`: told, durably, of each job that ended in the dead letters."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias, TypeVar

from penstock.api import place
from penstock.api.around import Around, within
from penstock.api.letter import DeadLetter
from penstock.errors import ConfigurationError

End: TypeAlias = Coroutine[Any, Any, None] | None
OnDead = TypeVar("OnDead", bound=Callable[[DeadLetter], End])


class Hook:
    """A user's function of one dead letter. A `def` runs on a thread."""

    def __init__(self, function: Callable[[DeadLetter], End]) -> None:
        self.place = place.of(function)
        self._function = function
        try:
            inspect.signature(function).bind(None)
        except TypeError:
            raise ConfigurationError(f"{self.place}: an on_dead hook takes one parameter, (letter: DeadLetter)") from None

    async def tell(self, letter: DeadLetter, surroundings: Sequence[Around]) -> None:
        if inspect.iscoroutinefunction(self._function):
            await self._function(letter)
        else:
            await asyncio.to_thread(within(surroundings, self._function), letter)
