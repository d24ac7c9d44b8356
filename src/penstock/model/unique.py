"""One job at a time under a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from penstock.errors import ConfigurationError
from penstock.model.clock import LONGEST, Duration, Span, micros
from penstock.model.ids import is_name

Until: TypeAlias = Literal["done", "start"]


@dataclass(frozen=True)
class Unique:
    """`using(unique=Unique("welcome:7"))`: while a job of this task holds the name, an enqueue stores nothing and returns that job.

    `until="done"`: held until the job has ended, in whatever way. `until="start"`: until its first run begins, once: a retry does not
    take it again. `window` (seconds or a timedelta): held at least for that long from the enqueue on, whatever becomes of the job.
    Names are a task's own. Raises ConfigurationError.

        job = await rebuild_index.using(unique=Unique("catalogue", until="start")).enqueue()
        job.created                       # False: one waits already, and this is it
    """

    name: str
    until: Until = "done"
    window: Duration | None = None

    def __post_init__(self) -> None:
        given: tuple[object, object] = (self.name, self.until)
        if not isinstance(given[0], str) or not is_name(given[0]):
            raise ConfigurationError(f"Unique({given[0]!r}): not a name: 1 to 128 of A-Z a-z 0-9 _ . : -")
        if given[1] not in ("done", "start"):
            raise ConfigurationError(f"Unique({self.name!r}, until={given[1]!r}): 'done' or 'start'")
        if self.window is not None and not _window(self.window):
            raise ConfigurationError(f"Unique({self.name!r}, window={self.window!r}): seconds or a timedelta, more than none")


class Hold(Struct, frozen=True, omit_defaults=True):
    """The name that a job holds, as it stands in the store, `task/name`."""

    name: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.:-]+/[A-Za-z0-9_.:-]+\Z")]
    until: Until = "done"
    window: Span = 0
    """µs from the enqueue on."""

    @property
    def own_name(self) -> str:
        """As the caller gave it."""
        return self.name.rpartition("/")[2]


def hold_of(unique: Unique, task: str) -> Hold:
    """Under the task's wire name: so the holder is a job of the same task, whose result has the same type."""
    return Hold(f"{task}/{unique.name}", unique.until, 0 if unique.window is None else _window(unique.window))


def _window(length: Duration) -> int:
    """µs; 0 for what is no length of time."""
    try:
        return min(max(0, micros(length)), LONGEST)
    except (TypeError, ValueError, OverflowError):
        return 0
