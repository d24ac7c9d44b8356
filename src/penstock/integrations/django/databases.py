"""Databases that Django and Penstock share. `settings` may import this: nothing here needs them to be there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from django.db import connections

from penstock.errors import ConfigurationError
from penstock.ports.moving import MovingUrl

_SETTINGS = "pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 0"
_OURS = ("schema", "feed")
"""What a store's URL says that Django does not know."""
_OPTIONS = (
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "ssl_min_protocol_version", "ssl_max_protocol_version"),
    *("passfile", "target_session_attrs"),
)
"""Of OPTIONS, what both drivers know."""


def sqlite_options() -> dict[str, Any]:
    """`OPTIONS` of a SQLite database that Penstock shares: WAL, full sync, no automatic checkpoints, `begin immediate`.

    Without them a transaction that reads before it writes can fail with "database is locked" at once, whatever its timeout is (SQLite
    cannot upgrade a stale read), and automatic checkpoints have to be switched off in each new connection that joins. Each `atomic()`
    block then takes the file's write lock when it begins, so keep them short, and ATOMIC_REQUESTS off.

        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "shop.db", "OPTIONS": sqlite_options()}}
    """
    return {"transaction_mode": "IMMEDIATE", "timeout": 5, "init_command": _SETTINGS}


class StoreUrl(MovingUrl):
    """The test database, while Django's tests have put it in the place of the one that the settings name."""

    _alias: str
    _more: str

    def __new__(cls, alias: str, more: str = "") -> Self:
        url = super().__new__(cls, _url_of(alias) + more)
        url._alias, url._more = alias, more
        return url

    def __reduce__(self) -> tuple[type[StoreUrl], tuple[str, str]]:
        """For copies and other processes."""
        return StoreUrl, (self._alias, self._more)

    def __add__(self, more: str) -> StoreUrl:
        return StoreUrl(self._alias, self._more + more)

    def now(self) -> str:
        return _url_of(self._alias) + self._more


def store_url(alias: str = "default") -> StoreUrl:
    """The URL of one of settings.DATABASES: `App(store_url())` keeps its jobs where the models are. Raises ConfigurationError.

    In Django's tests the app's store is in the test database, though it was made before that was.
    """
    return StoreUrl(alias)


def _url_of(alias: str) -> str:
    wrapper = connections[alias]
    settings: Mapping[str, Any] = wrapper.settings_dict
    match wrapper.vendor:
        case "sqlite":
            return _sqlite_url(alias, str(settings["NAME"]))
        case "postgresql":
            return _postgres_url(alias, settings)
        case other:
            raise ConfigurationError(f"store_url({alias!r}): Penstock keeps jobs in SQLite or PostgreSQL, not in {other}")


def store_url_as(alias: str, url: str) -> str:
    """The same, and in it what belongs to Penstock in `url`: its schema."""
    kept = [(name, value) for name, value in parse_qsl(urlsplit(url).query) if name in _OURS]
    own = _url_of(alias)
    return own + ("&" if "?" in own else "?") + urlencode(kept) if kept else own


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
        own = _url_of(alias)
    except ConfigurationError:
        return False
    return own == url or (_place(own) is not None and _place(own) == _place(url))


def _place(url: str) -> tuple[str, ...] | Path | None:
    """Where it is, and as whom. None: nobody knows."""
    parts = urlsplit(url)
    match parts.scheme.partition("+")[0]:
        case "sqlite":
            return _file(url)
        case "postgresql" | "postgres":
            said = dict(parse_qsl(parts.query))
            host, port = said.get("host", parts.hostname or ""), said.get("port", str(parts.port or ""))
            return unquote(host), port or "5432", unquote(parts.path[1:]), unquote(parts.username or "")
    return None


def _file(url: str) -> Path:
    return Path(unquote(urlsplit(url).path[1:])).resolve()


def _sqlite_url(alias: str, name: str) -> str:
    if is_in_memory(alias):
        raise ConfigurationError(f"store_url({alias!r}): {name} is no file's path; a store in memory cannot be shared, nor survive")
    return f"sqlite:///{quote(str(Path(name).absolute()))}"


def _postgres_url(alias: str, settings: Mapping[str, Any]) -> str:
    options: Mapping[str, Any] = settings.get("OPTIONS") or {}
    if "service" in options:
        raise ConfigurationError(
            f"store_url({alias!r}): OPTIONS names a service of libpq's, which Penstock does not look up: write HOST, PORT, NAME and USER, "
            f"or give the app a URL of its own"
        )
    user, password, host, port = (str(settings[part]) for part in ("USER", "PASSWORD", "HOST", "PORT"))
    login = ":".join(quote(part, safe="") for part in (user, password) if part)
    address = "" if host.startswith("/") else host + (f":{port}" if port else "")
    socket = {"host": host} | ({"port": port} if port else {}) if host.startswith("/") else {}
    said = socket | {name: str(options[name]) for name in _OPTIONS if options.get(name)}
    query = f"?{urlencode(said)}" if said else ""
    return f"postgresql://{login}{'@' if login else ''}{address}/{quote(str(settings['NAME']), safe='')}{query}"
