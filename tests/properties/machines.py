"""What all machines stand on: a store of their own, its ground, and how long and how thoroughly they run."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, Protocol, TypeVar, cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from penstock.observe.signals import Signals
from penstock.testing.conformance import Ground
from penstock.testing.storage import fast_folder
from tests.conformance.postgres_backend import PostgresBackend
from tests.conformance.sqlite_backend import SqliteBackend

T = TypeVar("T")


class Mortal(Protocol):
    signals: Signals
    """Of all its handles."""

    def crash(self) -> None:
        """All processes that have the store open die at once."""


class EveryRule:
    def is_enabled(self, name: str) -> bool:
        return True


class StoreMachine(RuleBasedStateMachine):
    """On SQLite, unless something else is mixed in."""

    stack: ExitStack
    ground: Ground

    def __init__(self) -> None:
        """Of half of all runs Hypothesis leaves out rules by chance: most of them, where there are many. The others have all."""
        super().__init__()
        rules: Any = self._rules_strategy
        rules.enabled_rules_strategy = st.shared(st.one_of(st.just(EveryRule()), rules.enabled_rules_strategy), key=("rules", self))

    @initialize()
    def begin(self) -> None:
        self.stack = ExitStack()
        self.runner = self.stack.enter_context(asyncio.Runner())
        self.ground = self.make_ground()
        self.run(self.ground.__aenter__())
        self.run(self.set_up())

    def make_ground(self) -> Ground:
        return Ground(SqliteBackend(self.stack.enter_context(fast_folder())))

    async def set_up(self) -> None:
        """What is there at first."""

    async def finish(self) -> None:
        """What must hold at the end of all steps."""

    @property
    def mortal(self) -> Mortal:
        return cast(Mortal, self.ground.backend)

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            with self.stack:
                try:
                    self.run(self.finish())
                finally:
                    self.run(self.ground.__aexit__(None, None, None))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)


class OnPostgres:
    server: ClassVar[str]
    stack: ExitStack

    def make_ground(self) -> Ground:
        backend = PostgresBackend(self.server)
        self.stack.callback(backend.drop)
        return Ground(backend)


def agree(store: object, model: object, what: str) -> None:
    """The store has to be as the model is; of two dictionaries what differs is told."""
    if store == model:
        return
    if isinstance(store, dict) and isinstance(model, dict):
        names = sorted({*store, *model}, key=str)
        store, model = ({name: side.get(name) for name in names if store.get(name) != model.get(name)} for side in (store, model))
    raise AssertionError(f"{what}: the store has {store!r}, the model {model!r}")


def pick(items: Sequence[T], number: int) -> T:
    return items[number % len(items)]


def few(examples: int, *, shrinking: bool = True) -> settings:
    """The same ones each time."""
    return settings(_settings(), max_examples=examples, derandomize=True, phases=_phases(shrinking))


def many(examples: int, steps: int) -> settings:
    """Others with each seed."""
    return settings(_settings(), max_examples=examples, stateful_step_count=steps, derandomize=False, print_blob=False)


def _settings() -> settings:
    return settings(
        stateful_step_count=40,
        deadline=None,
        database=None,
        phases=_phases(shrinking=True),
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )


def _phases(shrinking: bool) -> tuple[Phase, ...]:
    return (Phase.generate, Phase.shrink) if shrinking else (Phase.generate,)
