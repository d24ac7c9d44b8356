"""`import penstock` loads nothing; its names load when they are asked for."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from inspect import unwrap
from types import FunctionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from msgspec import Struct

import penstock
import penstock.errors
from penstock import testing
from penstock.api.decorator import TaskDecorator
from penstock.engine.worker import Worker

EXPORTED = {name: getattr(penstock, name) for name in penstock.__all__}
KIT = {name: getattr(testing, name) for name in testing.__all__}
MACHINERY = {"attachment", "chosen", "definitions", "feeds", "found", "open_store", "packed", "program"}
MACHINERY |= {"resources", "routes", "schedules", "signals", "topics", "own_limits"}
"""Of an app, for commands and tests; and of a call, for whoever enqueues it."""
WRITTEN = {"App", "Router", "Retry", "RetryAfter", "Snooze", "Reject"}
"""A user calls their constructors; the others come from a method, or are structs, whose fields are looked at."""
UNNAMED = {TaskDecorator}
"""Applied where it stands."""


def test_every_public_name_is_there() -> None:
    assert [name for name in penstock.__all__ if getattr(penstock, name) is None] == []
    assert set(penstock.__all__) <= set(dir(penstock))


def test_any_other_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Ap'"):
        getattr(penstock, "Ap")  # noqa: B009


def test_the_import_alone_loads_no_app() -> None:
    program = "import sys, penstock; sys.exit(bool({'asyncio', 'msgspec', 'penstock.app'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("kind", [value for value in [*EXPORTED.values(), *KIT.values()] if isinstance(value, type)])
def test_every_type_of_a_public_signature_can_be_imported(kind: type) -> None:
    importable = [*EXPORTED.values(), *KIT.values(), *vars(penstock.errors).values(), *UNNAMED]
    assert [part for part in ours(kind) if part not in importable] == []


def test_a_type_that_is_not_exported_is_found() -> None:
    """This test's own eyes."""
    assert {TaskDecorator, penstock.WorkerOptions, Worker} <= set(ours(penstock.App))


def ours(kind: type) -> Iterator[Any]:
    """The classes of Penstock in its methods' and properties' signatures, and in the fields of a struct."""
    names = {"Worker": Worker}  # imported for type checkers alone
    hints = [get_type_hints(function, localns=names) for function in public(kind)]
    hints += [get_type_hints(kind)] if issubclass(kind, Struct) else []
    for hint in hints:
        for part in hint.values():
            yield from (each for each in parts(part) if isinstance(each, type) and each.__module__.startswith("penstock."))


def public(kind: type) -> Iterator[Callable[..., Any]]:
    for base in kind.__mro__:
        for name, member in vars(base).items() if base.__module__.startswith("penstock.") else ():
            wanted = not name.startswith("_") or (name == "__init__" and kind.__name__ in WRITTEN)
            if wanted and name not in MACHINERY and (function := function_of(member)) is not None:
                yield function


def function_of(member: object) -> Callable[..., Any] | None:
    inner: Any = member
    if isinstance(member, property):
        inner = member.fget
    elif isinstance(member, cached_property):
        inner = member.func
    elif isinstance(member, classmethod | staticmethod):
        inner = member.__func__
    return unwrap(inner) if isinstance(inner, FunctionType) else None


def parts(hint: Any) -> Iterator[Any]:
    """`dict[str, Job[int]]`: dict, str, Job, int."""
    yield get_origin(hint) or hint
    for argument in get_args(hint):
        for one in argument if isinstance(argument, list) else [argument]:
            yield from parts(one)
