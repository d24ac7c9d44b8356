"""python manage.py penstock_worker [options of `penstock worker`]"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from penstock.integrations.django.apps import application
from penstock.integrations.django.worker import TARGET

OPTIONS: Mapping[str, tuple[str, str]] = {
    "processes": ("N", "Processes; 1 unless given."),
    "concurrency": ("N", "Jobs at once in each process; 100 unless given."),
    "queues": ("NAMES", "Only these, with weights: mail:5,reports. Else all where jobs of its tasks wait."),
    "store": ("URL", "Instead of the app's own."),
    "shutdown-timeout": ("TIME", "For what runs when it is told to stop; 25s unless given."),
    "lease": ("TIME", "Unseen for so long, a worker counts as dead; 15s unless given."),
    "children": ("N", 'Child processes at once in each process, for isolation="process".'),
    "log-format": ("FORMAT", "auto, json or text."),
}
_PATHS = "import json, sys; print(json.dumps(sys.path))"


class Command(BaseCommand):  # type: ignore[misc]
    help = "Runs the jobs of settings.PENSTOCK_APP, as `penstock worker` does, with Django set up in each process."

    def add_arguments(self, parser: Any) -> None:
        for name, (metavar, text) in OPTIONS.items():
            parser.add_argument(f"--{name}", metavar=metavar, help=text)

    def handle(self, *args: Any, **options: Any) -> None:
        """Becomes that command: signals and exit codes are its own, and what it watches over is no child of Django's."""
        try:
            application()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        connections.close_all()
        sys.stdout.flush()
        command = [sys.executable, "-m", "penstock", "worker", TARGET, *passed(options)]
        os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": os.pathsep.join(importable())})


def passed(options: Mapping[str, Any]) -> Sequence[str]:
    given = {name: options[name.replace("-", "_")] for name in OPTIONS}
    return [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]


def importable() -> Sequence[str]:
    """What this process added to the path of a fresh one (the folder of manage.py, --pythonpath), then $PYTHONPATH."""
    answer = subprocess.run([sys.executable, "-c", _PATHS], capture_output=True, check=True)
    fresh = frozenset(json.loads(answer.stdout))
    own = [path for path in sys.path if path and path not in fresh]
    return [*own, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
