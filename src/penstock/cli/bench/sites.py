"""What is measured on: stores made once, copied for each round, and a look at one from outside while others work on it."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import click

from penstock.cli.bench import processes
from penstock.cli.bench.plan import Spent

KEYS = 1_000
"""Of the jobs that have keys."""
AT_ONCE = 16
"""Handlers with `tx`, and writers of one event each, on a server."""


@dataclass(frozen=True)
class Site:
    """A store that nobody has open, and that is on the disk. `log`: where its worker may write."""

    name: str
    url: str
    log: Path


def each(before: Spent | None, after: Spent | None, count: int) -> Spent | None:
    """For one of `count` jobs; nothing where a database does not tell."""
    return None if before is None or after is None else after.each(before, count)


class Raw(Protocol):
    """The same work by the plain driver: rates a second."""

    def puts(self, count: int, size: int) -> float:
        """Jobs in durable transactions of `size`."""
        ...

    def drain(self, task: str, count: int, keys: int = 0) -> float:
        """Claims and settles of 256, a transaction each, that a crash may undo."""
        ...

    def transactions(self, count: int) -> float:
        """A user's row, a follow-up job and the settle in a durable transaction each."""
        ...

    def publishes(self, count: int, size: int) -> float:
        """Events in durable transactions of `size`."""
        ...

    def appends(self, count: int, size: int) -> float:
        """One event each for `size` keys, whose versions are looked up, in each durable transaction."""
        ...


class Sites(Protocol):
    @property
    def raw(self) -> Raw: ...

    def empty(self) -> Site: ...

    def filled(self, task: str, count: int, keys: int = 0) -> Site:
        """With `count` jobs of `task` that wait; with `keys`, round and round through so many."""
        ...

    def drop(self, site: Site) -> None: ...

    def watch(self, site: Site) -> AbstractContextManager[Watch]: ...

    def facts(self) -> Mapping[str, object]:
        """Of the database, for the report."""
        ...

    def concurrency(self, at_once: int) -> Sequence[str]:
        """Options of a worker whose handlers shall run so many at a time."""
        ...


class Watch(ABC):
    """A queue that is paused first starts at a known moment. Tables are named as SQLite has them."""

    glance: ClassVar[float] = 0.002
    """Seconds between two looks at a store that is being drained."""

    @abstractmethod
    def rows(self, sql: str) -> Sequence[Sequence[Any]]: ...

    @abstractmethod
    def pause(self) -> None: ...

    @abstractmethod
    def resume(self) -> None: ...

    def spent(self) -> Spent | None:
        return None

    @abstractmethod
    def server(self) -> float | None:
        """Seconds of CPU that the database's own processes have spent so far; None where they can't be seen."""

    def workers(self) -> list[int]:
        return [pid for (pid,) in self.rows("select pid from penstock_worker")]

    def begun(self) -> int:
        return self.number("select coalesce(sum(running + done), 0) from penstock_counter")

    def done(self) -> int:
        return self.number("select coalesce(sum(done), 0) from penstock_counter")

    def users(self) -> int:
        return self.number("select coalesce(max(id), 0) from bench_user")

    def puts(self) -> int:
        """Commits that brought messages: all of one commit have one time."""
        return self.number("select count(distinct enqueued) from penstock_message")

    def moments(self) -> dict[int, int]:
        """When each `moment` began, by its number."""
        found = self.rows("select body, result from penstock_message join penstock_finished using (seq) where result is not null")
        return {json.loads(body)["n"]: json.loads(result) for body, result in found}

    def arrivals(self) -> dict[int, int]:
        """When the handler of each `Moment` began, by its number."""
        return dict(json.loads(result) for (result,) in self.rows("select result from penstock_finished where result is not null"))

    def until(self, condition: Callable[[], bool], alive: Callable[[], None]) -> float:
        """Look until it holds; `alive` raises if that cannot happen any more.

        Returns the middle of the last look that found that it does not hold and the first that found that it does.
        """
        deadline = time.perf_counter() + processes.PATIENCE
        looked = before = time.perf_counter()
        while not condition():
            before = looked
            if looked > deadline:
                raise click.ClickException(
                    f"not done after {processes.PATIENCE:g} s: {self.workers()} run, {self.begun()} begun, {self.done()} done"
                )
            alive()
            time.sleep(self.glance)
            looked = time.perf_counter()
        return (before + looked) / 2

    def number(self, sql: str) -> int:
        return int(self.rows(sql)[0][0])
