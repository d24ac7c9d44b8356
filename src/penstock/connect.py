"""From names to objects: a URL to its store, a connection to its integration, `module:app` to an app.

The one place that imports inside functions, so that a program loads only the backends it uses.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from random import Random
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, unquote

from penstock.config import masked, split
from penstock.engine.nursery import Home, LogFormat, Nursery
from penstock.engine.program import Program, WorkerOptions
from penstock.errors import ConfigurationError
from penstock.ports.copying import Source as CopySource
from penstock.ports.copying import Target as CopyTarget
from penstock.ports.signals import Signals
from penstock.ports.store import Administration, Durability, Store

if TYPE_CHECKING:
    from penstock.engine.worker import Worker
    from penstock.stores.postgres.address import Address

_MAIN = "__penstock_main__"
_ACCEPTED = "a store is sqlite:///relative.db, sqlite:////absolute.db or postgresql://user@host/database"


class MakeStore(Protocol):
    """`make_store`, or what stands in for it."""

    def __call__(self, url: str, /, *, durability: Durability, signals: Signals, limits: Mapping[str, int]) -> Store: ...


def make_store(url: str, *, durability: Durability, signals: Signals, limits: Mapping[str, int], transactions: object = None) -> Store:
    """The store of a URL, not opened; its transactions on the user's engine `transactions`, if there is one. Raises ConfigurationError
    saying what is accepted."""
    theirs = None if transactions is None else _engine(transactions)
    if is_postgres(url):
        require("asyncpg", "postgres")
        from penstock.stores.postgres.store import PostgresStore, Transactions

        psycopg = importlib.import_module("psycopg") if find_spec("psycopg") is not None else None
        how = Transactions(psycopg=psycopg, carriers=None if theirs is None else theirs.carriers(transactions))
        return PostgresStore(_address(url), durability=durability, signals=signals, limits=limits, transactions=how)
    path = str(sqlite_path(url))
    from penstock.stores.sqlite.store import SqliteStore
    from penstock.stores.sqlite.transaction import Transactions as OnFile

    lent = OnFile(guests=None if theirs is None else theirs.guests(transactions, path))
    return SqliteStore(path, durability=durability, signals=signals, limits=limits, transactions=lent)


def make_worker(store: Store, program: Program, options: WorkerOptions, signals: Signals) -> Worker:
    """A worker, not started. A process that only enqueues never loads the engine."""
    from penstock.engine.worker import Worker

    return Worker(store, program, options, signals, Random())


def administration(url: str) -> Administration:
    """The store of a URL from outside. Opens and creates nothing."""
    if is_postgres(url):
        require("asyncpg", "postgres")
        from penstock.stores.postgres.admin import PostgresAdministration

        return PostgresAdministration(_address(url))
    path = str(sqlite_path(url))
    from penstock.stores.sqlite.admin import SqliteAdministration

    return SqliteAdministration(path)


def rescue(url: str) -> int:
    """Take back what workers of this machine held that are dead for certain. Returns how many workers that were."""
    if is_postgres(url):
        require("asyncpg", "postgres")
        from penstock.observe.signals import Signals as Silent
        from penstock.stores.postgres.reaping import reap as reap_there

        return reap_there(_address(url), Silent())
    path = str(sqlite_path(url))
    from penstock.stores.sqlite.files import Folder
    from penstock.stores.sqlite.reaping import reap

    return reap(Folder(path))


def copy_source(url: str) -> CopySource:
    """The store of a URL, to be copied. Opens nothing."""
    if is_postgres(url):
        require("asyncpg", "postgres")
        from penstock.stores.postgres.copysource import PostgresSource

        return PostgresSource(_address(url))
    path = str(sqlite_path(url))
    from penstock.stores.sqlite.copysource import SqliteSource

    return SqliteSource(path)


def copy_target(url: str) -> CopyTarget:
    """The store of a URL, to become a copy. Opens nothing. Raises ConfigurationError for a file."""
    if is_postgres(url):
        require("asyncpg", "postgres")
        from penstock.stores.postgres.copytarget import PostgresTarget

        return PostgresTarget(_address(url))
    path = sqlite_path(url)
    raise ConfigurationError(
        f"{path}: a store is copied to PostgreSQL only; one file from another is made by SQLite's `vacuum into`, as a backup is"
    )


def is_postgres(url: str) -> bool:
    return split(url).scheme.partition("+")[0] in ("postgresql", "postgres")


def check_url(url: str) -> None:
    """Raises ConfigurationError saying what is accepted. Loads no driver."""
    if is_postgres(url):
        _address(url)
    else:
        sqlite_path(url)


def _address(url: str) -> Address:
    from penstock.stores.postgres.address import parse

    return parse(url, masked(url))


def migrates_itself(url: str) -> bool:
    """A store whose schema is brought up to date by whoever opens it: a file, that belongs to one application. A database is migrated
    by a command, by whoever may."""
    return not is_postgres(url)


def sqlite_path(url: str) -> Path:
    """The file that a `sqlite:` URL means, absolute; a relative one is relative to the working directory."""
    parts = split(url)
    _check_scheme(parts.scheme, url)
    if parts.netloc or not url.partition(":")[2].startswith("///"):
        raise ConfigurationError(f"{masked(url)!r} has a host: {_ACCEPTED} (three slashes, or four for an absolute path)")
    if parts.fragment or "#" in url:
        raise ConfigurationError(f"{masked(url)!r} has a fragment (#…): write it as %23 if it belongs to the file's name; {_ACCEPTED}")
    options = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    if options:
        raise ConfigurationError(f"{masked(url)!r}: unknown option {options[0]!r}; a sqlite store takes none")
    name = unquote(parts.path[1:])
    if name in ("", ":memory:"):
        raise ConfigurationError(f"{masked(url)!r} names no file; {_ACCEPTED}; a store in memory cannot be shared, nor survive")
    return Path(name).absolute()


def _check_scheme(scheme: str, url: str) -> None:
    match scheme.partition("+")[0]:
        case "sqlite":
            if scheme != "sqlite":
                raise ConfigurationError(f"{masked(url)!r}: leave the driver out; {_ACCEPTED}")
        case "postgresql" | "postgres":
            raise ConfigurationError(f"{masked(url)!r} is not a SQLite file")
        case "":
            raise ConfigurationError(f"{masked(url)!r} is not a URL; {_ACCEPTED}")
        case other:
            raise ConfigurationError(f"{masked(url)!r}: there is no store for {other!r}; {_ACCEPTED}")


_INTEGRATIONS: Mapping[str, str] = {
    "sqlalchemy": "penstock.integrations.sqlalchemy",
    "django": "penstock.integrations.django",
}


def foreign(connection: object) -> object:
    """A connection or session of a library that an integration knows, wrapped for `Store.join`; anything else as it is."""
    for kind in type(connection).__mro__:
        module = _INTEGRATIONS.get(kind.__module__.partition(".")[0])
        if module is not None:
            return importlib.import_module(module).foreign(connection)
    return connection


def _engine(engine: object) -> ModuleType:
    """The integration that knows it."""
    for kind in type(engine).__mro__:
        if kind.__module__.partition(".")[0] == "sqlalchemy":
            return importlib.import_module(_INTEGRATIONS["sqlalchemy"])
    raise ConfigurationError(f"App(transactions={type(engine).__name__}): a SQLAlchemy Engine or AsyncEngine")


def require(module: str, extra: str) -> ModuleType:
    """A module of an optional dependency. Raises ConfigurationError with the install line."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module + ".").startswith(error.name + "."):
            raise
        raise ConfigurationError(f'{module} is not installed; install it with:  pip install "penstock[{extra}]"') from error


