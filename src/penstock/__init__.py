"""Durable asynchronous processing on one SQLite file.

The public names load when they are first asked for: a probe (`penstock health`) runs every few seconds and needs none of them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.api.context import Context
    from penstock.api.inject import inject
    from penstock.api.job import Job
    from penstock.api.letter import DeadLetter
    from penstock.api.router import Router
    from penstock.api.task import BoundCall, Task
    from penstock.api.transaction import Transaction
    from penstock.app import App
    from penstock.model.delivery import Delivery
    from penstock.model.outcome import Committed, Dead, Done, Failed, Outcome, Released, Snoozed
    from penstock.model.retry import Reject, Retry, RetryAfter, Snooze
else:
    # Type checkers do not see this part, so that they refuse a name that does not exist.
    from collections.abc import Mapping
    from importlib import import_module

    _MODULES: Mapping[str, str] = {
        "api.context": "Context",
        "api.inject": "inject",
        "api.job": "Job",
        "api.letter": "DeadLetter",
        "api.router": "Router",
        "api.task": "BoundCall Task",
        "api.transaction": "Transaction",
        "app": "App",
        "model.delivery": "Delivery",
        "model.outcome": "Committed Dead Done Failed Outcome Released Snoozed",
        "model.retry": "Reject Retry RetryAfter Snooze",
    }

    def __getattr__(name):
        for module, names in _MODULES.items():
            if name in names.split():
                value = getattr(import_module(f"penstock.{module}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ = [
    "App",
    "BoundCall",
    "Committed",
    "Context",
    "Dead",
    "DeadLetter",
    "Delivery",
    "Done",
    "Failed",
    "Job",
    "Outcome",
    "Reject",
    "Released",
    "Retry",
    "RetryAfter",
    "Router",
    "Snooze",
    "Snoozed",
    "Task",
    "Transaction",
    "inject",
]
