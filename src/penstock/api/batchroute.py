"""Batch tasks as the engine runs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.api.definition import Definition, Handled
from penstock.api.route import HandlerRoute
from penstock.model.delivery import Delivery
from penstock.ports.handler import Batch, Scope


class BatchRoute(HandlerRoute):
    """`decode` gives one row, `call` takes many."""

    def __init__(self, definition: Definition, batch: Batch) -> None:
        super().__init__(definition)
        self.batch = batch

    def decode(self, delivery: Delivery) -> Any:
        return msgspec.structs.astuple(super().decode(delivery))[0]

    def call(self, arguments: Any, scope: Scope | None, injected: Mapping[str, object]) -> Any:
        given = () if scope is None else self._given(scope)
        return self._checked(self._function(*given, arguments, **injected))


def route_of(definition: Handled) -> HandlerRoute:
    if isinstance(definition, Definition) and definition.batch is not None:
        return BatchRoute(definition, definition.batch)
    return HandlerRoute(definition)
