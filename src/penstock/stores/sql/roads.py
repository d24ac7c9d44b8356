"""What the ports' implementations ask of whoever reaches the file for them: this process's writer and reader, or a connection of
the user's in a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from penstock.model.statement import Program, Rows
from penstock.stores.sql.operations import Operation

T = TypeVar("T")


class Writing(Protocol):
    @property
    def waiting(self) -> int:
        """Messages not written yet."""
        ...

    async def submit(self, operation: Operation) -> Any: ...

    def submit_blocking(self, operation: Operation) -> Any: ...


class Reading(Protocol):
    async def rows(self, name: str, params: Mapping[str, Any]) -> Rows: ...

    async def drive(self, program: Program[T]) -> T: ...
