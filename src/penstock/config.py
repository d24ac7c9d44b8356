"""Which store, and under which name: found in what the user said, the environment and the nearest pyproject.toml.

An app: what `App(…)` was given, PENSTOCK_STORE, `[tool.penstock] store`, else `sqlite:///penstock.db` beside the pyproject.toml
nearest to the file that made the app. A command: `--store`, PENSTOCK_STORE, `[tool.penstock]` of the pyproject.toml nearest to
the working directory; it never falls back on a default, because looking must not create a store.

A relative path means: in pyproject.toml, from its folder; anywhere else, from the working directory (as SQLAlchemy has it).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast
from urllib.parse import SplitResult, quote, urlsplit

from penstock.errors import ConfigurationError
from penstock.ports.moving import MovingUrl

Origin: TypeAlias = Literal["given", "PENSTOCK_STORE", "pyproject.toml", "default"]

STORE_VARIABLE = "PENSTOCK_STORE"
DEFAULT_FILE = "penstock.db"


@dataclass(frozen=True)
class Found:
    """A store's URL, and where it was said."""

    url: str
    origin: Origin

    @property
    def masked(self) -> str:
        return masked(self.url)


def find_store(given: str | None, start: Path, environ: Mapping[str, str] = os.environ) -> Found | None:
    """For commands; `start` is the working directory. None: nobody said one."""
    if given is not None:
        return Found(given, "given")
    if environ.get(STORE_VARIABLE):
        return Found(environ[STORE_VARIABLE], "PENSTOCK_STORE")
    project = find_project(start)
    return None if project is None else project.store


def app_store(given: str | None, start: Path, environ: Mapping[str, str] = os.environ) -> Found:
    """For an app; `start` is the folder of the file that made it."""
    found = find_store(given, start, environ)
    if found is not None:
        return found
    project = find_project(start)
    folder = start if project is None else project.file.parent
    return Found(_sqlite(folder.absolute() / DEFAULT_FILE), "default")


class Place:
    """Where an app's store is."""

    def __init__(self, given: str | None, start: Callable[[], Path]) -> None:
        self._given = given
        self._start = start

    @property
    def found(self) -> Found:
        """Raises ConfigurationError."""
        return Found(self._given.now(), "given") if isinstance(self._given, MovingUrl) else self._fixed

    @cached_property
    def _fixed(self) -> Found:
        return app_store(self._given, self._start())

    def move(self, store: str) -> None:
        """To where a command was told; before the first use."""
        self._given = store
        self.__dict__.pop("_fixed", None)


def _sqlite(file: Path) -> str:
    return f"sqlite:///{quote(str(file))}"


def app_name(file: Path | None, start: Path) -> str:
    """The project's name in the nearest pyproject.toml, else the stem of the file that made the app (`app` without one)."""
    project = find_project(start)
    if project is not None and project.name is not None:
        return as_name(project.name)
    if file is None:
        return "app"
    return as_name(file.parent.name if file.stem in ("__init__", "__main__") else file.stem)


def as_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text)[:64] or "app"


@dataclass(frozen=True)
class Project:
    """A pyproject.toml."""

    file: Path
    name: str | None
    store: Found | None


def find_project(start: Path) -> Project | None:
    """The nearest one, from `start` upwards."""
    folder = start.absolute()
    for candidate in (folder, *folder.parents):
        if (candidate / "pyproject.toml").is_file():
            return _read(candidate / "pyproject.toml")
    return None


def _read(file: Path) -> Project:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"{file}: {error}") from error
    ours = _table(_table(content, "tool", file), "penstock", file)
    unknown = sorted(set(ours) - {"store"})
    if unknown:
        raise ConfigurationError(f"{file}: [tool.penstock] knows store, not {', '.join(unknown)}")
    name = _table(content, "project", file).get("name")
    return Project(file, name if isinstance(name, str) else None, _store(ours.get("store"), file))


def _table(content: Mapping[str, Any], name: str, file: Path) -> Mapping[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise ConfigurationError(f"{file}: [{name}] is not a table")
    return cast(Mapping[str, Any], table)


def _store(url: object, file: Path) -> Found | None:
    if url is None:
        return None
    if not isinstance(url, str):
        raise ConfigurationError(f"{file}: [tool.penstock] store = {url!r} is not a URL")
    relative = re.fullmatch(r"sqlite:///([^/].*)", url)
    if relative is not None and not Path(relative[1]).is_absolute():
        url = f"sqlite:///{quote(str(file.parent.absolute()))}/{relative[1]}"
    return Found(url, "pyproject.toml")


_PASSWORD = re.compile(r"(?<=//)([^/@:\s]*):.*(?=@)", re.DOTALL)
_SECRET = re.compile(r"(?i)([?&][^=&#]*(?:pass|secret|token|key)[^=&#]*=)[^&]*")


def masked(url: str) -> str:
    """Fit to be printed: without passwords. Of a URL in which one is not encoded, up to the last @ that it may reach to."""
    return _SECRET.sub(r"\1***", _PASSWORD.sub(r"\1:***", url))


_HOST = r"(?:\[[^\[\]]*\]|[^@:,\[\]]*)(?::[0-9]*)?"
_PLACE = re.compile(rf"(?:(?:[^%@\s]|%(?!00)[0-9A-Fa-f]{{2}})*@)?{_HOST}(?:,{_HOST})*")


def split(url: str) -> SplitResult:
    """As `urlsplit`. Raises ConfigurationError for what it, or a driver, would refuse in words that tell a part of the password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = None
    if parts is None or not _PLACE.fullmatch(parts.netloc) or _goes_on(parts):
        raise ConfigurationError(
            f"{masked(url)!r} cannot be read: in a user's name or password write / as %2F, ? as %3F, @ as %40, % as %25, and so on"
        )
    return parts


def _goes_on(parts: SplitResult) -> bool:
    """What looks like a host and its port is a user and the begin of a password, whose / or ? is not encoded."""
    behind = f"{parts.path}?{parts.query}".partition("=")[0]
    return parts.netloc != "" and "@" not in parts.netloc and "@" in behind
