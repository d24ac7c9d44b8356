"""What a router has declared, by name, and the routers that it is part of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import cast

from penstock.api import place
from penstock.api.around import Around
from penstock.api.definition import ON_DEAD, Attachment, Handled
from penstock.api.options import named
from penstock.api.schedule import Scheduled
from penstock.api.topic import Declared
from penstock.errors import ConfigurationError


class _Declared:
    """A name in a router: of a task, or an alias of it."""

    __slots__ = ("definition", "whole")

    def __init__(self, definition: Handled, whole: bool) -> None:
        self.definition = definition
        self.whole = whole
        """The user gave it: prefixes are not added."""


class Registry:
    """The names of one router. Each is known to all routers that it is included in, too."""

    def __init__(self) -> None:
        self._parent: Registry | None = None
        self._prefix = ""
        self._included = ""
        self._names: dict[str, _Declared] = {}
        self._topics: dict[str, Declared] = {}
        self._schedules: dict[str, Scheduled] = {}
        self._managers: list[Around] = []

    def _include(self, router: Registry, prefix: str) -> None:
        where = place.caller()
        if router._parent is not None or router.attachment() is not None:
            before = f"is included already, at {router._included}" if router._included else "is an app"
            raise ConfigurationError(f"{where}: this router {before}; a router belongs to one app")
        if router in self._line():
            raise ConfigurationError(f"{where}: a router cannot include itself")
        router._prefix = named(f"{where}: include(prefix=…)", prefix) + "." if prefix else ""
        for name, declared in router._names.items():
            self._register(name if declared.whole else router._prefix + name, declared)
        for topic in router._topics.values():
            self._register_topic(topic)
        for schedule in router._schedules.values():
            self._register_schedule(schedule)
        router._parent = self
        router._included = where

    # -- what surrounds handlers

    def around(self, manager: Around, /) -> None:
        """A function that returns a context manager, which is entered around each run of a `def` handler, on the thread or in the child
        process where that runs: for what a library keeps by thread. Also around `def` hooks of `on_dead`. The first one outermost, an
        app's outside of its routers'; takes effect when a worker starts. Coroutines have `App.use`.

            app.around(flask_app.app_context)
        """
        given = cast(object, manager)
        if not callable(given) or isinstance(given, AbstractContextManager):
            raise ConfigurationError(f"{place.caller()}: around(): pass a function without parameters that returns a context manager")
        self._managers.append(manager)

    def surroundings(self) -> Sequence[Around]:
        """What was given to `around` here, and to the routers that this one is part of."""
        return [manager for router in reversed(self._line()) for manager in router._managers]

    # -- names

    def attachment(self) -> Attachment | None:
        """What the app gives; None as long as this router is in none."""
        return None if self._parent is None else self._parent.attachment()

    def qualified(self, name: str) -> str:
        """The name within the app."""
        return name if self._parent is None else self._parent.qualified(self._prefix + name)

    def topics(self) -> Mapping[str, Declared]:
        """By name, those of included routers too."""
        return self._topics

    def definitions(self) -> Mapping[str, Handled]:
        """By name within this router; aliases included."""
        return {name: declared.definition for name, declared in self._names.items()}

    def _register_topic(self, topic: Declared) -> None:
        for router in self._line():
            if (known := router._topics.get(topic.spec.name)) is not None:
                raise ConfigurationError(f"{topic.place}: the topic {topic.spec.name!r} exists already, at {known.place}")
        for router in self._line():
            router._topics[topic.spec.name] = topic

    def _register_schedule(self, schedule: Scheduled) -> None:
        for router in self._line():
            if (known := router._schedules.get(schedule.name)) is not None:
                raise ConfigurationError(f"{schedule.where}: the schedule name {schedule.name!r} exists already, at {known.where}")
        for router in self._line():
            router._schedules[schedule.name] = schedule

    def _declare(self, definition: Handled) -> None:
        where = definition.signature.place
        own = definition.given or definition.signature.name
        given = definition.given is not None
        self._register(named(f"{where}: {definition.kind}(name=…)", own), _Declared(definition, given))
        for alias in definition.aliases:
            self._register(named(f"{where}: {definition.kind}(aliases=…)", alias), _Declared(definition, True))

    def _register(self, name: str, declared: _Declared) -> None:
        """In this router and in all it is included in; in none of them if it exists in one."""
        levels = self._levels(name, declared.whole)
        for router, known_as in levels:
            _refuse_duplicate(known_as, declared.definition, router._names)
        for router, known_as in levels:
            router._names[known_as] = declared

    def _levels(self, name: str, whole: bool) -> list[tuple[Registry, str]]:
        levels: list[tuple[Registry, str]] = [(self, name)]
        for router in self._line()[:-1]:
            name = name if whole else router._prefix + name
            parent = router._parent
            if parent is not None:
                levels.append((parent, name))
        return levels

    def _line(self) -> list[Registry]:
        """This router and all it is included in."""
        line: list[Registry] = [self]
        while line[-1]._parent is not None:
            line.append(line[-1]._parent)
        return line


def _refuse_duplicate(name: str, definition: Handled, known: Mapping[str, _Declared]) -> None:
    where = definition.signature.place
    if name.endswith(ON_DEAD):
        raise ConfigurationError(f"{where}: the {definition.kind} name {name!r}: names that end in {ON_DEAD!r} are those of on_dead hooks")
    if name in known:
        raise ConfigurationError(
            f"{where}: the {definition.kind} name {name!r} exists already, at {known[name].definition.signature.place}"
        )
