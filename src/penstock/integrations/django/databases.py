"""Databases that Django and Penstock share. `settings` may import this: nothing here needs them to be there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from django.db import connections

from penstock.errors import ConfigurationError

_SETTINGS = "pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 0"


def sqlite_options() -> dict[str, Any]:
    """`OPTIONS` of a SQLite database that Penstock shares: WAL, full sync, no automatic checkpoints, `begin immediate`.

    Without them a transaction that reads before it writes can fail with "database is locked" at once, whatever its timeout is (SQLite
    cannot upgrade a stale read), and automatic checkpoints have to be switched off in each new connection that joins. Each `atomic()`
    block then takes the file's write lock when it begins, so keep them short, and ATOMIC_REQUESTS off.

        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "shop.db", "OPTIONS": sqlite_options()}}
    """
    return {"transaction_mode": "IMMEDIATE", "timeout": 5, "init_command": _SETTINGS}


def store_url(alias: str = "default") -> str:
    """The URL of one of settings.DATABASES: `App(store_url())` keeps its jobs where the models are. Raises ConfigurationError."""
    wrapper = connections[alias]
    settings: Mapping[str, Any] = wrapper.settings_dict
    match wrapper.vendor:
        case "sqlite":
            return _sqlite_url(alias, str(settings["NAME"]))
        case "postgresql":
            return _postgres_url(settings)
        case other:
            raise ConfigurationError(f"store_url({alias!r}): Penstock keeps jobs in SQLite or PostgreSQL, not in {other}")


def is_in_memory(alias: str) -> bool:
    """Or it is a SQLite URI, of which nobody knows."""
    wrapper = connections[alias]
    name = str(wrapper.settings_dict["NAME"])
    return bool(wrapper.vendor == "sqlite" and (name == ":memory:" or name.startswith("file:")))


def holding(url: str) -> str | None:
    """The database of Django's that a store's URL means; None: it is none of them."""
    return next((alias for alias in connections if _is_kept_in(url, alias)), None)


def _is_kept_in(url: str, alias: str) -> bool:
    try:
        own = store_url(alias)
    except ConfigurationError:
        return False
    return own == url or (url.startswith("sqlite:") and own.startswith("sqlite:") and _file(own) == _file(url))


def _file(url: str) -> Path:
    return Path(unquote(urlsplit(url).path[1:])).resolve()


def _sqlite_url(alias: str, name: str) -> str:
    if is_in_memory(alias):
        raise ConfigurationError(f"store_url({alias!r}): {name} is no file's path; a store in memory cannot be shared, nor survive")
    return f"sqlite:///{quote(str(Path(name).absolute()))}"


def _postgres_url(settings: Mapping[str, Any]) -> str:
    user, password, host, port = (str(settings[part]) for part in ("USER", "PASSWORD", "HOST", "PORT"))
    login = ":".join(quote(part, safe="") for part in (user, password) if part)
    address = "" if host.startswith("/") else host + (f":{port}" if port else "")
    socket = {"host": host} | ({"port": port} if port else {}) if host.startswith("/") else {}
    query = f"?{urlencode(socket)}" if socket else ""
    return f"postgresql://{login}{'@' if login else ''}{address}/{quote(str(settings['NAME']), safe='')}{query}"
