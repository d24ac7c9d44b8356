"""Coroutines: on the event loop, in the delivery's own task."""

from __future__ import annotations

from penstock.engine.stages.invoke import Call
from penstock.ports.handler import Route


def on_loop(route: Route) -> Call:
    """`route.call` gives a coroutine: there is nothing to add."""
    return route.call
