from pathlib import Path

import django

from penstock.integrations.django import sqlite_options

BASE_DIR = Path(__file__).resolve().parent.parent
DEBUG = True
SECRET_KEY = "an example's"
ROOT_URLCONF = "shop.views"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = ["shop", "penstock.integrations.django"]
PENSTOCK_APP = "shop.tasks:app"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "shop.db",
        "OPTIONS": sqlite_options(),
        "TEST": {"NAME": BASE_DIR / "test.db"},  # a file: other connections have to find it
    }
}

if django.VERSION >= (6, 0):
    TASKS = {"default": {"BACKEND": "penstock.integrations.django.tasks.PenstockBackend", "QUEUES": ["default", "reports"]}}
