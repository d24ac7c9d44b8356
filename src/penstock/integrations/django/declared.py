"""What `django.tasks` declared, for the worker to know."""

from __future__ import annotations

from typing import Any, NamedTuple

from penstock.api.router import Router
from penstock.api.task import Task


class Declared(NamedTuple):
    origin: Any
    """The `django.tasks.Task`."""
    task: Task[..., Any]


class Tasks:
    """Of the whole process: Django makes a backend for each thread."""

    def __init__(self) -> None:
        self.router = Router()
        self.declared: dict[str, Declared] = {}
        """By their names in the router."""

    def add(self, name: str, origin: Any, task: Task[..., Any]) -> None:
        self.declared[name] = Declared(origin, task)
