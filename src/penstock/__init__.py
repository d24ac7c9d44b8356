"""Durable asynchronous processing on one SQLite file."""

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
