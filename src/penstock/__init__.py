"""Durable asynchronous processing on one SQLite file.

The public names load when they are first asked for: a probe (`penstock health`) runs every few seconds and needs none of them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.api.context import Context
    from penstock.api.history import History, Record
    from penstock.api.inject import inject
    from penstock.api.job import Job, SyncJob
    from penstock.api.letter import DeadLetter
    from penstock.api.router import Router
    from penstock.api.subscription import Subscription
    from penstock.api.task import BoundCall, SyncTask, Task
    from penstock.api.topic import SyncTopic, Topic
    from penstock.api.transaction import SyncTransaction, Transaction
    from penstock.app import App, Next, Stage, SyncApp
    from penstock.engine.program import WorkerOptions
    from penstock.engine.worker import Worker
    from penstock.model.delivery import Delivery
    from penstock.model.job import Status
    from penstock.model.log import Recorded
    from penstock.model.outcome import Committed, Dead, Done, Failed, Failure, Outcome, Released, Snoozed
    from penstock.model.retry import PartialFailure, Reject, Retry, RetryAfter, Snooze
else:
    # Type checkers do not see this part, so that they refuse a name that does not exist.
    from collections.abc import Mapping
    from importlib import import_module

    _MODULES: Mapping[str, str] = {
        "api.context": "Context",
        "api.history": "History Record",
        "api.inject": "inject",
        "api.job": "Job SyncJob",
        "api.letter": "DeadLetter",
        "api.router": "Router",
        "api.subscription": "Subscription",
        "api.task": "BoundCall SyncTask Task",
        "api.topic": "SyncTopic Topic",
        "api.transaction": "SyncTransaction Transaction",
        "app": "App Next Stage SyncApp",
        "engine.program": "WorkerOptions",
        "engine.worker": "Worker",
        "model.delivery": "Delivery",
        "model.job": "Status",
        "model.log": "Recorded",
        "model.outcome": "Committed Dead Done Failed Failure Outcome Released Snoozed",
        "model.retry": "PartialFailure Reject Retry RetryAfter Snooze",
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
    "Failure",
    "History",
    "Job",
    "Next",
    "Outcome",
    "PartialFailure",
    "Record",
    "Recorded",
    "Reject",
    "Released",
    "Retry",
    "RetryAfter",
    "Router",
    "Snooze",
    "Snoozed",
    "Stage",
    "Status",
    "Subscription",
    "SyncApp",
    "SyncJob",
    "SyncTask",
    "SyncTopic",
    "SyncTransaction",
    "Task",
    "Topic",
    "Transaction",
    "Worker",
    "WorkerOptions",
    "inject",
]
