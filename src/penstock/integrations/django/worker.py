"""The app as a fresh process finds it:  penstock worker penstock.integrations.django.worker:app

Django is set up first, by DJANGO_SETTINGS_MODULE. `manage.py penstock_worker` runs this in each of its processes.
"""

from __future__ import annotations

import django
from django.apps import apps

from penstock.errors import ConfigurationError
from penstock.integrations.django.apps import Application, application

TARGET = f"{__name__}:app"


def __getattr__(name: str) -> Application:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        if not apps.ready:
            django.setup()
        return application()
    except AttributeError as error:  # a mistake in the user's modules, and not the absence of a name in this one
        raise ConfigurationError(f"cannot set up Django: {type(error).__name__}: {error}") from error