@dataclass(frozen=True)
class Source:
    """How a fresh interpreter finds an app."""

    target: str
    """`module:variable`, or `file.py:variable` for a program that was started as a file."""
    log_format: LogFormat | None = None
    """Of the worker's log, which its child processes share."""


def source_of(app: object) -> Source | None:
    """By the module that holds it in a variable; `__main__` if no other does. None: no module does, or none that can be found again."""
    held = [(name, variable) for name, module in list(sys.modules.items()) for variable in _variables(module, app)]
    for name, variable in sorted(held, key=lambda holder: holder[0] == "__main__"):
        place = _elsewhere(name)
        if place is not None:
            return Source(f"{place}:{variable}")
    return None


def _variables(module: object, wanted: object) -> list[str]:
    """Modules may hold anything, and anything may stand for a module."""
    return [name for name, value in list(vars(module).items()) if value is wanted] if isinstance(module, ModuleType) else []


def _elsewhere(module: str) -> str | None:
    """What a module is to another interpreter: for `__main__` the name that follows `-m`, or the absolute file. None: nothing."""
    if module != "__main__":
        return module
    main = sys.modules[module]
    if main.__spec__ is not None and main.__spec__.name != "__main__":  # that of a folder's __main__.py
        return main.__spec__.name
    file = vars(main).get("__file__")
    return str(Path(file).absolute()) if file is not None and Path(file).is_file() else None


