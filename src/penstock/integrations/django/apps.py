"""Penstock as a Django app."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate
from django.utils.module_loading import import_string, module_has_submodule

from penstock.api.around import Around
from penstock.api.definition import Attachment
from penstock.api.router import Router
from penstock.integrations.django import connections, tables
from penstock.integrations.django.databases import holding
from penstock.integrations.django.declared import Tasks
from penstock.ports.handler import Stage

NAME = "penstock.integrations.django"


class Found(Protocol):
    """Where its store is."""

    @property
    def url(self) -> str: ...


@runtime_checkable
class Application(Protocol):
    """What of `penstock.App` is needed here."""

    def use(self, stage: Stage, /) -> None: ...

    def around(self, manager: Around, /) -> None: ...

    def include(self, router: Router, *, prefix: str = "") -> None: ...

    def attachment(self) -> Attachment: ...

    @property
    def found(self) -> Found: ...


class PenstockConfig(AppConfig):  # type: ignore[misc]
    name = NAME
    label = "penstock"
    verbose_name = "Penstock"

    def __init__(self, app_name: str, app_module: Any) -> None:
        super().__init__(app_name, app_module)
        self.tasks = Tasks()
        self.application: Application | None = None
        self.database: str | None = None
        """The one of Django's that its store is in, if it is one of them. Tests that take another file in its place mean that one."""

    def ready(self) -> None:
        """The `tasks` modules of all installed apps are imported, so that a worker knows what they declare."""
        connection_created.connect(connections.note, dispatch_uid=NAME)
        if not hasattr(settings, "PENSTOCK_APP"):
            return
        for config in apps.get_app_configs():
            if config is not self and module_has_submodule(config.module, "tasks"):
                import_module(f"{config.name}.tasks")
        self.application = application = find(settings.PENSTOCK_APP)
        application.around(connections.around_a_thread)
        application.use(connections.around_a_coroutine)
        application.include(self.tasks.router)
        self.database = holding(application.found.url)
        if self.database is not None:
            connections.leave_before_it_goes(self.database, application.attachment().link.close_now)
        post_migrate.connect(self.migrate, sender=self)

    def migrate(self, using: str, **told: Any) -> None:
        """`manage.py migrate` makes the store's tables, too: the first use may come in a transaction that has written already.

        Not after a flush, which asks for it in the same way.
        """
        if using == self.database and self.application is not None and "plan" in told:
            tables.migrate(using, self.application.found.url)


def find(target: object) -> Application:
    """The app that settings.PENSTOCK_APP names. What its module raises comes through."""
    if not isinstance(target, str) or target.count(":") != 1:
        raise ImproperlyConfigured(f'PENSTOCK_APP = {target!r}: name the app as "module:variable", e.g. "shop.tasks:app"')
    found = import_string(target.replace(":", "."))
    if not isinstance(found, Application):
        raise ImproperlyConfigured(f"PENSTOCK_APP = {target!r} is a {type(found).__name__}, not a penstock.App")
    return found


def installed() -> PenstockConfig:
    """Raises ImproperlyConfigured."""
    try:
        config = apps.get_app_config(PenstockConfig.label)
    except LookupError:
        config = None
    if not isinstance(config, PenstockConfig):
        raise ImproperlyConfigured(f'INSTALLED_APPS lacks "{NAME}"')
    return config


def application() -> Application:
    """Raises ImproperlyConfigured."""
    found = installed().application
    if found is None:
        raise ImproperlyConfigured('settings lack PENSTOCK_APP = "module:variable", e.g. "shop.tasks:app"')
    return found
