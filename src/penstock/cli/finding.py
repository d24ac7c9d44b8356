"""The store a command works on: found, told, opened; never created."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from penstock import config, connect
from penstock.cli import lazy
from penstock.cli.bundle import bundled
from penstock.errors import ConfigurationError, SchemaOutdated, StoreUnavailable
from penstock.observe.signals import Signals
from penstock.ports.store import Schema, Store

T = TypeVar("T")

_NOWHERE = (
    "no store is named: give --store sqlite:///shop.db, set PENSTOCK_STORE, write `store = …` under [tool.penstock] "
    "in pyproject.toml, or name the app with --app module:app"
)


@dataclass(frozen=True)
class Place:
    """What every command that looks into a store is told."""

    store: str | None
    app: str | None
    as_json: bool

    def found(self) -> config.Found:
        """Raises ConfigurationError if nobody said which."""
        found = config.find_store(self.store, Path.cwd()) or self._of_app()
        if not self.as_json:
            click.echo(f"store {found.masked} ({found.origin})", err=True)
        return found

    def run(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """Open the store that is there, do the work, close it."""
        return asyncio.run(_with_store(self.found(), work))

    def _of_app(self) -> config.Found:
        if self.app is None:
            raise ConfigurationError(_NOWHERE + _left_by_default())
        found: config.Found = lazy.load("penstock.cli.apps:load")(self.app).found
        return found


in_store = bundled(
    "place",
    Place,
    click.option("--store", metavar="URL", help="The store, e.g. sqlite:///shop.db."),
    click.option("--app", metavar="MODULE:APP", help="Whose store, if nothing else says it."),
    click.option("--json", "as_json", is_flag=True, help="For machines: JSON on stdout, nothing else there."),
)


def check_there(found: config.Found) -> None:
    """Raises StoreUnavailable or SchemaOutdated, saying what to do. Reads only: a file that is not ours stays as it is."""
    administration = connect.administration(found.url)
    if not administration.exists:
        raise StoreUnavailable(f"{found.masked}: there is no such store; create it with `penstock store migrate`, or start a worker on it")
    check_schema(administration.schema(), found)


def check_schema(schema: Schema, found: config.Found) -> None:
    """Raises SchemaOutdated, or StoreUnavailable for a half copy."""
    if schema.found == 0:
        raise SchemaOutdated(f"{found.masked} holds no Penstock tables yet; run `penstock store migrate`")
    if schema.compatible > schema.needed:
        raise SchemaOutdated(f"{found.masked}: its schema is {schema.found}, this release knows {schema.needed}; upgrade Penstock here")
    if schema.found < schema.needed:
        raise SchemaOutdated(
            f"{found.masked}: its schema is {schema.found}, this release needs {schema.needed}; run `penstock store migrate`"
        )
    if schema.half:
        raise StoreUnavailable(
            f"{found.masked} is a half copy of another store: nothing runs there until `penstock store copy` has come to its end"
        )


async def _with_store(found: config.Found, work: Callable[[Store], Awaitable[T]]) -> T:
    check_there(found)
    store = connect.make_store(found.url, durability="power", signals=Signals(), limits={})
    try:
        await store.open(migrate=False)
        return await work(store)
    finally:
        await store.close()


def _left_by_default() -> str:
    """An `App()` that was told nothing keeps its store beside pyproject.toml."""
    project = config.find_project(Path.cwd())
    folder = Path.cwd() if project is None else project.file.parent
    file = folder / config.DEFAULT_FILE
    return f". {file} is there: --store sqlite:///{file}" if file.exists() else ""