def nursery(app: object, modules: Collection[str], source: Source | None, store: str) -> Nursery | None:
    """How a worker of this app makes child processes; `modules` are those of the handlers that run there, "" for nowhere.

    None: there is no such handler, or they could not find the app. Raises ConfigurationError if they could not find a handler that
    this program itself defines.
    """
    if not modules:
        return None
    source = source or source_of(app)
    if source is None:
        return None
    path = tuple(str(Path(entry).absolute()) for entry in sys.path)
    named = tuple(sorted({_for_a_child(module) for module in modules if module}))
    home = Home(source.target, store, path, tuple(sys.argv), os.getpid(), source.log_format, named)
    return Nursery((sys.executable, "-m", "penstock.cli.supervision.isolated"), home)


def _for_a_child(module: str) -> str:
    place = _elsewhere(module)
    if place is None:
        raise ConfigurationError(
            "isolation='process': a task of a prompt (or of python -c, or of a program that comes from a pipe or a zip file) cannot be "
            "found by a fresh interpreter: put it in a module, or in a file that you start"
        )
    return place


def load_module(name: str) -> None:
    """Import it, if there is one of that name, or run the file; an error that it raises itself comes through as it is."""
    if Path(name).is_absolute():
        _import_file(Path(name))
        return
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise


def load_object(target: str) -> Any:
    """What `module:name` or `file.py:name` means, with the working directory importable. Raises ConfigurationError; an error
    that the module itself raises comes through as it is."""
    module_name, colon, attribute = target.rpartition(":")
    if not colon or not module_name or not attribute or ":" in module_name:
        raise ConfigurationError(f"{target!r}: name an app as module:variable, e.g. shop:app")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    is_file = module_name.endswith(".py") or Path(module_name).is_absolute()
    module = _import_file(Path(module_name)) if is_file else _import(module_name, target)
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = get_close_matches(part, [name for name in vars(module) if not name.startswith("_")], n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ConfigurationError(f"{target!r}: the module {module_name!r} ({module.__file__}) has no {part!r}{hint}")
        found = getattr(found, part)
    return found


def _import_file(file: Path) -> ModuleType:
    """A program that was started as a file, under another name than `__main__`: it does not start again. Run once."""
    known = sys.modules.get(_MAIN)
    if known is not None and known.__file__ == str(file.absolute()):
        return known
    spec = spec_from_file_location(_MAIN, file) or spec_from_file_location(_MAIN, file, loader=SourceFileLoader(_MAIN, str(file)))
    if spec is None or spec.loader is None or not file.is_file():
        raise ConfigurationError(f"there is no file {file}")
    module = sys.modules[_MAIN] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[_MAIN]
        raise
    return module


def _import(name: str, target: str) -> ModuleType:
    try:
        if find_spec(name) is None:
            raise ModuleNotFoundError(name=name)
    except (ModuleNotFoundError, ValueError) as error:
        raise ConfigurationError(f"{target!r}: there is no module {name!r} in {Path.cwd()} or among the installed ones") from error
    return importlib.import_module(name)
